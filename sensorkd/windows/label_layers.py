"""Makes one track of all that tables say of a recording: the stronger label holds where two lie."""

from __future__ import annotations

import bisect
import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from sensorkd.errors import ConfigError
from sensorkd.recordings import LabelTrack
from sensorkd.windows.graded_track import GradedTrack
from sensorkd.windows.label_rows import LabelInterval

__all__ = ["cut_by_the_next", "track_of"]


def cut_by_the_next(intervals: Sequence[LabelInterval]) -> list[LabelInterval]:
    """Events end where the next one begins."""
    begins = sorted(item.t0 for item in intervals if item.event)
    cut = []
    for item in sorted(intervals, key=lambda item: item.t0):
        later = bisect.bisect_right(begins, item.t0)
        if item.event and later < len(begins):
            item = dataclasses.replace(item, t1=min(item.t1, begins[later]))
        cut.append(item)
    return cut


def track_of(intervals: Sequence[LabelInterval]) -> LabelTrack:
    """An ordinary track where every label is certain, else a graded one.

    Raises:
        ConfigError: two intervals of the same weight contradict each other.
    """
    by_weight = sorted(intervals, key=lambda item: -item.weight)
    for _, level in itertools.groupby(by_weight, key=lambda item: item.weight):
        _check(list(level))
    if all(item.weight == 1 and len(item.shares) == 1 for item in intervals):
        return _plain([*intervals], [item.label for item in intervals])
    starts: list[int] = []
    stops: list[int] = []
    kept: list[LabelInterval] = []
    for item in by_weight:
        for begin, end in list(_free(item.t0, item.t1, starts, stops)):
            place = bisect.bisect(starts, begin)
            starts.insert(place, begin)
            stops.insert(place, end)
            kept.insert(place, item)
    return GradedTrack(
        np.array(starts, dtype=np.int64),
        np.array(stops, dtype=np.int64),
        tuple(item.label for item in kept),
        np.array([item.weight for item in kept]),
        tuple(item.shares for item in kept),
    )


def _free(begin: int, end: int, starts: Sequence[int], stops: Sequence[int]) -> Iterator[tuple[int, int]]:
    """What of [begin, end) no interval covers; these are in order and do not overlap."""
    for place in range(bisect.bisect_right(stops, begin), len(starts)):
        if starts[place] >= end:
            break
        if starts[place] > begin:
            yield begin, starts[place]
        begin = stops[place]
    if begin < end:
        yield begin, end


def _plain(intervals: Sequence[LabelInterval], labels: Sequence[str]) -> LabelTrack:
    return LabelTrack(
        np.array([item.t0 for item in intervals], dtype=np.int64),
        np.array([item.t1 for item in intervals], dtype=np.int64),
        tuple(labels),
    )


def _check(intervals: Sequence[LabelInterval]) -> None:
    fault = _plain(intervals, [item.said for item in intervals]).fault()
    if fault is None:
        return
    first, *others = [intervals[row] for row in fault[1]]
    # Two tables may have been at odds.
    names = [first.place, *(f"{item.place} of {item.file}" if item.file != first.file else item.place
                            for item in others)]  # fmt: skip
    raise ConfigError(
        fault[0],
        file=first.file,
        inside=" and ".join(names),
        found="; ".join(item.told() for item in (first, *others)),
        expected="one class at a time for each target",
        mend="correct t0 and t1, or give the rows different targets",
    )
