"""Images that are decoded where they are asked for: from bytes in an HDF5 file, or from single files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd.errors import ArchiveError
from sensorkd.images.decoding import decode_image
from sensorkd.recordings.guard import GuardedFile
from sensorkd.recordings.opening import damage_told
from sensorkd.recordings.policy import GuardPolicy

__all__ = ["EncodedImages", "FileImages", "Hdf5Images", "open_encoded"]

# Encoded images are sequences of variable length; the bytes of each go to a guarded decoder.
POLICY = GuardPolicy(vlen=True)
# Bytes of one encoded image; a photograph of MOST_PIXELS has less.
MOST_BYTES = 1 << 27


def open_encoded(path: Path) -> GuardedFile:
    """A guarded HDF5 file in which encoded images may lie."""
    return GuardedFile(path, POLICY)


class EncodedImages(ABC):
    """W images (W, side, side, 3) uint8, each decoded when it is asked for.

    fit: shorter side to `side` and the middle of it; otherwise all must have that size. threads: decoders at
    once; Pillow decodes without the interpreter's lock.
    """

    def __init__(self, count: int, *, side: int, fit: bool, threads: int = 1) -> None:
        self.shape = (count, side, side, 3)
        self.dtype: np.dtype[Any] = np.dtype(np.uint8)
        self._fit, self._threads = fit, threads

    def __len__(self) -> int:
        return self.shape[0]

    def gather(self, rows: NDArray[np.int64], out: NDArray[Any]) -> None:
        """Put images into `out` (len(rows), side, side, 3).

        Raises:
            ArchiveError: one of them cannot be read or decoded.
        """
        found = self.encoded(rows.tolist())

        def decode(number: int) -> None:
            encoded, file, inside = found[number]
            side = self.shape[1]
            out[number] = decode_image(encoded, side=side, fit=self._fit, file=file, inside=inside)

        if self._threads == 1:
            for number in range(len(found)):
                decode(number)
        else:
            with ThreadPoolExecutor(self._threads) as pool:
                list(pool.map(decode, range(len(found))))

    @abstractmethod
    def encoded(self, rows: Sequence[int]) -> list[tuple[bytes, object, object]]:
        """Of each row its bytes, and the file and place that an error names."""


class Hdf5Images(EncodedImages):
    """Bytes of PNG or JPEG images, one a row of a dataset; the file is opened in each process anew."""

    def __init__(
        self, path: Path, inside: str, count: int, *, side: int, fit: bool, threads: int = 1
    ) -> None:
        super().__init__(count, side=side, fit=fit, threads=threads)
        self._path, self._inside = path, inside
        self._open: GuardedFile | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": None}

    def encoded(self, rows: Sequence[int]) -> list[tuple[bytes, object, object]]:
        """Read row by row: their bytes lie scattered in the file whatever their order."""
        if self._open is None:
            self._open = open_encoded(self._path)
        dataset = self._open.dataset(self._inside)
        found: list[tuple[bytes, object, object]] = []
        for row in rows:
            place = f"{self._inside}[{row}]"
            with damage_told(self._path, place):
                found.append((np.asarray(dataset[row], np.uint8).tobytes(), self._path, place))
        return found


class FileImages(EncodedImages):
    """Image files by their paths; what lies outside was refused when they were listed."""

    def __init__(self, paths: Sequence[Path], *, side: int, fit: bool, threads: int = 1) -> None:
        super().__init__(len(paths), side=side, fit=fit, threads=threads)
        self._paths = tuple(paths)

    def encoded(self, rows: Sequence[int]) -> list[tuple[bytes, object, object]]:
        """Read whole files."""
        return [(_content(self._paths[row]), self._paths[row], None) for row in rows]


def _content(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise ArchiveError(
                "an image file is too large", file=path, found=size, expected=f"at most {MOST_BYTES:,} bytes"
            )
        return path.read_bytes()
    except OSError as error:
        raise ArchiveError(
            "an image file cannot be read", file=path, found=error, mend="restore it, or leave it out"
        ) from error
