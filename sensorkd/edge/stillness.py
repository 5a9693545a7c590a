"""Whether a sensor has said one and the same for so long that it is dead, without its samples being kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Stillness"]


class Stillness:
    """For how many samples each channel (all of a frame is one) has had the same value, up to the last one.

    >>> still = Stillness()
    >>> still.push(np.array([[1, 5], [2, 5]]))
    >>> still.with_more([np.array([[2, 5]])])
    3
    """

    def __init__(self) -> None:
        self._last: NDArray[Any] | None = None
        self._length: NDArray[np.int64] = np.zeros(0, np.int64)

    def push(self, samples: NDArray[Any]) -> None:
        """Take the next samples (n, C) or frames (n, H, W, C)."""
        self._last, self._length = self._after(samples)

    def with_more(self, parts: Sequence[NDArray[Any]]) -> int:
        """The longest of all channels after some more samples, which are not taken."""
        more = Stillness()
        more._last, more._length = self._last, self._length
        for samples in parts:
            more.push(samples)
        return int(more._length.max(initial=0))

    def _after(self, samples: NDArray[Any]) -> tuple[NDArray[Any] | None, NDArray[np.int64]]:
        if not len(samples):
            return self._last, self._length
        same = samples == samples[-1]
        if samples.ndim > 2:
            same = same.reshape(len(samples), -1).all(axis=1, keepdims=True)
        # Of the samples from the end, up to the first that differs.
        length = np.where(same.all(axis=0), len(samples), same[::-1].argmin(axis=0))
        # A NaN is not even equal to itself: none of it is still.
        if self._last is not None:
            before = samples[0] == self._last
            goes_on = before if before.ndim == 1 else before.all(keepdims=True).reshape(1)
            length = length + np.where((length == len(samples)) & goes_on, self._length, 0)
        return samples[-1].copy(), length.astype(np.int64)
