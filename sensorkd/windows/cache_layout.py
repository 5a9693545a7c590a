"""The files of a cache of windows: one an input, and one a column of what is known of each window."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd.encoding import InputEncoding
from sensorkd.quality import FAULTS
from sensorkd.windows.mapped import CacheError

__all__ = ["CacheFile", "CacheLayout", "told_bytes", "write_at", "write_error"]


@dataclass(frozen=True)
class CacheFile:
    """Numbers of one dtype, laid end to end: (W, *item)."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def item_bytes(self) -> int:
        """Of one window."""
        return int(np.prod(self.shape[1:], dtype=np.int64)) * np.dtype(self.dtype).itemsize

    @property
    def bytes(self) -> int:
        """Of the file."""
        return self.shape[0] * self.item_bytes


@dataclass(frozen=True)
class CacheLayout:
    """W windows of some encodings; without `samples` only what is known of them is kept."""

    encodings: Mapping[str, InputEncoding]
    windows: int
    samples: bool = True

    @property
    def inputs(self) -> dict[str, CacheFile]:
        """Input -> its file. Files have numbers: a stream may have any name."""
        if not self.samples:
            return {}
        return {
            name: CacheFile(
                f"input{index}.raw", np.dtype(encoding.dtype).str, (self.windows, *encoding.shape)
            )
            for index, (name, encoding) in enumerate(self.encodings.items())
        }

    @property
    def columns(self) -> dict[str, CacheFile]:
        """Column -> its file. crc: of each input's samples. kept: 0 where the source could not be read."""
        count, inputs = self.windows, len(self.encodings)
        kinds: dict[str, tuple[str, tuple[int, ...]]] = {
            "presence": ("<f4", (count, inputs)),
            "coverage": ("<f4", (count, inputs)),
            "faults": ("<f4", (count, inputs, len(FAULTS))),
            "crc": ("<u4", (count, inputs)),
            "kept": ("|u1", (count,)),
            "id": ("<u8", (count,)),
            "t_ref": ("<i8", (count,)),
            "recording": ("<i4", (count,)),
        }
        return {name: CacheFile(f"{name}.raw", dtype, shape) for name, (dtype, shape) in kinds.items()}

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(file.bytes for file in [*self.inputs.values(), *self.columns.values()])

    def reserve(self, folder: Path) -> None:
        """Make all files at their full size, so that a full disk is found at once.

        Raises:
            CacheError: there is no room.
        """
        for file in [*self.inputs.values(), *self.columns.values()]:
            path = folder / file.name
            try:
                with path.open("ab") as handle:
                    if file.bytes and handle.tell() != file.bytes:
                        _allocate(handle.fileno(), file.bytes)
            except OSError as error:
                raise write_error(path, error, self.bytes) from error


def _allocate(descriptor: int, size: int) -> None:
    try:
        os.posix_fallocate(descriptor, 0, size)
    except (AttributeError, OSError) as error:
        # Not on every system, nor on every file system; the disk may then turn out full later.
        if isinstance(error, OSError) and error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
            raise
        os.ftruncate(descriptor, size)


def told_bytes(count: int) -> str:
    """Bytes as a person reads them, such as `14.3 kB`."""
    for unit, size, least in (("GiB", 1 << 30, 10**9), ("MB", 10**6, 10**6), ("kB", 1000, 1000)):
        if count >= least:
            return f"{count / size:,.0f} {unit}" if count >= 100 * size else f"{count / size:.3g} {unit}"
    return f"{count} bytes"


def write_error(path: Path, error: OSError | NotImplementedError, needed: int) -> CacheError:
    """Why a cache cannot be written. needed: bytes, 0 where they are not known."""
    told = error if isinstance(error, OSError) else None
    full = told is not None and told.errno in (errno.ENOSPC, errno.EDQUOT)
    return CacheError(
        "there is no room for the cache of windows" if full else "the cache of windows cannot be written",
        file=path,
        found=(told and told.strerror) or error,
        expected=f"a folder in which {told_bytes(needed) if needed else 'files'} can be written",
        mend="make room, or name a folder on another disk: cache.folder=PATH; archives are untouched",
    )


def write_at(descriptor: int, position: int, values: NDArray[Any]) -> None:
    """Write all bytes of an array at a place of a file."""
    rest = memoryview(values.tobytes())
    while rest:
        done = os.pwrite(descriptor, rest, position)
        rest, position = rest[done:], position + done
