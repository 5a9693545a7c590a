"""Runs of equal samples, counted over the borders of blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["EqualRuns"]


class EqualRuns:
    """How often one value, or one frame, stays for at least `shortest` samples in a row.

    total: samples in such runs. longest, longest_at: length and first index of the longest run of all.
    """

    def __init__(self, shortest: int) -> None:
        self.shortest = shortest
        self.total = 0
        self.longest = 0
        self.longest_at = 0
        self._last: NDArray[Any] | None = None
        self._length = 0
        self._begun = 0

    def add(self, start: int, samples: NDArray[Any]) -> None:
        """The next samples (n, ...), whose first has the index `start`; n >= 1.

        A NaN is equal to nothing, so that it ends a run.
        """
        flat = samples.reshape(len(samples), -1)
        goes_on = self._last is not None and bool((flat[0] == self._last).all())
        if not goes_on:
            self.end()
            self._begun = start
        begins = np.concatenate([[0], np.flatnonzero((flat[1:] != flat[:-1]).any(axis=1)) + 1])
        lengths = np.diff(begins, append=len(flat))
        if len(lengths) > 1:
            lengths[0] += self._length
            begins[0] = self._begun - start
            self._count(lengths[:-1], begins[:-1] + start)
            self._length, self._begun = 0, start + int(begins[-1])
        self._length += int(lengths[-1])
        self._last = flat[-1].copy()

    def end(self) -> None:
        """No more samples follow, or none that go on from the last."""
        self._count(np.array([self._length]), np.array([self._begun]))
        self._last, self._length = None, 0

    def _count(self, lengths: NDArray[np.int64], begins: NDArray[np.int64]) -> None:
        worst = int(lengths.argmax())
        if lengths[worst] > self.longest:
            self.longest, self.longest_at = int(lengths[worst]), int(begins[worst])
        self.total += int(lengths[lengths >= self.shortest].sum())
