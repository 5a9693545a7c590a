"""Brings stamps that repeat, came late, or were given by a clock that was set, into one order of time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sensorkd import timeline
from sensorkd.errors import ArchiveError

__all__ = ["LATEST", "StampOrder", "Stamps", "order_of_stamps"]

Int64 = NDArray[np.int64]
Same = Callable[[Int64, Int64], NDArray[np.bool_]]
# A sample may come so many periods late: packets that overtake each other on a network hold some tens of
# samples. What falls back farther is a clock that was set.
LATEST = 64
# A clock that was set goes on for some samples; less is a stamp that is wrong.
GOES_ON = 3
MOST_JUMPS = 100


@dataclass(frozen=True)
class StampOrder:
    """Which samples are kept, in order of time.

    order: indices of the kept samples; None: all, as they lie. breaks: places in the order where a new
    segment begins because the clock was set. duplicates, reordered, cut: samples dropped because they came
    twice, sorted into place, and left out because their stamps come again.
    """

    order: Int64 | None = None
    breaks: tuple[int, ...] = ()
    duplicates: int = 0
    reordered: int = 0
    cut: int = 0

    def of(self, values: Int64) -> Int64:
        """The kept of some values, one a sample, in order."""
        return values if self.order is None else values[self.order]


@dataclass(frozen=True)
class Stamps:
    """Stamps (n,), whence they are and what they stamp ("sample", "segment"); `unit` makes them readable."""

    times: Int64
    file: Path
    inside: str
    what: str = "sample"
    unit: tuple[int, str] = (timeline.SECOND, "s")

    @property
    def period(self) -> float:
        """The usual step: in the file, or in order of time where the file is far from it."""
        steps = np.diff(self.times)
        steps = steps[steps != 0]
        if not len(steps):
            return 1.0
        if np.mean(steps > 0) > 0.9:
            return float(np.median(steps[steps > 0]))
        return float(np.quantile(np.diff(np.unique(self.times)), 0.9))

    def at(self, row: int) -> str:
        """One of them, for people."""
        return f"{self.what} {row} at {self.told(int(self.times[row]))}"

    def told(self, time: float) -> str:
        """A time or a length of time, for people."""
        divisor, name = self.unit
        return f"{time / divisor:.6f} {name}" if divisor > 1 else f"{time:.0f} {name}"


def order_of_stamps(stamps: Stamps, same: Same, *, cut: bool = False) -> StampOrder:
    """The order of time of the samples that have these stamps.

    - Of samples with one stamp that are equal, the first in the file is kept.
    - A sample up to LATEST periods late is sorted into place, if there is a place: the samples on either
      side are more than half a period away. One without a place is not late: the clock was set back.
    - Where a clock was set back, a new segment begins. Parts of the file before and after that do not overlap
      in time are laid by their stamps. Where they do, nothing tells what lay beside what: an error, or, with
      `cut`, what was logged before with stamps that come again after it is left out.

    A clock that was set forward looks like missing samples: a gap like any other.

    Args:
        same: whether the samples of two columns of indices are equal, pair by pair.

    Raises:
        ArchiveError: two samples of one stamp differ, one is too late, or the clock was set back; with
            their indices.
    """
    times = stamps.times
    if len(times) < 2 or (times[1:] > times[:-1]).all():
        return StampOrder()
    kept, rivals = _without_repeats(stamps, same)
    parts, reordered = _parts(stamps, kept, rivals, cut)
    order = parts[0] if len(parts) == 1 else None
    breaks: tuple[int, ...] = ()
    if order is None:
        parts = _apart(stamps, parts, cut)
        order = np.concatenate(parts)
        breaks = tuple(np.cumsum([len(part) for part in parts])[:-1].tolist())
    return StampOrder(
        order=order,
        breaks=breaks,
        duplicates=len(times) - len(kept),
        reordered=reordered,
        cut=len(kept) - len(order),
    )


def _without_repeats(stamps: Stamps, same: Same) -> tuple[Int64, Int64]:
    """Indices of the samples but for exact repeats; and of each sample (n,) the earlier one with its stamp.

    -1 where there is none.
    """
    ascending = np.argsort(stamps.times, kind="stable")
    laid = stamps.times[ascending]
    repeats = np.append(False, laid[1:] == laid[:-1])
    first = ascending[np.maximum.accumulate(np.where(repeats, 0, np.arange(len(laid))))][repeats]
    later = ascending[repeats]
    equal = same(first, later)
    kept = np.ones(len(laid), dtype=np.bool_)
    kept[later[equal]] = False
    rivals = np.full(len(laid), -1)
    rivals[later[~equal]] = first[~equal]
    return np.flatnonzero(kept), rivals


def _parts(stamps: Stamps, kept: Int64, rivals: Int64, cut: bool) -> tuple[list[Int64], int]:
    """The runs of the file in which the clock was not set back, each in order of time; how many came late."""
    period, parts = stamps.period, list[Int64]()
    start, reordered = 0, 0
    while start < len(kept):
        rest = kept[start:]
        times, at_odds = stamps.times[rest], rivals[rest] >= rest[0]
        late = np.maximum.accumulate(times) - times
        far = np.flatnonzero(late > LATEST * period)
        stop = int(far[0]) if len(far) else len(times)
        homeless = _homeless(times[:stop], late[:stop], at_odds[:stop], period)
        if len(homeless):
            # Back to where this run of late ones began: those before it may have met a gap by chance.
            stop = int(np.flatnonzero(late[: homeless[0]] == 0)[-1]) + 1
        # One that is late may be of a clock that was set back; beside the newest one there is no doubt.
        _refuse_rivals(stamps, rest[:stop][at_odds[:stop]], rivals)
        if len(homeless) and not cut:
            _refuse_rivals(stamps, rest[stop:][at_odds[stop:]], rivals)
            raise _set_back(stamps, rest, stop)
        if not len(homeless) and stop < len(times):
            _refuse_stray(stamps, rest, stop)
        parts.append(rest[np.argsort(times[:stop], kind="stable")])
        reordered += int(np.count_nonzero(late[:stop]))
        start += stop
        if len(parts) > MOST_JUMPS:
            raise _set_back(stamps, rest, stop, f" more than {MOST_JUMPS} times")
    return parts, reordered


def _homeless(times: Int64, late: Int64, at_odds: NDArray[np.bool_], period: float) -> Int64:
    """Places, in the file's order, of late samples for which there is no place in time."""
    ascending = np.argsort(times, kind="stable")
    steps = np.diff(times[ascending])
    near = np.minimum(np.append(np.inf, steps), np.append(steps, np.inf)) <= 0.5 * period
    crowded = np.zeros(len(times), dtype=np.bool_)
    crowded[ascending] = near
    return np.flatnonzero((late > 0) & (crowded | at_odds))


def _apart(stamps: Stamps, parts: list[Int64], cut: bool) -> list[Int64]:
    """Parts that do not overlap, in order of time."""
    period, laid = stamps.period, list[Int64]()
    for part in parts:
        first, last = stamps.times[part[[0, -1]]]
        for number, before in enumerate(laid):
            begun, ended = stamps.times[before[[0, -1]]]
            if begun >= last + period or first >= ended + period:
                continue
            if not cut:
                raise _set_back(stamps, np.array([before[-1], part.min()]), 1)
            laid[number] = before[stamps.times[before] <= first - period]
        laid = [before for before in laid if len(before)] + [part]
    return sorted(laid, key=lambda part: int(stamps.times[part[0]]))


def _refuse_rivals(stamps: Stamps, rows: Int64, rivals: Int64) -> None:
    for row in rows[:1].tolist():
        more = np.count_nonzero(rivals >= 0) - 1
        raise ArchiveError(
            f"two {stamps.what}s overlap in time: they have one time stamp and differ",
            file=stamps.file,
            inside=stamps.inside,
            found=f"{stamps.what} {rivals[row]} and {stamps.at(row)}, and {more} more such pairs",
            expected=f"one {stamps.what} a stamp, or equal ones, of which one is dropped",
            mend="remove the wrong one; in place of stamps that are too coarse name a rate and a start; "
            "for a clock that was set back say `set_back: cut`",
        )


def _refuse_stray(stamps: Stamps, kept: Int64, place: int) -> None:
    """Refuse a sample that falls back farther than one may be late, unless the stream goes on from it."""
    times = stamps.times[kept]
    newest = int(times[:place].argmax())
    # A clock that was set needs longer than this to be where it was.
    next_ones = times[place : place + LATEST // 2]
    if len(next_ones) >= GOES_ON and not (next_ones > times[newest]).any():
        return
    row, before = int(kept[place]), int(kept[newest])
    raise ArchiveError(
        f"a {stamps.what} comes too late to be sorted into place",
        file=stamps.file,
        inside=stamps.inside,
        found=f"{stamps.at(row)} after {stamps.at(before)}, {stamps.told(times[newest] - times[place])} late",
        expected=f"at most {LATEST} periods: {stamps.told(LATEST * stamps.period)}",
        mend="correct its stamp, or sort the file by time",
    )


def _set_back(stamps: Stamps, kept: Int64, place: int, often: str = "") -> ArchiveError:
    before = int(kept[:place][stamps.times[kept[:place]].argmax()])
    return ArchiveError(
        f"time stamps go backwards: the clock was set back{often}",
        file=stamps.file,
        inside=stamps.inside,
        found=f"{stamps.at(int(kept[place]))} after {stamps.at(before)}: stamps between come twice",
        expected=f"stamps that rise, but for {stamps.what}s up to {LATEST} periods late",
        mend="for a clock that begins anew (time of day, a counter) say `wraps`; for one that was set say "
        "`set_back: cut`, which leaves out what was logged before with stamps that come again"
        if stamps.unit[0] > 1
        else "for numbers that begin anew say `wraps`; where the counter was reset, split the file",
    )
