"""Windows of one input that need not lie in memory: what a batch is gathered from.

W windows, each of shape (steps, *sample_shape).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LazySamples", "Samples", "SomeRows", "gather"]


class LazySamples(ABC):
    """Samples (W, steps, *sample_shape) that are read where asked. Picklable; an index gives a copy."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """(W, steps, *sample_shape)."""

    @property
    @abstractmethod
    def dtype(self) -> np.dtype[Any]:
        """As the run's encoding says."""

    @abstractmethod
    def gather(self, rows: NDArray[np.int64], out: NDArray[Any]) -> None:
        """Put windows into `out` (len(rows), steps, *sample_shape); rows are within 0 and W."""

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        chosen = np.arange(len(self))[rows]
        several = np.atleast_1d(chosen)
        out = np.empty((len(several), *self.shape[1:]), self.dtype)
        self.gather(several, out)
        return out if np.ndim(chosen) else np.asarray(out[0])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:] if dtype is None else self[:].astype(dtype)


Samples = NDArray[Any] | LazySamples


def gather(samples: Samples, rows: NDArray[np.int64], out: NDArray[Any]) -> None:
    """Put some windows into `out`, without other memory.

    Raises:
        IndexError: a row is none of them.
    """
    if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < len(samples):
        raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(samples)} windows")
    if isinstance(samples, np.ndarray):
        # Rows are checked: with "raise", NumPy would fill a copy of `out` first.
        np.take(samples, rows, axis=0, out=out, mode="clip")
    else:
        samples.gather(rows, out)


class SomeRows(LazySamples):
    """Some of the windows, by number: nothing is copied until it is asked for.

    Args:
        base: samples (W, ...). rows: (V,) which of them.
    """

    def __init__(self, base: Samples, rows: NDArray[np.int64]) -> None:
        self._base: Samples = base._base if isinstance(base, SomeRows) else base
        self._rows: NDArray[np.int64] = base._rows[rows] if isinstance(base, SomeRows) else rows

    @property
    def shape(self) -> tuple[int, ...]:
        """(V, steps, *sample_shape)."""
        return (len(self._rows), *self._base.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the base."""
        return self._base.dtype

    @property
    def base(self) -> Samples:
        """What they are rows of."""
        return self._base

    def gather(self, rows: NDArray[np.int64], out: NDArray[Any]) -> None:
        """Put windows into `out` (len(rows), steps, *sample_shape)."""
        gather(self._base, self._rows[rows], out)
