"""When frames were shown: runs at a constant rate, closer to their stamps than what slow sensors need."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sensorkd import timeline
from sensorkd.recordings.segmenting import segments_of_stamps
from sensorkd.recordings.stream import Segments

__all__ = ["segments_of_frames"]

Int64 = NDArray[np.int64]
# Of a period: a run that the common rate misses by more has a rate of its own.
MISSED = 0.05
# So many frames in a row that each are a run of their own are one at a slower rate than the others.
SINGLES = 4


def segments_of_frames(stamps: Int64, *, file: Path, rate: float | None = None) -> tuple[Segments, float]:
    """Runs of frames at a constant rate, and how far a stamp is off its run at most, s.

    A rate that changes, as phones change it with the light and screens with what moves, is cut where a
    frame would be shown more than one period early or late. A pause, if only of one frame, is a gap.

    Args:
        stamps: (n,) ns; rate: Hz, what the file claims, used only where there is a single frame.

    Raises:
        ArchiveError: stamps do not rise.
    """
    whole = _straight(stamps, file, rate)
    offsets, rates = whole.offset, whole.rate
    for first, stop in _slow(whole.count):
        part = slice(int(offsets[first]), int(whole.offset[stop - 1]) + 1)
        slow = _straight(stamps[part], file, None)
        at = int(np.searchsorted(offsets, part.start)), int(np.searchsorted(offsets, part.stop))
        offsets = np.concatenate([offsets[: at[0]], slow.offset + part.start, offsets[at[1] :]])
        rates = np.concatenate([rates[: at[0]], slow.rate, rates[at[1] :]])
    return _laid(stamps, offsets, rates)


def _straight(stamps: Int64, file: Path, rate: float | None) -> Segments:
    """Runs in which no stamp is off the line from first to last by more than a period."""
    breaks: set[int] = set()
    claimed = rate if len(stamps) == 1 else None
    while True:
        segments = segments_of_stamps(stamps, file=file, inside="frames", rate=claimed, breaks=sorted(breaks))
        cuts = set()
        for first, count in zip(segments.offset.tolist(), segments.count.tolist(), strict=True):
            part = stamps[first : first + count] - stamps[first]
            off = np.abs(part - np.linspace(0, part[-1], count))
            if count > 2 and off.max() > part[-1] / (count - 1):
                cuts.add(first + int(off.argmax()))
        if cuts <= breaks:
            return segments
        breaks |= cuts


def _slow(count: Int64) -> list[tuple[int, int]]:
    """Stretches [first, stop) of runs of one frame each: to what is slower, every step looks like a gap."""
    single = np.concatenate([[False], count == 1, [False]])
    edges = np.flatnonzero(single[1:] != single[:-1]).reshape(-1, 2)
    return [(first, stop) for first, stop in edges.tolist() if stop - first >= SINGLES]


def _laid(stamps: Int64, offsets: Int64, rates: NDArray[np.float64]) -> tuple[Segments, float]:
    """Runs that begin at these offsets; none reaches into the next, and how far a stamp is off at most, s.

    The last frame of a slow run that a fast one follows at once is a run of its own: it was shown for as
    long as it took the next to come.
    """
    rows: list[tuple[int, float, int, int]] = []
    worst = 0.0
    stops = [*offsets[1:].tolist(), len(stamps)]
    for offset, stop, rate in zip(offsets.tolist(), stops, rates.tolist(), strict=True):
        count, t0, last = stop - offset, int(stamps[offset]), int(stamps[stop - 1])
        period = timeline.SECOND / rate
        if count > 1 and abs(t0 + (count - 1) * period - last) > MISSED * period:
            period = (last - t0) / (count - 1)
        off = np.abs(stamps[offset:stop] - t0 - np.arange(count) * period)
        worst = max(worst, float(off.max()))
        after = int(stamps[stop]) if stop < len(stamps) else None
        if after is None or after >= last + period / 2:
            rows.append((t0, timeline.SECOND / period, offset, count))
            continue
        if count > 1:
            rows.append((t0, timeline.SECOND / period, offset, count - 1))
        rows.append((last, timeline.SECOND / (after - last), stop - 1, 1))
    columns = list(zip(*rows, strict=True))
    return Segments(
        t0=np.array(columns[0], dtype=np.int64),
        rate=np.array(columns[1], dtype=np.float64),
        offset=np.array(columns[2], dtype=np.int64),
        count=np.array(columns[3], dtype=np.int64),
    ), worst / timeline.SECOND
