"""Reads tables of text with one row a cycle, cut at tabs, semicolons, commas or spaces, gzip or not."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd.errors import ArchiveError, nearest
from sensorkd_adapters.importers.cells import Rows, number

__all__ = ["read_cycles_table", "read_index", "read_matrix"]


def read_matrix(path: Path) -> NDArray[np.float64]:
    """(rows, columns) of a file of numbers.

    Raises:
        ArchiveError: it cannot be read, rows differ in length, or a cell is no number; the line is named.
    """
    rows: list[NDArray[np.float64]] = []
    for line, cells in _lines(path):
        values = [number(cell) for cell in cells]
        if None in values:
            at = values.index(None)
            raise ArchiveError(
                "a cell is not a number",
                file=path,
                inside=f"line {line}",
                found=f"{cells[at]!r} in column {at + 1}",
                expected="numbers with a decimal point, or NaN, cut by tabs, semicolons, commas or spaces",
                mend="correct the cell; a line of names must be removed",
            )
        row = np.array(values, dtype=np.float64)
        if rows and len(row) != len(rows[0]):
            raise ArchiveError(
                "a row has another length than the first",
                file=path,
                inside=f"line {line}",
                found=f"{len(row)} cells",
                expected=f"{len(rows[0])}",
                mend="every row is one cycle: restore the row, or remove it from all files",
            )
        rows.append(row)
    return np.stack(rows)


def read_cycles_table(path: Path, columns: Sequence[str], used: dict[str, bool]) -> Rows:
    """The used columns of a table as text.

    Args:
        columns: the names of all columns; empty where the first line has them.
        used: column -> whether it must be there.

    Raises:
        ArchiveError: it cannot be read, lacks a column, or a row has another number of cells.
    """
    lines = _lines(path)
    names = list(columns) or next(lines)[1]
    absent = [name for name, needed in used.items() if needed and name not in names]
    if absent:
        raise ArchiveError(
            "columns are missing",
            file=path,
            inside="line 1",
            found=f"{len(names)} columns: {names}",
            expected=absent,
            mend="".join(nearest(name, names) for name in absent)
            + "correct the names in the mapping; for a file without a line of names, give labels.columns",
        )
    numbers: list[int] = []
    rows: list[list[str]] = []
    for line, cells in lines:
        if len(cells) != len(names):
            raise ArchiveError(
                "a row has another number of cells than there are names",
                file=path,
                inside=f"line {line}",
                found=f"{len(cells)} cells",
                expected=f"{len(names)}: {names}",
                mend="correct the row, or labels.columns in the mapping",
            )
        numbers.append(line)
        rows.append(cells)
    places = {name: names.index(name) for name in used if name in names}
    return Rows(path, numbers, {name: [cells[at] for cells in rows] for name, at in places.items()})


def read_index(path: Path, *, most: int) -> NDArray[np.int64]:
    """(rows,) the number of each row's cycle, none further from 0 than `most`.

    Raises:
        ArchiveError: not one whole number a line, or they do not rise.
    """
    values = read_matrix(path)
    flat = values[:, 0]
    wrong = np.flatnonzero(~((flat == np.rint(flat)) & (np.abs(flat) <= most)))
    falls = np.flatnonzero(np.diff(flat) <= 0) + 1
    if values.shape[1] != 1 or len(wrong) or len(falls):
        row = int(wrong[0] if len(wrong) else falls[0] if len(falls) else 0)
        raise ArchiveError(
            "the index does not number the cycles",
            file=path,
            inside=f"line {row + 1}",
            found=" ".join(f"{value:g}" for value in values[row, :8])
            + (f" after {flat[row - 1]:g}" if not len(wrong) and len(falls) else ""),
            expected=f"one whole number a line, of at most {most}, each greater than the one before",
            mend="correct the file, or leave `index` out of the mapping if cycles follow each other",
        )
    return flat.astype(np.int64)


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of every line up to the last that is not blank.

    Raises:
        ArchiveError: the file cannot be read, or holds nothing.
    """
    blank: list[int] = []
    filled = False
    opened: Any = gzip.open if _packed(path) else open
    try:
        with opened(path, "rt", encoding="utf-8-sig") as handle:
            for line, text in enumerate(handle, 1):
                if not text.strip():
                    blank.append(line)
                    continue
                # Blank lines are passed over at the end only: between rows, one is a cycle that was lost.
                yield from ((lost, []) for lost in blank)
                blank, filled = [], True
                yield line, _cut(text.strip())
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    if not filled:
        raise ArchiveError(
            "the file is empty",
            file=path,
            found=f"{path.stat().st_size} bytes",
            expected="one row a cycle",
            mend="copy it again from its source",
        )


def _cut(text: str) -> list[str]:
    for delimiter in "\t;,":
        if delimiter in text:
            return [cell.strip() for cell in text.split(delimiter)]
    return text.split()


def _packed(path: Path) -> bool:
    try:
        with path.open("rb") as handle:
            return handle.read(2) == b"\x1f\x8b"
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> ArchiveError:
    folder = sorted(entry.name for entry in path.parent.iterdir()) if path.parent.is_dir() else []
    there = path.name in folder
    return ArchiveError(
        "the file cannot be read" if there else "no such file",
        file=path,
        found=error if there else f"{', '.join(folder[:12])}{' ...' if len(folder) > 12 else ''}",
        expected="text in UTF-8, gzip or not" if there else path.name,
        mend="restore it from its source" if there else f"{nearest(path.name, folder)}correct the mapping",
    )
