"""CIFAR-100 as its authors publish it, in the *binary* version: rows of 3,074 bytes, mapped, not read.

The version for Python is made of pickles, which can run code when they are loaded, so it is never opened.
Source of the layout: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009, and the page
of the data set: a coarse label, a fine label, then 32 x 32 red, green and blue values, row by row.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd.errors import ArchiveError

__all__ = ["CifarImages", "cifar_names", "open_cifar"]

SIDE = 32
ROW = 2 + 3 * SIDE * SIDE
CLASSES = 100


class CifarImages:
    """W images (W, 32, 32, 3) uint8 of a mapped file, which is mapped in each process anew."""

    def __init__(self, path: Path, count: int) -> None:
        self.shape = (count, SIDE, SIDE, 3)
        self.dtype: np.dtype[Any] = np.dtype(np.uint8)
        self._path = path
        self._rows: NDArray[np.uint8] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_rows": None}

    def __len__(self) -> int:
        return self.shape[0]

    def gather(self, rows: NDArray[np.int64], out: NDArray[Any]) -> None:
        """Put images into `out` (len(rows), 32, 32, 3)."""
        if self._rows is None:
            self._rows = np.memmap(self._path, np.uint8, "r", shape=(len(self), ROW))
        out[:] = self._rows[rows, 2:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)


def open_cifar(path: Path) -> tuple[CifarImages, NDArray[np.int64]]:
    """Images and fine labels (W,) of `train.bin` or `test.bin`.

    Raises:
        ArchiveError: the file is missing, cut short, or not of this layout.
    """
    try:
        size = path.stat().st_size
        if not size or size % ROW:
            raise ArchiveError(
                "this is not CIFAR-100 in its binary version, or it is cut short",
                file=path,
                found=f"{size:,} bytes",
                expected=f"a multiple of {ROW:,} bytes",
                mend="unpack cifar-100-binary.tar.gz again; cifar-100-python is pickles and is not opened",
            )
        labels = np.memmap(path, np.uint8, "r", shape=(size // ROW, ROW))[:, 1].astype(np.int64)
    except OSError as error:
        raise ArchiveError(
            "the images cannot be opened",
            file=path,
            found=error,
            expected="train.bin and test.bin of cifar-100-binary",
            mend="unpack cifar-100-binary.tar.gz; cifar-100-python is pickles and is not opened",
        ) from error
    if labels.max() >= CLASSES:
        raise ArchiveError(
            "a label is not the number of a class",
            file=path,
            inside=f"image {int(labels.argmax())}",
            found=int(labels.max()),
            expected=f"0 to {CLASSES - 1}",
        )
    return CifarImages(path, len(labels)), labels


def cifar_names(folder: Path) -> tuple[str, ...]:
    """The fine classes by number, from `fine_label_names.txt`, or numbers where that is missing."""
    path = folder / "fine_label_names.txt"
    if not path.exists():
        return tuple(str(number) for number in range(CLASSES))
    names = tuple(path.read_text(encoding="ascii", errors="replace").split())
    if len(names) != CLASSES:
        raise ArchiveError("not the names of the classes", file=path, found=len(names), expected=CLASSES)
    return names
