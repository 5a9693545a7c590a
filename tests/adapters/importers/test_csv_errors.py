"""What is wrong with a table is told with its line, and nothing of it is left behind."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sensorkd.errors import ArchiveError
from sensorkd.importers import importer_for
from sensorkd.recordings import Recording

Imported = Callable[..., Recording]
Refused = Callable[..., Any]
FLOW = {"modality": "flow", "unit": "l/min", "columns": ["flow"]}
HEAT = {"modality": "temperature", "unit": "degC", "columns": ["heat"]}
STATE = {"state": {"column": "s"}}
HEAD = "t;flow;s\n0;1;a\n1;2;a\n"


@pytest.mark.parametrize("cell", ["abc", "1_000", "0x10", "1,5", "--1", "1 2", "12:30"])
def test_a_cell_that_is_no_number_is_told(imported: Imported, refused: Refused, cell: str) -> None:
    with refused("a cell is not a number", f"{cell!r} in column 'flow'", file="press.csv", inside="line 4"):
        imported(f"{HEAD}2;{cell};a\n")


def test_a_point_is_no_decimal_comma(imported: Imported, refused: Refused) -> None:
    with refused("'1.234' in column 'flow'", "',' before its decimals", inside="line 3"):
        imported("t;flow\n0;1,5\n1;1.234\n", decimal=",")


@pytest.mark.parametrize(
    ("row", "found"), [("2;3", "2 cells"), ("2;3;a;b", "4 cells"), ('2;"3\n4"', "2 cells")]
)
def test_a_row_of_another_length_is_told(imported: Imported, refused: Refused, row: str, found: str) -> None:
    line = f"line {4 + row.count(chr(10))}"
    with refused("another number of cells", found, "3: ['t', 'flow', 's']", file="press.csv", inside=line):
        imported(f"{HEAD}{row}\n")


def test_missing_columns_are_told_all_at_once_with_the_nearest(imported: Imported, refused: Refused) -> None:
    streams = {"flow": {**FLOW, "columns": ["flowe"]}, "heat": HEAT}
    with refused("['t', 'flow', 's']", "['flowe', 'heat']", "did you mean 'flow'?", inside="line 1"):
        imported(HEAD, streams=streams)
    with refused("['t;flow;s']", inside="line 1"):
        imported(HEAD, delimiter=",")
    with refused("expected: ['t']", "`optional: true`", inside="line 1"):
        imported("flow;s\n1;a\n")


def test_a_name_that_stands_twice_is_told(imported: Imported, refused: Refused) -> None:
    with refused("two columns have the same name", "['flow']", inside="line 1"):
        imported("t;flow;flow\n0;1;2\n")


@pytest.mark.parametrize(
    ("content", "changes", "told"),
    [
        ("", {}, "the file is empty"),
        ("\n\n", {}, "there is no line of names"),
        ("t,flow\n", {"header": 5}, "there is no line of names"),
        ("t,flow\n", {}, "the table has no rows"),
        ("t,flow\n,\n", {}, "the table has no rows"),
        ("t,flow\n0,\n1,\n", {}, "a stream has no number in any row"),
        ("t,flow\n0,\n1,\n", {"streams": {"flow": {**FLOW, "optional": True}}}, "none of the streams"),
        ("t,flow\n0,ä\n".encode("cp1252"), {}, "encoding: cp1252"),
        (b"PK\x03\x04\x14\x00\x00", {}, "export it as CSV"),
        (
            gzip.compress(b"t,flow\n" + b"0,1\n" * 500, mtime=0)[:-20],
            {"name": "press.csv.gz"},
            "cannot be read",
        ),
        (gzip.compress(b"t,flow\n0,1\n", mtime=0)[:10] + b"\xff" * 20, {}, "cannot be read"),
        ("t,flow\n0," + "1" * 200_000, {}, "field limit"),
    ],
)
def test_a_table_that_cannot_be_used_is_told(
    imported: Imported, refused: Refused, content: str | bytes, changes: dict[str, Any], told: str
) -> None:
    with refused(told, file=changes.get("name", "press.csv")):
        imported(content, **changes)


@pytest.mark.parametrize(
    ("cell", "dtype", "told"),
    [
        ("1.5", "int16", "1.5 of 'flow'"),
        ("40000", "int16", "up to 32767"),
        ("-1", "uint8", "-1 of 'flow'"),
        ("9007199254740994", "int64", "9007199254740994 of 'flow'"),
    ],
)
def test_an_integer_dtype_takes_only_what_it_can_hold(
    imported: Imported, refused: Refused, cell: str, dtype: str, told: str
) -> None:
    with refused(told, "streams.flow.dtype: float32", file="press.csv", inside="line 3"):
        imported(f"t,flow\n0,7\n1,{cell}\n", streams={"flow": {**FLOW, "dtype": dtype}})


def test_an_integer_dtype_takes_no_empty_cell(imported: Imported, refused: Refused) -> None:
    stream = {**FLOW, "columns": ["flow", "back"], "dtype": "int16"}
    with refused("nan of 'back'", "no empty cell", inside="line 3"):
        imported("t,flow,back\n0,7,8\n1,9,\n", streams={"flow": stream})


def test_a_label_cell_without_a_class_is_told(imported: Imported, refused: Refused) -> None:
    labels = {"state": {"column": "s", "classes": {"b": "fault"}}}
    with refused("'a' in column 's'", "['b']", "null means unknown", file="press.csv", inside="line 2"):
        imported(HEAD, labels=labels)


def test_rows_of_one_time_cannot_have_two_labels(imported: Imported, refused: Refused) -> None:
    content = "t,flow,heat,s\n0,1,,a\n0,,5,a\n1,2,,a\n1,,6,b\n"
    streams = {"flow": FLOW, "heat": HEAT}
    with refused("different labels", "'a' and 'b' for target 'state'", inside="line 4"):
        imported(content, streams=streams, labels=STATE)


def test_parquet_says_what_it_needs(
    imported: Imported, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(path: Path) -> None:
        raise ImportError("Unable to find a usable engine")

    monkeypatch.setattr(pd, "read_parquet", missing)
    with refused("pip install pyarrow", file="press.parquet"):
        imported(b"PAR1", name="press.parquet")


def test_no_archive_is_overwritten(tmp_path: Path, mapping_file: Callable[..., Path]) -> None:
    (tmp_path / "press.csv").write_text("not even a table")
    (tmp_path / "press.h5").write_text("years of work")
    with pytest.raises(ArchiveError, match="exists already"):
        importer_for("csv").convert(tmp_path / "press.csv", tmp_path, mapping_file())
    assert (tmp_path / "press.h5").read_text() == "years of work"
