"""Where a block of samples goes in time: on, after a gap, or nowhere because it came already."""

from __future__ import annotations

import math
import zlib
from collections import deque
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sensorkd import timeline

__all__ = ["Placement", "StreamClock"]

Kind = Literal["", "gap", "repeated", "late"]
# Blocks whose repetition is known as such; older ones count as late.
REMEMBERED = 256
# What a clock may be off its nominal rate. More, and samples must have been sent twice.
DRIFT = 1e-3


@dataclass(frozen=True)
class Placement:
    """What becomes of one block.

    skip: samples at its front that are there already. t0: ns, of the first one taken. begins: whether that
    one begins a segment. rate: Hz, what the segment before it turned out to have; None: its own. kind: what
    is to be told, over [told[0], told[1]) in ns.
    """

    skip: int
    t0: int
    begins: bool
    rate: float | None = None
    kind: Kind = ""
    told: tuple[int, int] = (0, 0)


class StreamClock:
    """Follows the blocks of one stream. rate: Hz; tolerance: s, by which a block may miss its place.

    A block continues the one before if it begins within `tolerance` of its end. One that begins later
    leaves a gap. One that begins earlier by no more than a true clock drifts shows that the sensor is faster
    than its nominal rate: the segment is given the rate that it had. What lies earlier still came already.
    """

    def __init__(self, rate: float, tolerance: float | None) -> None:
        self.rate = rate
        self.tolerance = math.ceil((0.5 / rate if tolerance is None else tolerance) * timeline.SECOND)
        self._start = self._latest = 0
        self._count = 0
        self._recent: deque[tuple[int, int, int]] = deque(maxlen=REMEMBERED)

    @property
    def begun(self) -> bool:
        """Whether a block has come."""
        return self._count > 0

    @property
    def end(self) -> int:
        """One period after the last sample, ns."""
        return int(timeline.sample_times(self._start, self.rate, self._count))

    def place(self, samples: NDArray[Any], t0: int | None) -> Placement:
        """Say where a block goes; without t0 it continues. Nothing is remembered until `take`."""
        if not self.begun:
            return Placement(0, t0 or 0, begins=True)
        end = self.end
        if t0 is None:
            return Placement(0, end, begins=False)
        if self._recall(samples, t0) in self._recent:
            return Placement(len(samples), t0, begins=False, kind="repeated", told=self._span(samples, t0))
        if abs(t0 - end) <= self.tolerance:
            return Placement(0, end, begins=False)
        if t0 > end:
            return Placement(0, t0, begins=True, kind="gap", told=(end, t0))
        if self._drifted(end - t0) and t0 > self._latest:
            return Placement(0, t0, begins=True, rate=self._count / (t0 - self._start) * timeline.SECOND)
        skip = min(len(samples), math.ceil((end - self.tolerance - t0) / timeline.SECOND * self.rate))
        return Placement(skip, end, begins=False, kind="late", told=self._span(samples[:skip], t0))

    def take(self, samples: NDArray[Any], t0: int | None, placed: Placement) -> None:
        """Remember a block that went where `place` said."""
        if placed.skip < len(samples):
            first = placed.t0 if t0 is None else t0
            self._recent.append(self._recall(samples, first))
            self._latest = placed.t0
        if placed.begins:
            self._start, self._count = placed.t0, 0
        self._count += len(samples) - placed.skip

    def forget(self) -> None:
        """Let the next block begin anywhere: a new file has no past."""
        self._count = 0
        self._recent.clear()

    def _drifted(self, early: int) -> bool:
        allowed = 2 * self.tolerance + DRIFT * (self.end - self._latest)
        return early <= min(allowed, 10 * DRIFT * (self.end - self._start))

    def _span(self, samples: NDArray[Any], t0: int) -> tuple[int, int]:
        return t0, int(timeline.sample_times(t0, self.rate, len(samples)))

    @staticmethod
    def _recall(samples: NDArray[Any], t0: int) -> tuple[int, int, int]:
        return t0, len(samples), zlib.crc32(np.ascontiguousarray(samples).view(np.uint8).data)
