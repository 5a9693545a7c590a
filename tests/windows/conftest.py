"""Encodings of the streams that the shared fixtures write, by hand, so that a test sees each number."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sensorkd.encoding import InputEncoding
from sensorkd.timeline import SECOND


@pytest.fixture
def encodings() -> Callable[..., dict[str, InputEncoding]]:
    """Acceleration and temperature: the last `spans` seconds, or `steps` of the whole."""

    def build(
        *, spans: tuple[float, float] = (1.0, 4.0), steps: int | None = None, min_coverage: float = 0.8
    ) -> dict[str, InputEncoding]:
        def encoding(modality: str, rate: float, span: float, **kind: object) -> InputEncoding:
            return InputEncoding(
                modality=modality,
                steps=steps or round(span * rate),
                rate=rate,
                span=None if steps else round(span * SECOND),
                offset=0.0,
                resampling="linear",
                min_coverage=min_coverage,
                **kind,  # type: ignore[arg-type]
            )

        shake = {
            "dtype": "int16",
            "unit": "m/s2",
            "scale": 0.01,
            "sample_shape": (2,),
            "channels": ("x", "y"),
        }
        heat = {"dtype": "float32", "unit": "degC", "scale": 1.0, "sample_shape": (1,), "channels": ()}
        return {
            "acceleration": encoding("acceleration", 100.0, spans[0], valid_range=(-1000.0, 1000.0), **shake),
            "temperature": encoding("temperature", 2.0, spans[1], valid_range=(-90.0, 1000.0), **heat),
        }

    return build
