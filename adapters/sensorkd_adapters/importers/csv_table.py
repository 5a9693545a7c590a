"""Reads tables, delimited text or Parquet, block by block: a long one would not fit into memory as text."""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from sensorkd.errors import ArchiveError, nearest
from sensorkd_adapters.importers.cells import Rows
from sensorkd_adapters.importers.csv_mapping import CsvMapping

__all__ = ["BLOCK", "read_table"]

BLOCK = 50_000
DELIMITERS = (",", ";", "\t")
# What programs of Windows begin text in wide characters with; the longer ones first.
MARKS = {
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
# Excel's own first line, for Excel; the names follow.
SEPARATOR = re.compile(r"sep=([^\r\n])\s*$", re.IGNORECASE)


def read_table(path: Path, mapping: CsvMapping) -> Iterator[Rows]:
    """The mapped columns of a table, some thousand rows at a time.

    Raises:
        ArchiveError: it cannot be read, lacks a column, or a row has another number of cells.
    """
    with _told(path, mapping), path.open("rb") as handle:
        head = handle.read(512)
    if not head:
        raise ArchiveError(
            "the file is empty: the logger likely died before its first flush",
            file=path,
            found="0 bytes",
            expected="a table",
            mend="remove it, or copy it again from the logger",
        )
    if head.startswith(b"PAR1"):
        return _parquet_rows(path, mapping)
    packed = head.startswith(b"\x1f\x8b")
    wide = _encoding(head, mapping).startswith(("utf-16", "utf-32"))
    if b"\0" in head and not packed and not wide:
        raise ArchiveError(
            "the file is not a table of text",
            file=path,
            found=f"binary data: {head[:8]!r}",
            expected="delimited text, gzip or not, or Parquet",
            mend="export it as CSV, or name the `encoding` in the mapping if it is text in UTF-16",
        )
    return _text_rows(path, mapping, packed=packed)


def _text_rows(path: Path, mapping: CsvMapping, *, packed: bool) -> Iterator[Rows]:
    opened: Any = gzip.open if packed else open
    with _told(path, mapping), opened(path, "rb") as handle:
        encoding = _encoding(handle.read(4), mapping)
    with _told(path, mapping), opened(path, "rt", encoding=encoding, newline="") as handle:
        before = list(islice(handle, mapping.header - 1))
        line = next(handle, "")
        if mapping.header == 1 and SEPARATOR.match(line):
            before, line = [line], next(handle, "")
        names, delimiter = _names(path, line, len(before) + 1, mapping, _separator(before))
        places = _places(path, names, mapping)
        reader = csv.reader(handle, delimiter=delimiter, skipinitialspace=True)
        first = len(before) + 1
        numbered = ((first + reader.line_num, [cell.strip() for cell in cells]) for cells in reader)
        filled = ((line, _cut(path, line, cells, names)) for line, cells in numbered if any(cells))
        missing = frozenset(mapping.missing)
        while block := list(islice(filled, BLOCK)):
            yield Rows(
                path,
                [line for line, _ in block],
                {
                    column: ["" if cells[at] in missing else cells[at] for _, cells in block]
                    for column, at in places.items()
                },
                decimal=mapping.decimal,
            )


def _encoding(head: bytes, mapping: CsvMapping) -> str:
    """The one that the file's first bytes tell, else the mapping's."""
    return next((name for mark, name in MARKS.items() if head.startswith(mark)), mapping.encoding)


def _separator(before: Sequence[str]) -> str | None:
    """The delimiter that the first line names for Excel, if it does."""
    found = SEPARATOR.match(before[0].lstrip("\ufeff")) if before else None
    return found[1] if found else None


def _names(
    path: Path, line: str, number: int, mapping: CsvMapping, separator: str | None
) -> tuple[list[str], str]:
    """The names of the columns, and what stands between them."""
    told = mapping.delimiter or separator
    options = [told] if told else DELIMITERS
    cut = {
        delimiter: next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
        for delimiter in options
    }
    delimiter = max(cut, key=lambda one: len(cut[one]))
    names = [name.strip() for name in cut[delimiter]]
    if not any(names):
        raise ArchiveError(
            "there is no line of names",
            file=path,
            inside=f"line {number}",
            found=repr(line[:80]),
            expected="the names of the columns",
            mend="say in the mapping which line has them: `header: NUMBER`",
        )
    return names, delimiter


def _places(path: Path, names: Sequence[str], mapping: CsvMapping) -> dict[str, int]:
    """Where the mapped columns stand; those that a file may lack are left out."""
    used = mapping.columns()
    absent = [column for column, needed in used.items() if needed and column not in names]
    if absent:
        hints = "".join(nearest(column, names) for column in absent)
        raise ArchiveError(
            "columns are missing",
            file=path,
            inside=f"line {mapping.header}",
            found=f"{len(names)} columns: {list(names)}",
            expected=absent,
            mend=f"{hints}correct the names, `delimiter` or `header` in the mapping; "
            "a stream or label that some files lack is `optional: true`",
        )
    twice = [column for column in used if names.count(column) > 1]
    if twice:
        raise ArchiveError(
            "two columns have the same name",
            file=path,
            inside=f"line {mapping.header}",
            found=twice,
            expected="one column of each name that the mapping uses",
            mend="name the columns otherwise",
        )
    return {column: names.index(column) for column in used if column in names}


def _cut(path: Path, line: int, cells: list[str], names: Sequence[str]) -> list[str]:
    """A row of as many cells as there are names; a delimiter at the end of rows alone is passed over."""
    while len(cells) > len(names) and not cells[-1]:
        cells.pop()
    if len(cells) != len(names):
        raise ArchiveError(
            "a row has another number of cells than there are names",
            file=path,
            inside=f"line {line}",
            found=f"{len(cells)} cells",
            expected=f"{len(names)}: {list(names)}",
            mend="a last line cut short can be removed; a text with the delimiter in it needs double quotes",
        )
    return cells


def _parquet_rows(path: Path, mapping: CsvMapping) -> Iterator[Rows]:
    with _told(path, mapping):
        try:
            table = pd.read_parquet(path)
        except ImportError as error:
            raise ArchiveError(
                "Parquet cannot be read here",
                file=path,
                found=str(error).splitlines()[0],
                expected="pyarrow",
                mend="pip install pyarrow",
            ) from error
        if table.index.names != [None]:  # times are often kept there
            table = table.reset_index()
        places = _places(path, [str(name) for name in table.columns], mapping)
        for start in range(0, len(table), BLOCK):
            block = table.iloc[start : start + BLOCK]
            yield Rows(
                path,
                range(start + 1, start + len(block) + 1),
                {column: _texts(block.iloc[:, at], mapping.missing) for column, at in places.items()},
                what="row",
            )


def _texts(cells: Iterable[Any], missing: Sequence[str]) -> list[str]:
    texts = ["" if pd.isna(cell) else str(cell).strip() for cell in cells]
    return ["" if text in missing else text for text in texts]


@contextmanager
def _told(path: Path, mapping: CsvMapping) -> Iterator[None]:
    """What reading raises, as one error."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise ArchiveError(
            "the text is not in this encoding",
            file=path,
            found=error,
            expected=mapping.encoding,
            mend="name it in the mapping: `encoding: cp1252` is usual on Windows, utf-16 for Excel's Unicode",
        ) from error
    except (OSError, EOFError, zlib.error, csv.Error, ValueError) as error:
        raise ArchiveError(
            "the table cannot be read",
            file=path,
            found=error,
            expected="delimited text, gzip or not, or Parquet",
            mend="restore the file from its source, or leave it out",
        ) from error
