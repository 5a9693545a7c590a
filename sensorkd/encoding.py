"""How one input of a model is laid out in memory, fixed once a run and obeyed by reader and device.

NumPy only: the reader of archives converts every stream to it, the graph's constants rely on it, and
the device reads it back from `bundle.json`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd import quality, timeline
from sensorkd.timeline import Resampling

__all__ = ["InputEncoding"]


@dataclass(frozen=True)
class InputEncoding:
    """dtype, unit, scale, offset, rate and length of one input of the model.

    Physical value = sample * scale + offset, in `unit`. A window holds `steps` samples of
    `sample_shape`: the last `span` ns before its reference time at `rate` Hz, or, when `span` is None,
    the whole recording resampled to `steps`.

    valid_range: physical limits; samples outside are repaired in the graph.
    min_coverage: smallest share of usable samples with which the input counts as present.
    """

    modality: str
    dtype: str
    unit: str
    scale: float
    offset: float
    sample_shape: tuple[int, ...]
    channels: tuple[str, ...]
    steps: int
    rate: float
    span: int | None
    valid_range: tuple[float, float]
    resampling: Resampling
    min_coverage: float = 0.8
    rate_tolerance: float = 0.01

    def __post_init__(self) -> None:
        kind = np.dtype(self.dtype).kind
        checks = {
            f"dtype {self.dtype!r} must be an integer or a float": kind in "iuf",
            f"scale {self.scale} must be finite and not 0": math.isfinite(self.scale) and self.scale != 0,
            f"offset {self.offset} must be finite": math.isfinite(self.offset),
            f"steps {self.steps} must be at least 1": self.steps >= 1,
            f"rate {self.rate} must be finite and above 0": math.isfinite(self.rate) and self.rate > 0,
            f"span {self.span} must be above 0 or None": self.span is None or self.span > 0,
            f"valid_range {self.valid_range} must rise": self.valid_range[0] < self.valid_range[1],
            f"min_coverage {self.min_coverage} must lie in (0, 1]": 0 < self.min_coverage <= 1,
        }
        for problem, good in checks.items():
            if not good:
                raise ValueError(problem)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one window of this input: (steps, *sample_shape)."""
        return (self.steps, *self.sample_shape)

    @property
    def whole(self) -> bool:
        """Whether a window is a whole recording rather than a span before a time."""
        return self.span is None

    def blank(self) -> NDArray[Any]:
        """What stands in the place of an absent input: zeros of the right shape and dtype."""
        return np.zeros(self.shape, dtype=self.dtype)

    def is_present(self, window: NDArray[Any], coverage: float) -> bool:
        """Whether enough of the span was logged (`coverage`) and enough of it is usable."""
        usable = quality.usable_share(
            window, scale=self.scale, offset=self.offset, valid_range=self.valid_range
        )
        return coverage * usable >= self.min_coverage - 1e-9

    def encode(self, samples: NDArray[Any], *, scale: float, offset: float) -> NDArray[Any]:
        """Samples of another scale and offset (already towards this unit) as this encoding holds them.

        Integers are rounded and clipped to what the dtype can hold; a NaN cannot be kept in an integer
        and becomes its smallest value, which lies outside any sensible valid range.
        """
        dtype = np.dtype(self.dtype)
        if scale == self.scale and offset == self.offset and samples.dtype == dtype:
            return samples
        values = (samples.astype(np.float64) * scale + (offset - self.offset)) / self.scale
        if dtype.kind == "f":
            return values.astype(dtype)
        limits = np.iinfo(dtype)
        values = np.nan_to_num(values, nan=limits.min, posinf=limits.max, neginf=limits.min)
        return np.clip(np.rint(values), limits.min, limits.max).astype(dtype)

    def positions(
        self, *, t0: int, rate: float, count: int, start: int, stop: int
    ) -> tuple[NDArray[np.float64], float]:
        """Where a window's samples lie in a run of `count` samples without a gap, and their coverage.

        `whole`: [start, stop) in `steps` equal slices. Otherwise the last `steps` samples before
        `stop` (`start` is not used); at a rate off by more than `rate_tolerance`, the instants at which
        they should have been taken. What lies before the first sample or after the last is filled with
        it and does not count as covered.

        Returns:
            (steps,) fractional indices in [0, count - 1], and the covered share of the window.
        """
        if self.whole:
            positions = timeline.whole_positions(t0, rate, count, start=start, stop=stop, steps=self.steps)
            return positions, min(1.0, timeline.duration(rate, count) / max(1, stop - start))
        end = timeline.first_index_at(t0, rate, stop)
        stretch = rate / self.rate
        if abs(stretch - 1.0) <= self.rate_tolerance:
            stretch = 1.0
        wanted = end + (np.arange(self.steps) - self.steps) * stretch
        inside = (wanted >= 0) & (wanted <= count - 1)
        return np.clip(wanted, 0, count - 1), float(inside.mean())

    def to_json(self) -> dict[str, Any]:
        """Plain values, for `bundle.json` and run folders."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> InputEncoding:
        """The inverse of `to_json`.

        Raises:
            ValueError, TypeError: a field is missing, unknown or out of range.
        """
        fields = dict(tree)
        for name in ("sample_shape", "channels", "valid_range"):
            fields[name] = tuple(fields[name])
        return cls(**fields)
