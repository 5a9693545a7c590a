"""How wide a student must be to do so many times the work of another."""

from __future__ import annotations

import math
from collections.abc import Mapping

from sensorkd.adapters import SensorAdapter
from sensorkd.encoding import InputEncoding
from sensorkd.errors import ConfigError
from sensorkd.models.cost import cost_of
from sensorkd.models.frontend import ChannelStats
from sensorkd.models.size import NARROWEST, WIDEST, ModelSize
from sensorkd.runs.build import adapters_for, build_student, example_inputs

__all__ = ["macs_of", "width_for"]

# Widths are multiples of 4: nearer than that a student of few channels cannot come.
NEAR = 0.2


def width_for(
    encodings: Mapping[str, InputEncoding],
    factor: float,
    *,
    classes: int,
    size: ModelSize,
    adapters: Mapping[str, SensorAdapter] | None = None,
) -> float:
    """The `model.width` at which a student does `factor` times the multiply-accumulates of `size`.

    To two digits, and as near as widths in multiples of 4 come, which is some per cent. Where a spectrum,
    which has no width, takes part of the work, that is more than the root of `factor`. `adapters` as of the
    run, where they have options.

    Example: `load_config(path, [f"model.width={width_for(encodings, 2, classes=27, size=SIZES['tiny'])}"])`

    Raises:
        ConfigError: no width from 0.25 to 8 comes near.
    """
    if not 0 < factor < math.inf:
        raise ConfigError("a student cannot do so much work", found=f"factor {factor}", expected="above 0")
    adapters = adapters_for(encodings, {}) if adapters is None else adapters
    tried: dict[float, int] = {}

    def macs(width: float) -> int:
        if width not in tried:
            tried[width] = macs_of(encodings, classes=classes, size=size.widened(width), adapters=adapters)
        return tried[width]

    wanted = factor * macs(1.0)
    low, high = NARROWEST, min(WIDEST, max(NARROWEST, round(math.sqrt(factor), 2)))
    while macs(high) < wanted and high < WIDEST:
        low, high = high, min(WIDEST, round(1.5 * high, 2))
    while high - low > 0.015:
        middle = round((low + high) / 2, 2)
        low, high = (middle, high) if macs(middle) < wanted else (low, middle)
    macs(low)
    width = min(tried, key=lambda one: (abs(tried[one] - wanted), one))
    if abs(tried[width] / wanted - 1) > NEAR:
        raise ConfigError(
            "no student of this size does so much work, or so little",
            found=f"factor {factor}",
            expected=f"near {tried[width] / macs(1.0):.2g}, at width {width}",
            mend="take another `model.size` to begin with",
        )
    return width


def macs_of(
    encodings: Mapping[str, InputEncoding],
    *,
    classes: int,
    size: ModelSize,
    adapters: Mapping[str, SensorAdapter],
) -> int:
    """Multiply-accumulates of a student of this size for one window of all inputs."""
    # They do not depend on what the channels are standardised by.
    stats = {
        name: ChannelStats((0.0,) * encoding.sample_shape[-1], (1.0,) * encoding.sample_shape[-1])
        for name, encoding in encodings.items()
    }
    names = [str(number) for number in range(classes)]
    student = build_student(encodings, stats, adapters, classes=names, size=size, seed=0)
    return cost_of(student, example_inputs(encodings)).macs
