"""Importer `csv`: what tables may look like, and what their streams, labels and identity become."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sensorkd_adapters.importers import csv_table

from sensorkd.importers import importer_for
from sensorkd.recordings import LabelTrack, Recording
from sensorkd.timeline import SECOND

Imported = Callable[..., Recording]
FLOW = {"modality": "flow", "unit": "l/min", "columns": ["flow"]}
HEAT = {"modality": "temperature", "unit": "degC", "columns": ["heat"]}
STATE = {"state": {"column": "s"}}
PLAIN = "t,flow\n0,1.5\n1,2.5\n2,-3e1\n"
VALUES = [[1.5], [2.5], [-30.0]]


def samples(recording: Recording, stream: str = "flow") -> list[list[float]]:
    held = recording.streams[stream]
    read: list[list[float]] = held.read(0, int(held.segments.count.sum())).tolist()
    return read


def seconds(track: LabelTrack) -> list[tuple[float, float, str]]:
    rows = zip(track.t0, track.t1, track.label, strict=True)
    return [(t0 / SECOND, t1 / SECOND, label) for t0, t1, label in rows]


def test_a_table_becomes_one_recording_of_its_name(imported: Imported) -> None:
    recording = imported(
        PLAIN, identity={"machine": "press 4", "file": {"file": "stem"}, "line": {"file": "parent"}}
    )
    assert (recording.id, recording.clock) == ("press.h5::press", "relative")
    assert recording.identity == {"machine": "press 4", "file": "press", "line": "line 2"}
    stream = recording.streams["flow"]
    assert samples(recording) == VALUES
    assert (stream.modality, stream.unit, stream.channels) == ("flow", "l/min", ("flow",))
    assert stream.dtype == np.float32
    assert (stream.rate, len(stream.segments), stream.start) == (1.0, 1, 0)


@pytest.mark.parametrize(
    ("content", "changes"),
    [
        (PLAIN.replace(",", ";"), {}),
        (PLAIN.replace(",", "\t"), {}),
        (PLAIN.replace(",", "|"), {"delimiter": "|"}),
        (PLAIN.replace(",", "\t"), {"delimiter": "tab"}),
        (PLAIN.replace(",", ";").replace(".", ","), {"decimal": ","}),
        (PLAIN.replace("\n", "\r\n"), {}),
        ("\ufeff" + PLAIN, {}),
        (("\ufeff" + PLAIN).encode("utf-16-le"), {"encoding": "utf-16"}),
        (gzip.compress(PLAIN.encode(), mtime=0), {"name": "press.csv.gz"}),
        (PLAIN.rstrip("\n"), {}),
        ("rig 7\nmade,by,hand\n" + PLAIN, {"header": 3}),
        (PLAIN.replace("1,2.5\n", "\n,\n1,2.5\n"), {}),  # blank rows
        (PLAIN.replace("5\n", "5,\n"), {}),  # a delimiter at the end of rows
        ('"t", "flow"\n' + PLAIN.partition("\n")[2].replace("2.5", '" 2.5 "'), {}),
    ],
)
def test_tables_that_look_different_say_the_same(
    imported: Imported, content: str | bytes, changes: dict[str, Any]
) -> None:
    recording = imported(content, **changes)
    assert recording.id == "press.h5::press"
    assert samples(recording) == VALUES


def test_names_may_have_letters_of_their_encoding(imported: Imported) -> None:
    streams = {"flow": {**FLOW, "columns": ["Durchfluß"]}}
    recording = imported(
        PLAIN.replace("flow", "Durchfluß").encode("cp1252"), encoding="cp1252", streams=streams
    )
    assert recording.streams["flow"].channels == ("Durchfluß",)


def test_columns_become_channels_in_the_order_of_the_mapping(imported: Imported) -> None:
    stream = {**FLOW, "columns": ["b", "a"], "channels": ["left", "right"], "scale": 0.5, "offset": 3.0}
    recording = imported("t,a,c,b\n0,1,x,2\n1,3,y,4\n", streams={"flow": {**stream, "dtype": "int16"}})
    held = recording.streams["flow"]
    assert samples(recording) == [[2, 1], [4, 3]]
    assert (held.channels, held.scale, held.offset, held.dtype) == (("left", "right"), 0.5, 3.0, np.int16)


def test_a_slow_sensor_in_a_sparse_table_has_a_rate_of_its_own(imported: Imported) -> None:
    rows = [f"{i / 10},{i},{20 + i if i % 5 == 0 else ''}" for i in range(50)]
    recording = imported("\n".join(["t,flow,heat", *rows]), streams={"flow": FLOW, "heat": HEAT})
    assert recording.streams["flow"].rate == pytest.approx(10.0)
    assert recording.streams["heat"].rate == pytest.approx(2.0)
    assert samples(recording, "heat") == [[20.0 + i] for i in range(0, 50, 5)]


def test_two_sensors_may_have_a_row_each_at_one_time(imported: Imported) -> None:
    rows = [f"{i},{i},\n{i},,{20 + i}\n" for i in range(4)]
    recording = imported("t,flow,heat\n" + "".join(rows), streams={"flow": FLOW, "heat": HEAT})
    assert samples(recording) == [[0.0], [1.0], [2.0], [3.0]]
    assert samples(recording, "heat") == [[20.0], [21.0], [22.0], [23.0]]
    assert recording.streams["heat"].segments.t0.tolist() == [0]


def test_a_single_empty_cell_is_not_a_number(imported: Imported) -> None:
    streams = {"flow": {**FLOW, "columns": ["a", "b"]}}
    recording = imported("t,a,b\n0,1,\n1,n/a,3\n2,NaN,-\n3,6,7\n", streams=streams, missing=["n/a", "-"])
    read = recording.streams["flow"].read(0, 3)
    np.testing.assert_array_equal(read, np.array([[1, np.nan], [np.nan, 3], [6, 7]], np.float32))


def test_a_pause_begins_a_segment(imported: Imported) -> None:
    rows = "".join(f"{t},{t}\n" for t in (0, 1, 2, 60, 61, 62, 63))
    segments = imported("t,flow\n" + rows).streams["flow"].segments
    assert (segments.t0 // SECOND).tolist() == [0, 60]
    assert segments.count.tolist() == [3, 4]
    assert segments.rate.tolist() == [1.0, 1.0]


def test_whole_seconds_of_a_sensor_at_0_96_hz_are_one_segment_of_that_rate(imported: Imported) -> None:
    stamps = np.floor(np.arange(500) / 0.96).astype(int)
    stream = imported("t,flow\n" + "".join(f"{t},1\n" for t in stamps)).streams["flow"]
    assert len(stream.segments) == 1
    assert stream.rate == pytest.approx(0.96, rel=5e-3)


def test_rows_at_a_rate_need_no_stamps(imported: Imported) -> None:
    recording = imported("flow,s\n1,a\n2,a\n3,b\n", time=None, rate=8.0, labels=STATE)
    stream = recording.streams["flow"]
    assert (stream.rate, stream.start, stream.segments.count.tolist()) == (8.0, 0, [3])
    assert seconds(recording.tracks["state"]) == [(0.0, 0.25, "a"), (0.25, 0.375, "b")]
    assert samples(imported("flow,s\n1,a\n", time=None, rate=8.0, labels=STATE)) == [[1.0]]


def test_equal_cells_in_a_line_are_one_label_interval(imported: Imported) -> None:
    cells = ["a", "a", "b", "", "b", "a", "a"]
    content = "t,flow,s\n" + "".join(f"{t},1,{cell}\n" for t, cell in enumerate(cells))
    track = imported(content, labels=STATE).tracks["state"]
    assert seconds(track) == [(0, 2, "a"), (2, 3, "b"), (4, 5, "b"), (5, 7, "a")]


def test_a_label_holds_for_one_period_before_a_gap(imported: Imported) -> None:
    content = "t,flow,s\n" + "".join(f"{t},1,a\n" for t in (0, 1, 2, 50, 51, 52))
    assert seconds(imported(content, labels=STATE).tracks["state"]) == [(0, 3, "a"), (50, 53, "a")]


def test_cells_stand_for_classes_and_null_for_unknown(imported: Imported) -> None:
    labels = {"state": {"column": "s", "classes": {"0": "normal", "1": "fault", "?": None}}}
    track = imported("t,flow,s\n0,1,0\n1,1,?\n2,1,1\n", labels=labels).tracks["state"]
    assert seconds(track) == [(0, 1, "normal"), (2, 3, "fault")]


def test_what_is_optional_may_be_missing_or_empty(imported: Imported) -> None:
    changes = {
        "streams": {"flow": FLOW, "heat": {**HEAT, "optional": True}},
        "labels": {"state": {"column": "s", "optional": True}},
    }
    for content in (PLAIN, "t,flow,heat\n0,1.5,\n1,2.5,\n2,-30,\n"):
        recording = imported(content, **changes)
        assert list(recording.streams) == ["flow"]
        assert recording.tracks == {}


def test_a_table_longer_than_a_block_is_read_whole(
    imported: Imported, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_table, "BLOCK", 7)
    content = "t,flow,s\n" + "".join(f"{t},{t},{t // 10}\n" for t in range(40))
    recording = imported(content, labels=STATE)
    assert samples(recording) == [[float(t)] for t in range(40)]
    assert seconds(recording.tracks["state"]) == [(t, t + 10, str(t // 10)) for t in range(0, 40, 10)]


def parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()


def test_a_parquet_table_keeps_its_times_and_numbers(imported: Imported) -> None:
    times = pd.date_range("2024-03-01 07:00", periods=3, freq="500ms", tz="Europe/Berlin")
    frame = pd.DataFrame({"t": times, "flow": [0.1, np.nan, 7], "heat": [1, 2, 3], "s": ["a", None, "b"]})
    recording = imported(
        parquet(frame), name="press.parquet", clock="utc", time={"column": "t"}, decimal=",", labels=STATE,
        streams={"flow": {**FLOW, "columns": ["flow", "heat"], "dtype": "float64"}},
    )  # fmt: skip
    stream = recording.streams["flow"]
    np.testing.assert_array_equal(stream.read(0, 3), [[0.1, 1], [np.nan, 2], [7, 3]])
    assert (stream.start, stream.rate) == (1_709_272_800 * SECOND, 2.0)
    assert recording.tracks["state"].label == ("a", "b")
    again = imported(parquet(frame.set_index("t")), name="again.parquet", clock="utc", time={"column": "t"})
    assert again.streams["flow"].start == stream.start


def test_a_folder_means_all_tables_in_it(tmp_path: Path) -> None:
    wanted = ["a.csv", "b.CSV", "deep/down/c.csv.gz", "deep/d.tsv", "deep/e.parquet"]
    for name in [*wanted, "notes.txt", "._a.csv", "deep/f.csv.bak"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = importer_for("csv").sources(tmp_path)
    assert sorted(file.relative_to(tmp_path).as_posix() for file, _ in found) == sorted(wanted)
    assert {folder.as_posix() for _, folder in found} == {".", "deep", "deep/down"}


@pytest.mark.parametrize("first", ["sep=;", "SEP=;", "\ufeffsep=;"])
def test_the_line_that_excel_writes_for_itself_names_the_delimiter(imported: Imported, first: str) -> None:
    table = f"{first}\r\nt;flow,with comma\r\n0;1\r\n1;2\r\n"
    flow = {"flow": {**FLOW, "columns": ["flow,with comma"]}}
    assert imported(table, streams=flow).streams["flow"].read(0, 9)[:, 0].tolist() == [1, 2]
    assert imported(table, streams=flow, header=2).streams["flow"].read(0, 9)[:, 0].tolist() == [1, 2]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("packed", [False, True])
def test_text_in_wide_characters_tells_so_itself(imported: Imported, encoding: str, packed: bool) -> None:
    content = ("" if encoding in ("utf-16", "utf-32") else "\ufeff") + "t\tflüsse\r\n0\t1\r\n1\t2\r\n"
    raw = content.encode(encoding)
    recording = imported(
        gzip.compress(raw, mtime=0) if packed else raw, streams={"flow": {**FLOW, "columns": ["flüsse"]}}
    )
    assert recording.streams["flow"].read(0, 9)[:, 0].tolist() == [1, 2]


def test_an_error_after_the_line_of_excel_names_the_right_line(imported: Imported, refused: Any) -> None:
    with refused("a cell is not a number", inside="line 4"):
        imported("sep=;\nt;flow\n0;1\n1;x\n")
