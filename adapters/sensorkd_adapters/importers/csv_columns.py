"""The mapped columns of a whole file: times, numbers and classes of its rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd import timeline
from sensorkd.errors import ArchiveError
from sensorkd_adapters.importers.cells import Rows
from sensorkd_adapters.importers.csv_mapping import CsvMapping
from sensorkd_adapters.importers.csv_table import read_table
from sensorkd_adapters.importers.csv_times import stamp_told, times_of

__all__ = ["Columns", "read_columns"]

Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class Columns:
    """Columns that a mapping uses and the file has.

    what, lines (n,): of each row, its number, and what that counts. times: (n,) ns, which never fall.
    numbers: column -> (n,), NaN where empty. classes: target -> (n,), "" where unknown.
    """

    path: Path
    what: str
    lines: Int64
    times: Int64
    numbers: Mapping[str, NDArray[np.float64]]
    classes: Mapping[str, NDArray[np.object_]]

    def place(self, row: int) -> str:
        """Where a row stands in the file."""
        return f"{self.what} {self.lines[row]}"

    def check_order(self, rows: NDArray[np.intp], mapping: CsvMapping, *, repeats: bool) -> None:
        """Stamps of these rows must rise; with `repeats` it is enough that none falls.

        Raises:
            ArchiveError: naming the first line whose stamp does not.
        """
        steps = np.diff(self.times[rows])
        wrong = np.flatnonzero(steps < 0 if repeats else steps <= 0)
        if not len(wrong):
            return
        before, row = int(rows[wrong[0]]), int(rows[wrong[0] + 1])
        falls = self.times[row] < self.times[before]
        told = [stamp_told(int(self.times[one]), mapping.clock) for one in (before, row)]
        raise ArchiveError(
            "time stamps go backwards" if falls else "time stamps repeat",
            file=self.path,
            inside=self.place(row),
            found=f"{told[1]} after {told[0]} at {self.place(before)}; {len(wrong) - 1} more such places",
            expected="a later stamp in every row",
            mend="sort the rows by time, or cut the file where its clock was set back"
            if falls
            else "remove rows that stand twice; where stamps are too coarse for the rate of the samples, "
            "say `rate` and `clock: relative` in place of `time`",
        )


def read_columns(path: Path, mapping: CsvMapping) -> Columns:
    """Read the whole of a table.

    Raises:
        ArchiveError: it is not what the mapping says; the line is named.
    """
    blocks = [_typed(rows, mapping) for rows in read_table(path, mapping)]
    if not blocks:
        raise ArchiveError(
            "the table has no rows",
            file=path,
            found="a line of names and nothing below it",
            expected="one row or more",
            mend="leave the file out",
        )
    lines = np.concatenate([block.lines for block in blocks])
    if mapping.rate is not None:
        times = timeline.sample_times(0, mapping.rate, np.arange(len(lines)))
    else:
        times = np.concatenate([block.times for block in blocks])
        times = times - times[0] if mapping.clock == "relative" else times
    columns = Columns(
        path=path,
        what=blocks[0].what,
        lines=lines,
        times=times,
        numbers=_joined(block.numbers for block in blocks),
        classes=_joined(block.classes for block in blocks),
    )
    columns.check_order(np.arange(len(lines)), mapping, repeats=True)
    return columns


def _typed(rows: Rows, mapping: CsvMapping) -> Columns:
    """A block of text as numbers; of a table without stamps, the times are made later."""
    used = {column for stream in mapping.streams.values() for column in stream.columns}
    return Columns(
        path=rows.path,
        what=rows.what,
        lines=np.array(rows.numbers, dtype=np.int64),
        times=times_of(rows, mapping, mapping.time) if mapping.time else np.zeros(0, np.int64),
        numbers={column: rows.floats(column) for column in rows.cells if column in used},
        classes={
            name: rows.classes(name, target)
            for name, target in mapping.labels.items()
            if target.column in rows.cells
        },
    )


def _joined(blocks: Iterable[Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    parts = list(blocks)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
