"""Samples of a sealed cache: memory-mapped, and checked when a window is read for the first time."""

from __future__ import annotations

import mmap
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd.errors import SensorkdError
from sensorkd.windows.samples import LazySamples

__all__ = ["CacheError", "MappedSamples", "checksum", "map_array"]


class CacheError(SensorkdError):
    """A cache of windows cannot be made, or is not as it was sealed."""


def checksum(samples: NDArray[Any]) -> int:
    """CRC-32 of one window of one input."""
    return zlib.crc32(np.ascontiguousarray(samples).data)


def map_array(path: Path, dtype: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    """A file of numbers as an array that cannot be written to.

    A plain array over the map: np.memmap costs a third of the speed.

    Raises:
        CacheError: the file is missing or of another size.
    """
    expected = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    size = path.stat().st_size if path.is_file() else None
    if size != expected:
        raise CacheError(
            "a cache of windows is not as it was sealed",
            file=path,
            found="no such file" if size is None else f"{size:,} bytes",
            expected=f"{expected:,} bytes",
            mend=f"remove the folder {path.parent}; it is made again from the archives",
        )
    if not expected:
        return np.zeros(shape, dtype)
    with path.open("rb") as handle:
        mapped = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
    return np.ndarray(shape, dtype, buffer=mapped)


class MappedSamples(LazySamples):
    """Windows of one input in a file of a sealed cache.

    Args:
        path: the file, (W, steps, *sample_shape) in `dtype`. crc: (W,) uint32, checksums of the windows.
    """

    def __init__(self, path: Path, dtype: str, shape: tuple[int, ...], crc: NDArray[np.uint32]) -> None:
        self.path, self._dtype, self._shape, self._crc = path, np.dtype(dtype), shape, crc
        self._open()

    def _open(self) -> None:
        self._array = map_array(self.path, self._dtype, self._shape)
        self._checked = np.zeros(len(self._crc), np.bool_)

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__ | {"_crc": np.array(self._crc)}
        return {key: value for key, value in state.items() if key not in ("_array", "_checked")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    @property
    def shape(self) -> tuple[int, ...]:
        """(W, steps, *sample_shape)."""
        return self._shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the samples."""
        return self._dtype

    def gather(self, rows: NDArray[np.int64], out: NDArray[Any]) -> None:
        """Put windows into `out` (len(rows), steps, *sample_shape).

        Raises:
            CacheError: a window that is read for the first time by this process is not what was written.
        """
        if not self._checked[rows].all():
            self.check(rows)
        np.take(self._array, rows, axis=0, out=out, mode="clip")

    def check(self, rows: NDArray[np.int64]) -> None:
        """Compare windows that were not read before with their checksums.

        Raises:
            CacheError: a window is not what was written.
        """
        for row in rows[~self._checked[rows]].tolist():
            if checksum(self._array[row]) != self._crc[row]:
                raise CacheError(
                    "a window in the cache is not what was written: its medium is failing, or it was changed",
                    file=self.path,
                    inside=f"window {row}",
                    found=f"checksum {checksum(self._array[row]):08x}",
                    expected=f"{int(self._crc[row]):08x}",
                    mend=f"remove the folder {self.path.parent}; it is made again from the archives",
                )
            self._checked[row] = True
