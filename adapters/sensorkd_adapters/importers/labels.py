"""Rows that say which class holds, joined into intervals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["intervals"]

Int64 = NDArray[np.int64]


def intervals(starts: Int64, ends: Int64, classes: NDArray[np.object_]) -> list[tuple[int, int, str]]:
    """Intervals (t0, t1, class) of rows that hold for [start, end) ns; "" is unknown and gives none.

    Consecutive rows with the same class are one interval, unless there is a gap between them.

    >>> intervals(np.array([0, 1, 5]), np.array([1, 2, 6]), np.array(["a", "a", "a"], dtype=object))
    [(0, 2, 'a'), (5, 6, 'a')]
    """
    if not len(classes):
        return []
    breaks = (classes[1:] != classes[:-1]) | (ends[:-1] != starts[1:])
    first = np.concatenate([[0], np.flatnonzero(breaks) + 1])
    last = np.append(first[1:], len(classes)) - 1
    return [
        (int(starts[a]), int(ends[b]), str(classes[a]))
        for a, b in zip(first, last, strict=True)
        if classes[a]
    ]
