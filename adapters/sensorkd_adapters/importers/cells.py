"""Cells of text: to numbers, to classes, and what is told of a cell that is neither."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd.errors import ArchiveError
from sensorkd_adapters.importers.mapping import Target

__all__ = ["Rows", "number", "stored_as"]

# Up to here floats hold every whole number.
EXACT = 2**53


@dataclass(frozen=True)
class Rows:
    """Some rows of a table as text, the columns one by one, empty cells as "".

    numbers: of each row, counted as people do; what: what they count, `line` or `row`. decimal: the mark
    in numbers.
    """

    path: Path
    numbers: Sequence[int]
    cells: Mapping[str, Sequence[str]]
    what: str = "line"
    decimal: str = "."

    def check(self, column: str, good: NDArray[np.bool_], problem: str, *, expected: str, mend: str) -> None:
        """Refuse a column of which some cells are not `good` (n,).

        Raises:
            ArchiveError: naming the file, the line and the first cell that is not.
        """
        for row in np.flatnonzero(~good)[:1].tolist():
            raise ArchiveError(
                problem,
                file=self.path,
                inside=f"{self.what} {self.numbers[row]}",
                found=f"{self.cells[column][row]!r} in column {column!r}",
                expected=expected,
                mend=mend,
            )

    def floats(self, column: str) -> NDArray[np.float64]:
        """(n,) the numbers of a column, NaN for empty cells.

        Raises:
            ArchiveError: a cell is no number.
        """
        cells = self.cells[column]
        numbers = [number(cell, self.decimal) if cell else math.nan for cell in cells]
        self.check(
            column,
            np.array([value is not None for value in numbers]),
            "a cell is not a number",
            expected=f"a number with {self.decimal!r} before its decimals, or an empty cell",
            mend="correct the cell, or say in the mapping how numbers (`decimal`) and gaps (`missing`) look",
        )
        return np.array(numbers, dtype=np.float64)

    def classes(self, target: str, mapping: Target) -> NDArray[np.object_]:
        """(n,) the class of each row, "" where it is unknown.

        Raises:
            ArchiveError: the mapping does not know a cell.
        """
        cells = self.cells[mapping.column]
        known = {"": "", **{cell: name or "" for cell, name in mapping.classes.items()}}
        if not mapping.classes:
            return np.array(list(map(sys.intern, cells)), dtype=np.object_)
        self.check(
            mapping.column,
            np.array([cell in known for cell in cells]),
            "a label cell stands for no class",
            expected=f"one of {sorted(mapping.classes)}, or an empty cell",
            mend=f"add it to the classes of {target!r} in the mapping; null means unknown",
        )
        return np.array([known[cell] for cell in cells], dtype=np.object_)


def number(cell: str, decimal: str = ".") -> float | None:
    """A cell as a number, of which `nan` is one; None where it is none, or could be read as two."""
    if "_" in cell:  # which Python reads as 1_000
        return None
    if decimal != ".":
        if "." in cell:  # a mark of thousands, or the other decimal mark
            return None
        cell = cell.replace(decimal, ".")
    try:
        return float(cell)
    except ValueError:
        return None


def stored_as(
    values: NDArray[np.float64],
    dtype: str,
    *,
    file: Path,
    stream: str,
    names: Sequence[str],
    place: Callable[[int], str],
) -> NDArray[Any]:
    """Samples (n, C) in the dtype that the mapping names, of which an integer one takes whole numbers only.

    Args:
        names: of the columns; place: where in the file a row stands.

    Raises:
        ArchiveError: a number would be stored as another one.
    """
    kind = np.dtype(dtype)
    if kind.kind != "f":
        lowest, highest = np.iinfo(kind).min, min(np.iinfo(kind).max, EXACT)
        fits = (values == np.rint(values)) & (values >= max(lowest, -EXACT)) & (values <= highest)
        for row, column in np.argwhere(~fits)[:1].tolist():
            raise ArchiveError(
                "a number cannot be stored as it is",
                file=file,
                inside=place(row),
                found=f"{values[row, column]:.17g} of {names[column]!r}",
                expected=f"for {dtype}, whole numbers up to {highest} and no empty cell",
                mend=f"say streams.{stream}.dtype: float32 in the mapping, or float64 for many digits",
            )
    with np.errstate(over="ignore"):  # too large for the dtype is infinite, which readers mask
        return values.astype(kind)
