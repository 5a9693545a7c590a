"""Where a block of samples goes in time: on, after a gap, aside for now, or nowhere: it came already."""

from __future__ import annotations

import math
import zlib
from collections import deque
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sensorkd import timeline
from sensorkd.recordings.logger_line import SLACK, StampLine, default_tolerance

__all__ = ["Aside", "Placement", "StreamClock"]

Kind = Literal["", "gap", "repeated", "late", "aside"]
# Blocks whose repetition is known as such.
REMEMBERED = 256
# Late blocks in order of time, one after the other, that show that the clock was set.
IN_A_ROW = 3
# Of stamps that jitter, one in a million or fewer is off by more standard deviations than that.
CLEARLY = 6
# s, before stamps have shown it: as a host stamps that is not busy.
JITTER = 1e-3


@dataclass(frozen=True)
class Placement:
    """What becomes of one block.

    skip: samples at its front that are there already. t0: ns, of the first one taken. begins: whether that
    one begins a segment. off: s, by which its stamp misses t0. kind: what is to be told, over
    [told[0], told[1]) in ns; `aside`: not to be taken now, see `StreamClock.set_aside`. missing: samples
    that did not come.
    """

    skip: int
    t0: int
    begins: bool
    off: float = 0.0
    kind: Kind = ""
    told: tuple[int, int] = (0, 0)
    missing: int = 0


@dataclass(frozen=True)
class Aside:
    """A block that is late, and may yet prove to be on time by a clock that was set."""

    samples: NDArray[Any]
    t0: int
    t1: int
    key: tuple[int, int, int]


class StreamClock:
    """Follows the blocks of one stream. rate: Hz; tolerance: s, by which a block may miss its place.

    A block continues the one before if it begins within `tolerance` of where the line through the latest
    stamps ends. One that begins later leaves a gap. One that begins earlier came already, if its content
    says so; else it is put aside. Without `tolerance` it is that of `default_tolerance`; but a gap may be
    as short as half a block, or a period, where stamps jitter clearly less.
    """

    def __init__(self, rate: float, tolerance: float | None) -> None:
        self.rate = rate
        self._told = tolerance
        self.tolerance = default_tolerance(rate) if tolerance is None else tolerance
        self.aside: list[Aside] = []
        self._line = StampLine(rate, self.tolerance, recent=True)
        self._gap_end: int | None = None
        self._count = 0
        self._jitter = JITTER
        self._tail: NDArray[Any] | None = None
        self._recent: deque[tuple[int, int, int]] = deque(maxlen=REMEMBERED)

    @property
    def begun(self) -> bool:
        """Whether a block has come."""
        return self._count > 0

    @property
    def end(self) -> int:
        """One period after the last sample, ns."""
        return self._line.time(self._count)

    @property
    def was_set(self) -> bool:
        """Whether what was put aside shows that the clock was set."""
        return len(self.aside) >= IN_A_ROW

    def place(self, samples: NDArray[Any], t0: int | None) -> Placement:
        """Say where a block goes; without t0 it continues. `take` or `set_aside` remember it."""
        if not self.begun:
            return Placement(0, t0 or 0, begins=True)
        end = self.end
        if t0 is None:
            if self.aside:
                return self._aside(samples, self.aside[-1].t1)
            return Placement(0, end, begins=False)
        key = self._recall(samples, t0)
        if key in self._recent or any(key == block.key for block in self.aside):
            return Placement(len(samples), t0, begins=False, kind="repeated", told=self._span(samples, t0))
        off = (t0 - end) / timeline.SECOND
        slack = self._slack(len(samples))
        # What was sent before the last gap's end, and comes after it, does not go on from there.
        overtaken = self._gap_end is not None and t0 < self._gap_end - math.ceil(slack * timeline.SECOND)
        if -self.tolerance <= off <= slack and not overtaken:
            return Placement(0, end, begins=False, off=off)
        if off > slack and not self._continues_aside(t0):
            return Placement(0, t0, begins=True, kind="gap", told=(end, t0), missing=round(off * self.rate))
        skip = math.ceil((-off - 0.5 / self.rate) * self.rate)
        if self._same_as_tail(samples, skip):
            return Placement(skip, end, begins=False, kind="repeated", told=self._span(samples[:skip], t0))
        return self._aside(samples, t0)

    def take(self, samples: NDArray[Any], t0: int | None, placed: Placement) -> None:
        """Remember a block that went where `place` said."""
        if placed.skip >= len(samples):
            return
        first = placed.t0 if t0 is None else t0
        self._recent.append(self._recall(samples, first))
        self._tail = samples
        if placed.begins:
            self._gap_end = placed.t0 if self._count else None
            self._line.begin(placed.t0)
            self._count = 0
        elif t0 is not None and not placed.skip:
            # A late stamp may lie beyond what the line can follow; it is in place all the same.
            self._line.add(self._count, t0)
            self._jitter = math.sqrt(self._jitter**2 + (placed.off**2 - self._jitter**2) / 16)
        self._count += len(samples) - placed.skip

    def set_aside(self, samples: NDArray[Any], placed: Placement) -> list[Aside]:
        """Keep a block that `place` put aside; those that were there and do not go with it, and are late."""
        late = [] if self._continues_aside(placed.t0) else self.leave_aside()
        key = self._recall(samples, placed.t0)
        self.aside.append(Aside(samples, *self._span(samples, placed.t0), key))
        return late

    def leave_aside(self) -> list[Aside]:
        """What was put aside, which no longer is."""
        late, self.aside = self.aside, []
        return late

    def forget(self) -> None:
        """Let the next block begin anywhere: a new file has no past."""
        self._count = 0
        self._tail = None
        self._recent.clear()

    def _slack(self, samples: int) -> float:
        """By how many seconds a block may come late without a gap before it."""
        if self._told is not None:
            return self._told
        seen = max(0.5 * samples / self.rate, CLEARLY * self._jitter)
        return max(0.5 / self.rate, min(SLACK, seen))

    def _continues_aside(self, t0: int) -> bool:
        slack = math.ceil(self.tolerance * timeline.SECOND)
        return bool(self.aside) and self.aside[-1].t1 - slack <= t0 and (
            t0 < self.end or t0 <= self.aside[-1].t1 + slack
        )  # fmt: skip

    def _same_as_tail(self, samples: NDArray[Any], skip: int) -> bool:
        if self._tail is None or not 0 < skip <= min(len(samples), len(self._tail)):
            return False
        return bool(np.array_equal(samples[:skip], self._tail[-skip:]))

    def _aside(self, samples: NDArray[Any], t0: int) -> Placement:
        return Placement(len(samples), t0, begins=False, kind="aside", told=self._span(samples, t0))

    def _span(self, samples: NDArray[Any], t0: int) -> tuple[int, int]:
        return t0, int(timeline.sample_times(t0, self.rate, len(samples)))

    @staticmethod
    def _recall(samples: NDArray[Any], t0: int) -> tuple[int, int, int]:
        return t0, len(samples), zlib.crc32(np.ascontiguousarray(samples).view(np.uint8).data)
