"""How one input of a model is laid out in memory, fixed once a run and obeyed by reader and device.

NumPy only: the reader of archives converts every stream to it, the graph's constants rely on it, and
the device reads it back from `bundle.json`.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd import quality, timeline
from sensorkd.timeline import Resampling

__all__ = ["LATENESS", "InputEncoding"]

# Seconds: a radio link that fails for a moment, and a message that is sent once more.
LATENESS = 1.0


@dataclass(frozen=True)
class InputEncoding:
    """dtype, unit, scale, offset, rate and length of one input of the model.

    Physical value = sample * scale + offset, in `unit`. A window holds `steps` samples of
    `sample_shape`: the last `span` ns before its reference time at `rate` Hz, or, when `span` is None,
    the whole recording resampled to `steps`.

    valid_range: physical limits; samples outside are repaired in the graph.
    full_scale: physical limits of what the sensor can report; at them it is saturated. None: what the dtype
    can hold. stuck_after: seconds of one and the same value (or frame) after which a sensor is dead; None:
    never. min_coverage: smallest share of usable samples with which the input counts as present. lateness:
    seconds that a device waits for samples that are missing; archives do not need it.
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
    full_scale: tuple[float, float] | None = None
    stuck_after: float | None = None
    lateness: float = LATENESS

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
            f"rate_tolerance {self.rate_tolerance} must lie in [0, 1)": 0 <= self.rate_tolerance < 1,
            f"full_scale {self.full_scale} must rise": self.full_scale is None
            or self.full_scale[0] < self.full_scale[1],
            f"stuck_after {self.stuck_after} must be above 0": self.stuck_after is None
            or self.stuck_after > 0,
            f"lateness {self.lateness} must be finite and at least 0": math.isfinite(self.lateness)
            and self.lateness >= 0,
            f"sample_shape {self.sample_shape} must be filled": min(self.sample_shape, default=0) >= 1,
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

    @property
    def stuck_run(self) -> int | None:
        """How many equal samples in a row are a dead sensor; None where it is not to be told.

        The samples of a whole recording lie as far apart as it is long, so that their number says nothing.
        """
        if self.stuck_after is None or self.whole:
            return None
        fewest = quality.FEWEST_SAMPLES if len(self.sample_shape) == 1 else quality.FEWEST_FRAMES
        return max(fewest, math.ceil(self.stuck_after * self.rate))

    @functools.cached_property
    def limits(self) -> quality.Limits:
        """What samples must be like to be usable."""
        return quality.Limits(
            scale=self.scale,
            offset=self.offset,
            valid_range=self.valid_range,
            full_scale=self.full_scale,
            stuck_run=self.stuck_run,
            blank=self.stuck_after is not None,
        )

    def assess(self, window: NDArray[Any]) -> quality.Quality:
        """What is wrong with the samples of a window."""
        return quality.assess(window, self.limits)

    def is_present(self, coverage: float, usable: float) -> bool:
        """Whether enough of the span was logged (`coverage`) and enough of that is `usable`."""
        return coverage * usable >= self.min_coverage - 1e-9

    def encode(self, samples: NDArray[Any], *, scale: float, offset: float) -> NDArray[Any]:
        """Samples of another scale and offset (already towards this unit) as this encoding holds them.

        Integers are rounded and clipped to what the dtype can hold. NaN and infinity cannot be kept in an
        integer: they become its smallest or largest value, whichever lies outside the valid range (the
        smallest when neither does).
        """
        dtype = np.dtype(self.dtype)
        if scale == self.scale and offset == self.offset and samples.dtype == dtype:
            return samples
        with np.errstate(over="ignore"):  # what a small float cannot hold becomes infinite, hence unusable
            values = (samples.astype(np.float64) * scale + (offset - self.offset)) / self.scale
            if dtype.kind == "f":
                return values.astype(dtype)
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        values[~np.isfinite(values)] = self._invalid(low, high)
        # The largest 64-bit integer is no float: casting the one above it would wrap round.
        top = float(high) if int(float(high)) == high else np.nextafter(float(high), 0.0)
        return np.clip(np.rint(values), low, top).astype(dtype)

    def _invalid(self, *ends: int) -> int:
        low, high = self.valid_range
        outside = [end for end in ends if not low <= end * self.scale + self.offset <= high]
        return (outside or ends)[0]

    def positions(
        self, *, t0: int, rate: float, count: int, start: int, stop: int
    ) -> tuple[NDArray[np.float64], float]:
        """Where a window's samples lie in a run of `count` samples without a gap, and their coverage.

        `whole`: [start, stop) in `steps` equal slices. Otherwise the last `steps` samples before
        `stop` (`start` is not used); at a rate off by more than `rate_tolerance`, the instants at which
        they should have been taken. What lies before the first sample or after the last is filled with the
        samples mirrored there and does not count as covered: repeating the last one would look like a
        sensor that is stuck. No sample at `stop` or later is ever touched.

        Returns:
            (steps,) fractional indices in [0, count - 1], and the covered share of the window.
        """
        if self.whole:
            positions = timeline.whole_positions(t0, rate, count, start=start, stop=stop, steps=self.steps)
            logged = min(stop, t0 + timeline.duration(rate, count)) - max(start, t0)
            return positions, max(0.0, logged / max(1, stop - start))
        end = int(timeline.first_index_at(t0, rate, stop))
        wanted = end + (np.arange(self.steps) - self.steps) * self._stride(rate)
        newest = max(0, min(end, count) - 1)
        coverage = self.coverage(t0=t0, rate=rate, count=count, stop=stop)
        wanted = np.where((wanted > newest) & (wanted < newest + 1), newest, wanted)  # within its period
        # Back and forth between the first sample and the newest.
        turn = np.mod(wanted, 2 * newest) if newest else np.zeros(self.steps)
        return np.minimum(turn, 2 * newest - turn), float(coverage)

    def whole_positions(self, runs: timeline.Runs, *, start: int, stop: int) -> NDArray[np.float64]:
        """Where the samples of a `whole` window [start, stop) lie in an array that holds such runs: (steps,).

        Positions of equal slices; one in a gap takes the sample before the gap.
        """
        # Relative to the start: as floats, times since 1970 are only good to 256 ns.
        middles = (np.arange(self.steps) + 0.5) * ((stop - start) / self.steps)
        rows = np.maximum(np.searchsorted(runs.t0 - start, middles, side="right") - 1, 0)
        positions = np.zeros(self.steps)
        for row in np.unique(rows):
            local, _ = self.positions(
                t0=int(runs.t0[row]),
                rate=float(runs.rate[row]),
                count=int(runs.count[row]),
                start=start,
                stop=stop,
            )
            positions[rows == row] = local[rows == row] + runs.offset[row]
        return positions

    def coverage(self, *, t0: Any, rate: Any, count: Any, stop: Any) -> NDArray[np.float64]:
        """Share of the window before `stop` that a run of samples covers, elementwise; not for `whole`.

        Of the `steps` instants at which samples are wanted, those between the run's first sample and the
        end of its last one's period count.
        """
        end = timeline.first_index_at(t0, rate, stop)
        stride = self._stride(rate)
        since_first = np.clip(np.floor(end / stride), 0, self.steps)
        since_last = np.clip(np.floor((end - count) / stride), 0, self.steps)
        return np.asarray((since_first - since_last) / self.steps, dtype=np.float64)

    def _stride(self, rate: Any) -> NDArray[np.float64]:
        """Logged samples a wanted one, elementwise: exactly 1 within `rate_tolerance`."""
        ratio = np.asarray(rate / self.rate, dtype=np.float64)
        return np.where(np.abs(ratio - 1.0) <= self.rate_tolerance, 1.0, ratio)

    def to_json(self) -> dict[str, Any]:
        """Plain values, for `bundle.json` and run folders."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> InputEncoding:
        """The inverse of `to_json`.

        Raises:
            KeyError, TypeError, ValueError: a field is missing, unknown or out of range.
        """
        fields = dict(tree)
        for name in ("sample_shape", "channels", "valid_range"):
            fields[name] = tuple(fields[name])
        if fields.get("full_scale") is not None:
            fields["full_scale"] = tuple(fields["full_scale"])
        return cls(**fields)
