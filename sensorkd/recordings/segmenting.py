"""Finds the runs without a gap in a column of time stamps, one a sample, and the rate of each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sensorkd import timeline
from sensorkd.errors import ArchiveError
from sensorkd.recordings.stamp_order import LATEST
from sensorkd.recordings.stream import Segments, check_rate

__all__ = ["check_turns", "segments_of_stamps", "unwrap"]

Int64 = NDArray[np.int64]
# Loggers write stamps to the microsecond at best; a finer grid in them is rounding.
FINEST = 1_000
RATE_TOLERANCE = 0.01


def segments_of_stamps(
    times: Int64, *, file: Path, inside: str, rate: float | None = None, breaks: Sequence[int] = ()
) -> Segments:
    """Segments from time stamps (n,) in ns, one a sample, in the order of the samples.

    A step longer than one and a half periods, and than what the resolution of the stamps explains, is
    a gap and begins a new segment: stamps in whole seconds of a sensor at 0.96 Hz step by 1 or by 2, and
    neither is a gap. Where the clock drifts so far that sample i would be more than two periods off
    t0 + i / rate, a new segment begins too. The rate is one for all segments, from the stamps themselves;
    a segment whose last stamp it would miss by more than half a period gets its own.

    Args:
        rate: Hz, what the file claims; without it the stamps alone decide.
        breaks: where a segment begins in any case.

    Raises:
        ArchiveError: stamps do not rise, are too few to tell a rate, or say another rate than `rate`.
    """
    if len(times) < 2:
        if rate is None or not len(times):
            raise _too_few(len(times), file, inside)
        return Segments.uniform(t0=int(times[0]), rate=rate, count=len(times))
    steps = np.diff(times)
    _check_rising(steps, times, file, inside)
    period = float(np.median(steps))
    grid = int(np.gcd.reduce(np.rint(steps / FINEST).astype(np.int64))) * FINEST
    resolution = grid if grid <= 2 * period else 0
    gaps = np.union1d(np.flatnonzero(steps > 1.5 * period + resolution) + 1, breaks).astype(np.int64)
    runs = zip([0, *gaps.tolist()], [*gaps.tolist(), len(times)], strict=True)
    starts = np.array([start for run in runs for start in _straight(times, *run, 2 * period + resolution)])
    ends = np.append(starts[1:], len(times)) - 1
    inner = ends - starts
    spanned = times[ends] - times[starts]
    measured = float(inner.sum() / (spanned.sum() / timeline.SECOND)) if inner.any() else 1e9 / period
    if rate is not None:
        check_rate(rate, file=file, inside=inside)
        if abs(measured / rate - 1.0) > RATE_TOLERANCE:
            raise ArchiveError(
                "the rate is not that of the time stamps",
                file=file,
                inside=inside,
                found=f"rate {rate:g} Hz",
                expected=f"{measured:g} Hz, as {len(times)} stamps say, within 1 %",
                mend="correct the rate, or leave it out of the layout",
            )
    rates = np.full(len(starts), measured if rate is None else rate)
    missed = np.abs(spanned - inner / rates * timeline.SECOND) > 0.5 * period + resolution
    rates[missed] = inner[missed] / (spanned[missed] / timeline.SECOND)
    return Segments(t0=times[starts], rate=rates, offset=starts.astype(np.int64), count=inner + 1)


def _straight(times: Int64, first: int, stop: int, tolerance: float) -> list[int]:
    """Where to cut samples [first, stop) so that no stamp is off the line from end to end of its part.

    Source: Ramer 1972; Douglas and Peucker 1973. Cuts at the worst stamp until all are within tolerance.
    """
    todo, starts = [(first, stop)], []
    while todo:
        low, high = todo.pop()
        part = times[low:high] - times[low]
        off = np.abs(part - np.linspace(0, part[-1], len(part)))
        worst = int(off.argmax())
        if off[worst] <= tolerance:
            starts.append(low)
        else:
            todo += [(low + worst, high), (low, low + worst)]
    return starts


def unwrap(times: Int64, period: int, *, near: int | None = None, longest: int | None = None) -> Int64:
    """Stamps (n,) of a clock that begins anew every `period`, such as time of day, laid end to end.

    A step is taken forwards where that makes it at most `longest` (half a period unless said), else
    backwards. With `near`, all of them are moved by whole periods so that the first lies within half a
    period of that time: two sensors of one machine, one of which was started just before midnight and the
    other just after, belong together.

    A pause of a whole period or more leaves no trace in such stamps and cannot be seen.

    >>> unwrap(np.array([22, 23, 0, 1]), 24).tolist()
    [22, 23, 24, 25]
    >>> unwrap(np.array([1, 2]), 24, near=23).tolist()
    [25, 26]
    """
    forwards = np.mod(np.diff(times), period)
    steps = np.where(forwards > (period // 2 if longest is None else longest), forwards - period, forwards)
    laid = times[0] + np.concatenate([[0], np.cumsum(steps)])
    if near is not None:
        laid = laid + int(np.rint((near - int(laid[0])) / period)) * period
    return np.asarray(laid, dtype=np.int64)


def check_turns(laid: Int64, period: int, *, per_second: float | None, file: Path, inside: str) -> None:
    """Refuse steps in an unwrapped clock (n,) that may have been taken the wrong way, or hide whole turns.

    Forwards a quarter of the `period` is trusted; backwards only as far as a sample may be late.

    Args:
        per_second: how many of these units make a second; None: they count samples.

    Raises:
        ArchiveError: naming the first such step.
    """
    steps = np.diff(laid)
    most = period // 4
    usual = float(np.median(np.abs(steps))) if len(steps) else 0.0
    doubtful = np.flatnonzero((steps > most) | (steps < -min(most, max(LATEST * usual, 1))))
    if not len(doubtful):
        return
    row, unit = int(doubtful[0]), "samples" if per_second is None else "s"
    forwards, turn, most_told = (
        value / (per_second or 1.0) for value in (int(steps[row]) % period, period, most)
    )
    raise ArchiveError(
        "a step of a clock that begins anew is ambiguous",
        file=file,
        inside=inside,
        found=f"from row {row} to {row + 1} forwards by {forwards:g} {unit}, or back by {turn - forwards:g} "
        f"{unit}, or whole turns of {turn:g} {unit} more",
        expected=f"steps of at most a quarter turn, {most_told:g} {unit}",
        mend="split the file there"
        + (", or say `longest_gap` (s) in the layout if no pause was longer" if per_second else ""),
    )


def _check_rising(steps: Int64, times: Int64, file: Path, inside: str) -> None:
    wrong = np.flatnonzero(steps <= 0)
    if not len(wrong):
        return
    row = int(wrong[0])
    repeats = bool((steps[wrong] == 0).all())
    raise ArchiveError(
        "time stamps repeat" if repeats else "time stamps go backwards",
        file=file,
        inside=inside,
        found=f"sample {row + 1} at {times[row + 1] / timeline.SECOND:.6f} s after sample {row} at "
        f"{times[row] / timeline.SECOND:.6f} s, and {len(wrong) - 1} more such places",
        expected="a later stamp for every sample",
        mend="name a rate and a start in place of stamps that are too coarse"
        if repeats
        else "sort the samples by time; for a clock that begins anew (time of day) say `wraps`",
    )


def _too_few(count: int, file: Path, inside: str) -> ArchiveError:
    return ArchiveError(
        "too few time stamps to tell a rate",
        file=file,
        inside=inside,
        found=count,
        expected="two or more, or a rate",
        mend="name the rate, or leave this stream out",
    )
