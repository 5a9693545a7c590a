from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sensorkd.recordings import open_recordings

Refused = Callable[..., Any]
STREAM = "/monday/streams/shake"
SAMPLES, SEGMENTS = f"{STREAM}/samples", f"{STREAM}/segments"
TRACK = "/monday/labels/state"
INTERVALS = f"{TRACK}/intervals"


@pytest.fixture
def archive(write_archive: Any, shake: Any) -> Path:
    """A good archive, to be spoiled."""
    return write_archive({"shake": shake()}, labels={"state": [(0, 10**9, "on")]})


def spoil(path: Path, change: Callable[[h5py.File], object]) -> None:
    with h5py.File(path, "r+") as file:
        change(file)


def attribute(node: str, name: str, value: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        file[node].attrs[name] = value

    return change


def without_attribute(node: str, name: str) -> Callable[[h5py.File], None]:
    return lambda file: file[node].attrs.pop(name)


def replaced(node: str, value: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[node]
        if isinstance(value, str) and value == "group":
            file.create_group(node)
        elif value is not None:
            file[node] = value

    return change


ROW = np.zeros(1, [("t0", "<i8"), ("rate", "<f8"), ("offset", "<i8"), ("count", "<i8")])

INTERVAL = [("t0", "<i8"), ("t1", "<i8"), ("label", "S1")]


def at(node: str, name: str) -> str:
    return f"{node} attribute {name}"


MALFORMED: dict[str, tuple[Callable[[h5py.File], None], str, str]] = {
    "no recording": (replaced("/monday", None), "/", "at least one recording"),
    "dataset for a recording": (replaced("/monday", [1]), "/monday", "a group"),
    "root is no archive": (attribute("/", "kind", "bundle"), "/ attribute kind", "archive"),
    "clock missing": (without_attribute("/monday", "clock"), "/monday", "clock"),
    "clock unknown": (attribute("/monday", "clock", "local"), at("/monday", "clock"), "utc or relative"),
    "clock a number": (attribute("/monday", "clock", 1), at("/monday", "clock"), "utc or relative"),
    "another schema": (attribute("/monday", "schema", "2.0"), at("/monday", "schema"), "recording-1.0"),
    "identity a list": (attribute("/monday", "axes", [1, 2]), at("/monday", "axes"), "identity"),
    "identity empty": (attribute("/monday", "who", h5py.Empty("f8")), at("/monday", "who"), "identity"),
    "streams missing": (replaced("/monday/streams", None), "/monday", "streams"),
    "streams a dataset": (replaced("/monday/streams", [1]), "/monday/streams", "a group"),
    "streams empty": (replaced("/monday/streams/shake", None), "/monday/streams", "at least one stream"),
    "streams not marked": (without_attribute("/monday/streams", "schema"), "/monday/streams", "schema"),
    "stream a dataset": (replaced(STREAM, [1]), STREAM, "a group"),
    "unit missing": (without_attribute(STREAM, "unit"), STREAM, "'unit' is a required property"),
    "unit empty": (attribute(STREAM, "unit", ""), at(STREAM, "unit"), "1 where there is none"),
    "unit a number": (attribute(STREAM, "unit", 1), at(STREAM, "unit"), "not of type 'string'"),
    "modality empty": (attribute(STREAM, "modality", ""), at(STREAM, "modality"), "a name"),
    "scale missing": (without_attribute(STREAM, "scale"), STREAM, "'scale' is a required property"),
    "scale zero": (attribute(STREAM, "scale", 0.0), at(STREAM, "scale"), "other than 0"),
    "scale NaN": (attribute(STREAM, "scale", np.nan), at(STREAM, "scale"), "'nan'"),
    "scale text": (attribute(STREAM, "scale", "0.1"), at(STREAM, "scale"), "finite number"),
    "offset infinite": (attribute(STREAM, "offset", np.inf), at(STREAM, "offset"), "'inf'"),
    "channels text": (attribute(STREAM, "channels", "xy"), at(STREAM, "channels"), "last axis"),
    "channels numbers": (attribute(STREAM, "channels", [1]), at(STREAM, "channels"), "not of type 'string'"),
    "channels too few": (attribute(STREAM, "channels", ["x"]), at(STREAM, "channels"), "2 names"),
    "samples missing": (replaced(SAMPLES, None), STREAM, "'samples' is a required property"),
    "samples a group": (replaced(SAMPLES, "group"), SAMPLES, "a dataset"),
    "samples of one axis": (replaced(SAMPLES, np.ones(1000)), SAMPLES, "(n, C)"),
    "samples of three axes": (replaced(SAMPLES, np.ones((9, 2, 2))), SAMPLES, "(n, C)"),
    "samples of no row": (replaced(SAMPLES, np.ones((0, 2))), SAMPLES, "(n, C)"),
    "samples complex": (replaced(SAMPLES, np.ones((9, 2), "c8")), SAMPLES, "floats of 2 to 8"),
    "samples text": (replaced(SAMPLES, np.array([[b"a"]])), SAMPLES, "integers"),
    "samples empty": (replaced(SAMPLES, h5py.Empty("f8")), SAMPLES, "None"),
    "segments short of a column": (
        replaced(SEGMENTS, ROW[["t0", "rate", "offset"]].copy()), SEGMENTS, "count",
    ),
    "segments in seconds": (
        replaced(SEGMENTS, ROW.astype([("t0", "f8"), *ROW.dtype.descr[1:]])),
        SEGMENTS, "int64",
    ),
    "segments a scalar": (replaced(SEGMENTS, ROW[0]), SEGMENTS, "one dimension"),
    "segments without a row": (replaced(SEGMENTS, ROW[:0]), SEGMENTS, "no segment"),
    "segments beyond": (replaced(SEGMENTS, np.array([(0, 1.0, 0, 9999)], ROW.dtype)), SEGMENTS, "beyond"),
    "labels a dataset": (replaced("/monday/labels", [1]), "/monday/labels", "a group"),
    "track a dataset": (replaced(TRACK, [1]), TRACK, "a group"),
    "intervals missing": (replaced(INTERVALS, None), TRACK, "'intervals'"),
    "intervals a group": (replaced(INTERVALS, "group"), INTERVALS, "a dataset"),
    "intervals of numbers": (replaced(INTERVALS, [1]), INTERVALS, "t0, t1, label"),
    "intervals backwards": (
        replaced(INTERVALS, np.array([(5, 4, b"x")], INTERVAL)),
        INTERVALS, "row 0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MALFORMED)
def test_a_tree_unlike_the_schema_is_refused_where_it_differs(
    archive: Path, case: str, refused: Refused
) -> None:
    change, inside, told = MALFORMED[case]
    spoil(archive, change)
    with refused(archive, told, inside=inside):
        open_recordings(archive)


def test_a_stranger_in_a_recording_is_refused(archive: Path, refused: Refused) -> None:
    spoil(archive, lambda file: file.create_group("monday/notes"))
    with refused(archive, "'notes' was unexpected", inside="/monday"):
        open_recordings(archive)


def test_several_faults_are_counted(archive: Path, refused: Refused) -> None:
    spoil(archive, attribute(STREAM, "scale", 0.0))
    spoil(archive, attribute(STREAM, "unit", ""))
    with refused(archive, "(2 problems in all)"):
        open_recordings(archive)


def test_labels_are_not_needed(archive: Path) -> None:
    spoil(archive, replaced("/monday/labels", None))
    assert open_recordings(archive)[0].tracks == {}


@pytest.mark.parametrize("version", [None, "recording-2.0", 1])
def test_another_kind_of_file_is_pointed_to_layouts(archive: Path, version: Any, refused: Refused) -> None:
    spoil(archive, without_attribute("/", "schema") if version is None else attribute("/", "schema", version))
    with refused(archive, "give a layout", repr(version) if version else "no schema attribute"):
        open_recordings(archive)


def test_names_that_the_check_itself_uses_are_no_trouble(
    write_archive: Any, shake: Any, refused: Refused
) -> None:
    path = write_archive({"attributes": shake(), "members": shake()}, recordings=("members",))
    assert set(open_recordings(path)[0].streams) == {"attributes", "members"}
    spoil(path, attribute("/members/streams/attributes", "unit", ""))
    with refused(path, inside="/members/streams/attributes attribute unit"):
        open_recordings(path)


def test_text_written_by_others_with_variable_length_is_read(archive: Path) -> None:
    def change(file: h5py.File) -> None:
        for name in ("modality", "unit"):
            file[STREAM].attrs[name] = str(file[STREAM].attrs[name].decode())  # h5py's own way
        rows = np.array([(0, 9, "läuft")], [("t0", "<i8"), ("t1", "<i8"), ("label", h5py.string_dtype())])
        replaced(INTERVALS, rows)(file)

    spoil(archive, change)
    (recording,) = open_recordings(archive)
    assert (recording.streams["shake"].unit, recording.tracks["state"].label) == ("m/s2", ("läuft",))
