"""Importer `cycles`: a row is a cycle, a file is a sensor."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sensorkd.importers import importer_for
from sensorkd.recordings import Recording, Stream
from sensorkd.timeline import SECOND

Imported = Callable[..., list[Recording]]
Refused = Callable[..., Any]
FLOW = {"modality": "flow", "unit": "l/min", "files": ["FS1.txt"]}
ROWS = "1\t2\t3\t4\n5\t6\t7\t8\n9\t10\t11\t12\n"
PUMP = {
    "file": "profile.txt",
    "columns": ["valve", "pump"],
    "targets": {"pump": {"column": "pump"}, "valve": {"column": "valve"}},
}


def samples(stream: Stream) -> list[list[float]]:
    read: list[list[float]] = stream.read(0, int(stream.segments.count.sum())).tolist()
    return read


def told(recording: Recording, target: str) -> list[tuple[int, int, str]]:
    track = recording.tracks[target]
    rows = zip(track.t0 // SECOND, track.t1 // SECOND, track.label, strict=True)
    return [(int(t0), int(t1), label) for t0, t1, label in rows]


def test_every_row_is_a_segment_of_one_recording(folder_imported: Imported) -> None:
    identity = {"rig": "seven", "folder": {"file": "stem"}}
    (recording,) = folder_imported({"FS1.txt": ROWS}, identity=identity)
    assert (recording.id, recording.clock) == ("rig.h5::rig", "relative")
    assert recording.identity == {"rig": "seven", "folder": "rig"}
    stream = recording.streams["flow"]
    assert samples(stream) == [[float(value)] for value in range(1, 13)]
    assert (stream.rate, stream.unit, stream.channels, stream.dtype) == (2.0, "l/min", ("FS1",), np.float32)
    assert (stream.segments.t0 // SECOND).tolist() == [0, 2, 4]
    assert stream.segments.count.tolist() == [4, 4, 4]
    assert stream.segments.offset.tolist() == [0, 4, 8]
    assert stream.segments.rate.tolist() == [2.0, 2.0, 2.0]


@pytest.mark.parametrize(
    "content",
    [
        ROWS.replace("\t", ","),
        ROWS.replace("\t", " ; "),
        ROWS.replace("\t", "   "),
        ROWS.replace("\n", "\t\r\n"),
        "\ufeff" + ROWS + "\n \n",
        gzip.compress(ROWS.encode(), mtime=0),
        "   1.0000000e+00   2.0000000e+00   3.0e0 4\n 5 6 7 8\n9 10 11 1.2E1",
    ],
)
def test_matrices_that_look_different_say_the_same(folder_imported: Imported, content: str | bytes) -> None:
    (recording,) = folder_imported({"FS1.txt": content})
    assert samples(recording.streams["flow"]) == [[float(value)] for value in range(1, 13)]


def test_files_of_one_stream_are_its_channels_and_streams_have_their_own_rates(
    folder_imported: Imported,
) -> None:
    heat = {"modality": "temperature", "unit": "degC", "files": ["sub.TS1.txt.gz", "TS2.txt"], "scale": 0.1,
            "dtype": "int16"}  # fmt: skip
    files = {
        "FS1.txt": ROWS,
        "sub.TS1.txt.gz": gzip.compress(b"200\n201\n202\n", mtime=0),
        "TS2.txt": "300\n301\n302\n",
    }
    (recording,) = folder_imported(files, streams={"flow": FLOW, "heat": {**heat, "channels": ["in", "out"]}})
    stream = recording.streams["heat"]
    assert samples(stream) == [[200, 300], [201, 301], [202, 302]]
    assert (stream.rate, stream.channels, stream.scale, stream.dtype) == (0.5, ("in", "out"), 0.1, np.int16)
    assert (stream.segments.t0 == recording.streams["flow"].segments.t0).all()


def test_gaps_in_the_index_are_gaps_in_time(folder_imported: Imported) -> None:
    files = {"FS1.txt": ROWS, "index.txt": "4\n5\n9\n", "profile.txt": "a\t1\na\t1\na\t1\n"}
    (recording,) = folder_imported(files, index="index.txt", labels=PUMP)
    assert (recording.streams["flow"].segments.t0 // SECOND).tolist() == [8, 10, 18]
    assert told(recording, "pump") == [(8, 12, "1"), (18, 20, "1")]


def test_rows_with_the_same_conditions_are_a_block(folder_imported: Imported) -> None:
    rows = "".join(f"{row} {row}\n" for row in range(6))
    profile = "100 0\n100 0\n100 1\n73 1\n100 1\n100 1\n"
    blocks = folder_imported(
        {"FS1.txt": rows, "profile.txt": profile},
        labels=PUMP,
        block_of=["valve", "pump"],
        identity={"rig": "r"},
    )
    assert [block.id for block in blocks] == [f"rig.h5::b00{number}" for number in range(4)]
    assert [block.identity for block in blocks] == [{"rig": "r", "block": f"b00{n}"} for n in range(4)]
    assert [samples(block.streams["flow"])[::2] for block in blocks] == [[[0], [1]], [[2]], [[3]], [[4], [5]]]
    assert told(blocks[0], "valve") == [(0, 4, "100")]
    assert told(blocks[3], "pump") == [(8, 12, "1")]
    assert [len(block.streams["flow"].segments) for block in blocks] == [2, 1, 1, 2]


def test_a_label_table_may_name_its_columns_and_map_its_cells(folder_imported: Imported) -> None:
    labels = {
        "file": "profile.csv",
        "targets": {
            "pump": {"column": "leak", "classes": {"0": "tight", "1": "leaking", "?": None}},
            "valve": {"column": "valve", "optional": True},
        },
    }
    (recording,) = folder_imported(
        {"FS1.txt": ROWS, "profile.csv": "day,leak\nmon,0\nmon,?\nmon,1\n"}, labels=labels
    )
    assert told(recording, "pump") == [(0, 2, "tight"), (4, 6, "leaking")]
    assert "valve" not in recording.tracks


def test_an_optional_stream_may_be_missing(folder_imported: Imported) -> None:
    streams = {"flow": FLOW, "back": {**FLOW, "files": ["FS2.txt"], "optional": True}}
    (recording,) = folder_imported({"FS1.txt": ROWS}, streams=streams)
    assert list(recording.streams) == ["flow"]


@pytest.mark.parametrize(
    ("content", "line", "told"),
    [
        ("1 2\n3 x\n", "line 2", "'x' in column 2"),
        ("a b\n1 2\n", "line 1", "a line of names must be removed"),
        ("1,2\n3,\n", "line 2", "'' in column 2"),
        ("1\t2\n3\t\t4\n", "line 2", "'' in column 2"),
        ("1,5\t2,5\n", "line 1", "'1,5' in column 1"),
        ("1 2\n3\n", "line 2", "found: 1 cells\n  expected: 2"),
        ("1 2\n\n3 4\n", "line 2", "found: 0 cells"),
        ("", None, "the file is empty"),
        ("\n \n", None, "the file is empty"),
        (b"\xff\xfe1\x00", None, "text in UTF-8"),
        (gzip.compress(b"1 2\n" * 500, mtime=0)[:-15], None, "cannot be read"),
    ],
)
def test_the_line_of_what_is_no_matrix_is_told(
    folder_imported: Imported, refused: Refused, content: str | bytes, line: str | None, told: str
) -> None:
    with refused(told, file="FS1.txt", inside=line):
        folder_imported({"FS1.txt": content})


def test_a_missing_file_is_told_with_the_nearest(folder_imported: Imported, refused: Refused) -> None:
    with refused("no such file", "found: FS1.txt.gz", "did you mean 'FS1.txt.gz'?", file="FS1.txt"):
        folder_imported({"FS1.txt.gz": ROWS})


def test_a_folder_without_any_stream_is_told(folder_imported: Imported, refused: Refused) -> None:
    with refused("none of the streams", file="rig"):
        folder_imported({}, streams={"flow": {**FLOW, "optional": True}})


def test_a_number_that_the_dtype_cannot_hold_is_told(folder_imported: Imported, refused: Refused) -> None:
    with refused("1.5 of 'column 2'", "streams.flow.dtype", file="FS1.txt", inside="line 2"):
        folder_imported({"FS1.txt": "1 2\n3 1.5\n"}, streams={"flow": {**FLOW, "dtype": "int16"}})


@pytest.mark.parametrize("name", ["FS2.txt", "profile.txt", "index.txt"])
def test_files_of_another_number_of_rows_are_told(
    folder_imported: Imported, refused: Refused, name: str
) -> None:
    files = {"FS1.txt": ROWS, "FS2.txt": ROWS, "profile.txt": "1\n1\n1\n", "index.txt": "0\n1\n2\n"}
    files[name] = files[name].partition("\n")[2]
    streams = {"flow": FLOW, "back": {**FLOW, "files": ["FS2.txt"]}}
    labels = {**PUMP, "columns": ["pump"], "targets": {"pump": {"column": "pump"}}}
    with refused("different numbers of rows", "found: 2 rows", "expected: 3, as in FS1.txt", file=name):
        folder_imported(files, streams=streams, labels=labels, index="index.txt")


def test_channels_of_another_shape_are_told(folder_imported: Imported, refused: Refused) -> None:
    streams = {"flow": {**FLOW, "files": ["FS1.txt", "FS2.txt"]}}
    with refused("differ in shape", "3 rows of 2", "3 rows of 4, as in FS1.txt", file="FS2.txt"):
        folder_imported({"FS1.txt": ROWS, "FS2.txt": "1 2\n3 4\n5 6\n"}, streams=streams)


@pytest.mark.parametrize(
    ("content", "line", "told"),
    [
        ("0\n1.5\n2\n", "line 2", "found: 1.5"),
        ("0\nnan\n2\n", "line 2", "found: nan"),
        ("0\n2\n2\n", "line 3", "found: 2 after 2"),
        ("0\n2\n1\n", "line 3", "found: 1 after 2"),
        ("0 1\n2 3\n4 5\n", "line 1", "found: 0 1"),
        ("0\n1\n5000000000\n", "line 3", "of at most 4500000000"),
    ],
)
def test_an_index_that_numbers_nothing_is_told(
    folder_imported: Imported, refused: Refused, content: str, line: str, told: str
) -> None:
    with refused("the index does not number the cycles", told, file="index.txt", inside=line):
        folder_imported({"FS1.txt": ROWS, "index.txt": content}, index="index.txt")


@pytest.mark.parametrize(
    ("profile", "changes", "line", "told"),
    [
        ("1 2\n3\n5 6\n", {}, "line 2", "2: ['valve', 'pump']"),
        ("1 2\n3 4\n5 6\n", {"columns": []}, "line 1", "found: 2 columns: ['1', '2']"),
        (
            "1 2\n3 4\n5 6\n",
            {"targets": {"pump": {"column": "pump", "classes": {"2": "a"}}}},
            "line 2",
            "'4'",
        ),
    ],
)
def test_a_label_table_that_does_not_fit_is_told(
    folder_imported: Imported, refused: Refused, profile: str, changes: dict[str, Any], line: str, told: str
) -> None:
    with refused(told, file="profile.txt", inside=line):
        folder_imported({"FS1.txt": ROWS, "profile.txt": profile}, labels={**PUMP, **changes})


def test_a_folder_is_needed(tmp_path: Path, mapping_file: Callable[..., Path], refused: Refused) -> None:
    (tmp_path / "FS1.txt").write_text(ROWS)
    with refused("a folder is needed", file="FS1.txt"):
        importer_for("cycles").convert(tmp_path / "FS1.txt", tmp_path, mapping_file("cycles"))
