"""Labels of spans of time, from a track whose intervals are more or less certain.

W spans, I intervals, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensorkd.windows.graded_track import GradedTrack

__all__ = ["GradedLabels", "mean_of_spans", "most_of_spans"]


@dataclass(frozen=True)
class GradedLabels:
    """column: (W,) of the class, -1 where unknown. shares: (W, C); a known row sums to 1, others are 0.
    weights: (W,) in (0, 1], 1 where unknown."""

    column: NDArray[np.int64]
    shares: NDArray[np.float64]
    weights: NDArray[np.float64]


def most_of_spans(
    track: GradedTrack, starts: NDArray[np.int64], stops: NDArray[np.int64], classes: Sequence[str]
) -> GradedLabels:
    """The class that holds for more than half of each span [start, stop), an interval counting for the class
    of its largest share; shares and weight are the means over the time of that class.

    classes: all that occur in the track.
    """
    pairs = _Pairs.of(track, starts, stops)
    columns = np.array([classes.index(name) for name in track.label], dtype=np.int64)
    held = np.zeros((len(starts), len(classes)))
    np.add.at(held, (pairs.span, columns[pairs.interval]), pairs.time)
    best = held.argmax(axis=1)
    known = 2 * held.max(axis=1) > stops - starts
    winning = columns[pairs.interval] == best[pairs.span]
    return _graded(track, pairs.select(winning), classes, np.where(known, best, -1))


def mean_of_spans(
    track: GradedTrack, starts: NDArray[np.int64], stops: NDArray[np.int64], classes: Sequence[str]
) -> GradedLabels:
    """The share of each span [start, stop) that each class covers, where more than half of it is labelled;
    shares are of the labelled time. The class is that of the largest share; of equal ones, the first."""
    pairs = _Pairs.of(track, starts, stops)
    covered = np.bincount(pairs.span, pairs.time, minlength=len(starts))
    known = 2 * covered > stops - starts
    found = _graded(track, pairs, classes, np.where(known, 0, -1))
    return GradedLabels(np.where(known, found.shares.argmax(axis=1), -1), found.shares, found.weights)


@dataclass(frozen=True)
class _Pairs:
    """All spans and intervals that overlap, and for how many ns."""

    span: NDArray[np.int64]
    interval: NDArray[np.int64]
    time: NDArray[np.float64]

    @classmethod
    def of(cls, track: GradedTrack, starts: NDArray[np.int64], stops: NDArray[np.int64]) -> _Pairs:
        order = np.argsort(track.t0, kind="stable")
        t0, t1 = track.t0[order], track.t1[order]
        first = np.searchsorted(t1, starts, side="right")
        counts = np.maximum(np.searchsorted(t0, stops, side="left") - first, 0)
        span = np.repeat(np.arange(len(starts)), counts)
        item = np.arange(len(span)) - np.repeat(np.cumsum(counts) - counts, counts) + first[span]
        time = np.minimum(t1[item], stops[span]) - np.maximum(t0[item], starts[span])
        return cls(span, order[item], time.astype(np.float64))

    def select(self, chosen: NDArray[np.bool_]) -> _Pairs:
        return _Pairs(self.span[chosen], self.interval[chosen], self.time[chosen])


def _graded(
    track: GradedTrack, pairs: _Pairs, classes: Sequence[str], column: NDArray[np.int64]
) -> GradedLabels:
    """Shares and weight of each span: means over the time of its pairs."""
    table = np.array([[shares.get(name, 0.0) for name in classes] for shares in track.shares])
    table = table.reshape(-1, len(classes))
    shares = np.zeros((len(column), len(classes)))
    np.add.at(shares, pairs.span, pairs.time[:, None] * table[pairs.interval])
    total = np.bincount(pairs.span, pairs.time, minlength=len(column))
    weights = np.bincount(pairs.span, pairs.time * track.weight[pairs.interval], minlength=len(column))
    known = column >= 0
    shares[known] /= total[known, None]
    shares[~known] = 0.0
    return GradedLabels(column, shares, np.divide(weights, total, out=np.ones(len(column)), where=known))
