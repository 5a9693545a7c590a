"""Lays samples that have a stamp or a number each, or one a segment, in time; counts what was wrong."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd import timeline
from sensorkd.recordings.segmenting import segments_of_stamps
from sensorkd.recordings.stamp_order import Same, StampOrder, Stamps, order_of_stamps
from sensorkd.recordings.stream import SampleSource, Segments, StampReport

__all__ = ["Laid", "lay_counted", "lay_rows", "lay_stamped"]

Int64 = NDArray[np.int64]
# Samples that share a stamp are compared in blocks of so many bytes.
BLOCK = 1 << 22


@dataclass(frozen=True)
class Laid:
    """Samples laid in time: their runs, where they lie (in which order), and what their stamps were like."""

    segments: Segments
    source: SampleSource
    stamps: StampReport | None = None


def lay_stamped(source: SampleSource, times: Int64, *, inside: str, rate: float | None, cut: bool) -> Laid:
    """Samples with stamps (n,) in ns, one each; see `order_of_stamps` and `segments_of_stamps`.

    Args:
        inside: where the stamps are from. rate: Hz, what the file claims. cut: leave out what was logged
            with stamps that come again after the clock was set back.
    """
    order = order_of_stamps(Stamps(times, source.path, inside), _same_samples(source), cut=cut)
    times = order.of(times)
    segments = segments_of_stamps(times, file=source.path, inside=inside, rate=rate, breaks=order.breaks)
    jitter, worst = _scatter(times, segments)
    gaps = _gaps(times, segments, order)
    report = dataclasses.replace(
        _counted(order), jitter=jitter, worst=worst, gaps=gaps, rate=_rate(times, segments)
    )
    return Laid(segments, dataclasses.replace(source, order=order.order), report)


def lay_rows(source: SampleSource, times: Int64, rate: float, *, inside: str, cut: bool) -> Laid:
    """Rows of a segment axis with start times (S,) in ns, each a run at `rate` Hz."""
    steps = source.shape[source.axes.index("time")]
    stamps = Stamps(times, source.path, inside, what="segment")
    order = order_of_stamps(stamps, _same_rows(source, steps), cut=cut)
    rows = order.of(np.arange(len(times), dtype=np.int64))
    segments = Segments(
        t0=times[rows],
        rate=np.full(len(rows), rate),
        offset=rows * steps,
        count=np.full(len(rows), steps, dtype=np.int64),
    )
    return Laid(segments, source, _counted(order))


def lay_counted(source: SampleSource, numbers: Int64, rate: float, *, start: int, inside: str) -> Laid:
    """Samples at `rate` Hz with numbers (n,), one each, in which those that were lost are missing.

    Args:
        start: ns, time of the first in the file.
    """
    stamps = Stamps(numbers, source.path, inside, unit=(1, "counts"))
    order = order_of_stamps(stamps, _same_samples(source))
    numbers = order.of(numbers) - numbers[0]
    begun = np.append(0, np.flatnonzero(np.diff(numbers) > 1) + 1)
    segments = Segments(
        t0=timeline.sample_times(start, rate, numbers[begun]),
        rate=np.full(len(begun), rate),
        offset=begun.astype(np.int64),
        count=np.diff(np.append(begun, len(numbers))),
    )
    report = dataclasses.replace(_counted(order), gaps=len(begun) - 1 - len(order.breaks))
    return Laid(segments, dataclasses.replace(source, order=order.order), report)


def _same_samples(source: SampleSource) -> Same:
    def same(first: Int64, second: Int64) -> NDArray[np.bool_]:
        equal = np.ones(len(first), dtype=np.bool_)
        block = max(1, BLOCK // (8 * math.prod(source.sample_shape)))
        for low in range(0, len(first), block):
            part = slice(low, low + block)
            equal[part] = _equal(source.take(first[part]), source.take(second[part]))
        return equal

    return same


def _same_rows(source: SampleSource, steps: int) -> Same:
    def same(first: Int64, second: Int64) -> NDArray[np.bool_]:
        pairs = zip(first.tolist(), second.tolist(), strict=True)
        return np.array([_rows_equal(source, steps, *pair) for pair in pairs], dtype=np.bool_)

    return same


def _rows_equal(source: SampleSource, steps: int, first: int, second: int) -> bool:
    rows = (source.read(row * steps, (row + 1) * steps) for row in (first, second))
    return bool(_equal(*rows).all())


def _equal(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether samples (n, ...) are equal, one by one; NaN equals NaN."""
    equal = (first == second) | ((first != first) & (second != second))
    return np.asarray(equal.reshape(len(equal), -1).all(axis=1))


def _counted(order: StampOrder) -> StampReport:
    return StampReport(
        duplicates=order.duplicates, reordered=order.reordered, jumps=len(order.breaks), cut=order.cut
    )


def _rate(times: Int64, segments: Segments) -> float | None:
    """Hz, over all segments; None where each is a single sample."""
    last = segments.offset + segments.count - 1
    spanned = int((times[last] - times[segments.offset]).sum())
    return float((segments.count - 1).sum() / spanned * timeline.SECOND) if spanned else None


def _gaps(times: Int64, segments: Segments, order: StampOrder) -> int:
    """Segments that begin after a pause, not because the clock was set or drifted."""
    begun = segments.offset[1:]
    paused = times[begun] - times[begun - 1] > 1.5 * timeline.SECOND / segments.rate[:-1]
    return int(np.count_nonzero(paused & ~np.isin(begun, order.breaks)))


def _scatter(times: Int64, segments: Segments) -> tuple[float, float]:
    """Jitter and worst, s: how far stamps (n,) lie from the least-squares line of their segment."""
    count = segments.count.astype(np.float64)
    row = np.repeat(np.arange(len(segments)), segments.count)
    place = np.arange(len(times)) - segments.offset[row] - ((count - 1) / 2)[row]
    # About the line that the segment says, so that the numbers are small.
    off = (times - timeline.sample_times(0, segments.rate[row], place + ((count - 1) / 2)[row])).astype(
        np.int64
    )
    residual = (off - segments.t0[row]).astype(np.float64)
    residual -= (np.bincount(row, residual) / count)[row]
    slope = np.bincount(row, residual * place) / np.maximum(np.bincount(row, place * place), 1e-30)
    residual = (residual - slope[row] * place) / timeline.SECOND
    return float(residual.std()), float(np.abs(residual).max())
