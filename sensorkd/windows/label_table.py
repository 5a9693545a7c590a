"""Reads label tables, CSV or Parquet, as rows of text, each with the place it came from."""

from __future__ import annotations

import csv
from collections.abc import Collection
from pathlib import Path

import pandas as pd

from sensorkd.errors import ConfigError

__all__ = ["TIMES", "LabelRow", "read_label_table"]

TIMES = ("t0", "t1", "t")
LabelRow = tuple[str, dict[str, str]]


def read_label_table(
    path: str | Path, *, numbers: Collection[str] = TIMES
) -> tuple[list[str], list[LabelRow]]:
    """Names of the columns, and the rows: (place such as "line 4", column -> text, "" where empty).

    In a CSV, blank lines and remarks (lines that begin with # and a space) are passed over. Cells are parted
    by what parts the header: commas, semicolons (then numbers may have a decimal comma) or tabs. numbers: the
    columns that hold these.

    Raises:
        ConfigError: it does not exist, cannot be read, or a row has another number of cells.
    """
    path = Path(path)
    try:
        return _read_parquet(path) if path.suffix == ".parquet" else _read_csv(path, numbers)
    except (OSError, ValueError, ImportError, csv.Error) as error:
        raise ConfigError(
            "the label table cannot be read" if path.is_file() else "no such label table",
            file=path,
            found=error,
            expected="a CSV file in UTF-8, or a Parquet file (which needs pyarrow)",
            mend="correct `labels`, or save the table again",
        ) from error


def _read_csv(path: Path, numbers: Collection[str]) -> tuple[list[str], list[LabelRow]]:
    columns: list[str] = []
    rows: list[LabelRow] = []
    with path.open(encoding="utf-8-sig", newline="") as handle:
        # Blanked, not dropped, so that the line numbers stay those of the file.
        lines = ["\n" if line.startswith("# ") or line.strip() == "#" else line for line in handle]
        header = next((line for line in lines if line.strip()), "")
        mark = max(",;\t", key=header.count)
        reader = csv.reader(lines, delimiter=mark)
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if not columns:
                columns = cells
                continue
            place = f"line {reader.line_num}"
            if len(cells) != len(columns):
                raise ConfigError(
                    "a row has another number of cells than the header",
                    file=path,
                    inside=place,
                    found=f"{len(cells)} cells",
                    expected=f"{len(columns)}: {columns}",
                    mend="put names with commas in double quotes",
                )
            row = dict(zip(columns, cells, strict=True))
            if mark == ";":
                row |= {name: row[name].replace(",", ".") for name in numbers if name in row}
            rows.append((place, row))
    return columns, rows


def _read_parquet(path: Path) -> tuple[list[str], list[LabelRow]]:
    table = pd.read_parquet(path)
    text = table.astype(object).where(table.notna(), "")
    records = [{str(key): str(value) for key, value in row.items()} for row in text.to_dict("records")]
    return [str(name) for name in table.columns], [(f"row {n}", row) for n, row in enumerate(records, 1)]
