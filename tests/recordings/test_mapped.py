from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sensorkd.recordings import Layout, Recording, open_recordings
from sensorkd.timeline import SECOND

Refused = Callable[..., Any]
WriteLayout = Callable[..., Path]
DATA = Path(os.environ.get("SENSORKD_DATA", Path(__file__).parents[3] / "shared" / "data")) / "utd_mhad"


def write_nodes(path: Path, nodes: dict[str, Any]) -> None:
    """Datasets by path, each a value or a pair of value and attributes; @name is a root attribute."""
    with h5py.File(path, "w") as file:
        for name, value in nodes.items():
            if name.startswith("@"):
                file.attrs[name[1:]] = value
                continue
            content, attributes = value if isinstance(value, tuple) else (value, {})
            file[name] = content
            file[name].attrs.update(attributes)


@pytest.fixture
def lab(tmp_path: Path, layout_file: WriteLayout) -> Callable[..., Recording]:
    """Writes nodes into lab.h5 and opens it as a layout of one stream says."""

    def build(nodes: dict[str, Any], top: dict[str, Any] | None = None, **stream: Any) -> Recording:
        write_nodes(tmp_path / "lab.h5", nodes)
        return open_recordings(tmp_path / "lab.h5", layout_file(top, **stream))[0]

    return build


SHAKE = np.arange(300, dtype=np.int16).reshape(100, 3)


def test_every_trial_group_is_a_recording(trials: Path, utd_layout: Layout) -> None:
    recordings = open_recordings(trials, utd_layout)
    assert [item.id for item in recordings] == [f"subject9.h5::a01_t{n}" for n in (1, 2, 3)]
    first = recordings[0]
    assert (first.clock, first.identity) == ("relative", {"subject": "9", "trial": "1"})
    assert first.tracks["action"].label == ("wave",)
    assert (first.start, first.end) == (0, 3_200_000_000)
    assert first.tracks["action"].t1.tolist() == [3_200_000_000]
    acceleration = first.streams["acceleration"]
    assert (acceleration.unit, acceleration.rate, acceleration.channels) == ("g", 50.0, ("x", "y", "z"))
    np.testing.assert_array_equal(acceleration.read(0, 2), [[1, 2, 3], [4, 5, 6]])
    assert list(first.streams) == ["video", "acceleration", "gyroscope"]


def test_a_rate_that_is_not_to_be_trusted_is_derived_from_the_shared_span(
    trials: Path, utd_layout: Layout
) -> None:
    video = open_recordings(trials, utd_layout)[0].streams["video"]
    assert video.rate == pytest.approx(20.0)  # 64 frames in 3.2 s; the file says 30
    assert video.nominal_rate == 30.0
    assert video.end == 3_200_000_000
    assert (video.sample_shape, video.unit, video.dtype) == ((6, 8, 1), "mm", np.uint16)
    np.testing.assert_array_equal(video.read(5, 6), np.full((1, 6, 8, 1), 5))


@pytest.mark.skipif(not DATA.is_dir(), reason=f"UTD-MHAD is not at {DATA}; set SENSORKD_DATA")
def test_utd_mhad_itself_is_read_as_it_is(utd_layout: Layout) -> None:
    counts, rates = {}, []
    for path in sorted(DATA.glob("subject[12].h5")):
        recordings = open_recordings(path, utd_layout)
        counts[path.stem] = len(recordings)
        rates += [item.streams["video"].rate for item in recordings]
        assert {item.identity["subject"] for item in recordings} == {path.stem[-1]}
        assert len({item.tracks["action"].label[0] for item in recordings}) == 27
    assert counts == {"subject1": 107, "subject2": 108}
    assert 18.0 < np.median(rates) < 20.0  # a camera that claims 30
    assert max(rates) < 25.0
    last = recordings[-1].streams["video"]
    assert last.read(0, 2).shape == (2, 60, 80, 1)


def test_patterns_match_inside_one_name_and_groups_only(tmp_path: Path, layout_file: WriteLayout) -> None:
    path = tmp_path / "lab.h5"
    with h5py.File(path, "w") as file:
        for name in ("line1/run[1]", "line1/run2", "line2/run1", "other/run1"):
            file[f"{name}/data"] = SHAKE
        file["line1/notes"] = "text"
        file["line3"] = 5
        file["line1/runs"] = [1, 2]
    groups = {
        "/line*/run*": ["/line1/run2", "/line1/run[1]", "/line2/run1"],
        "/line1/run[1]": ["/line1/run[1]"],
        "/*/run?": ["/line1/run2", "/line2/run1", "/other/run1"],
    }
    for pattern, expected in groups.items():
        found = open_recordings(path, layout_file({"recordings": pattern}))
        assert [item.group for item in found] == expected, pattern


def test_a_pattern_that_matches_nothing_shows_what_there_is(
    trials: Path, layout_file: WriteLayout, refused: Refused
) -> None:
    with refused(trials, "no group matches", "a01_t1", "/b*", "'lab'"):
        open_recordings(trials, layout_file({"recordings": "/b*"}))


def test_the_file_itself_can_be_the_recording(lab: Any) -> None:
    recording = lab({"data": SHAKE})
    assert (recording.id, recording.group) == ("lab.h5::", "/")
    np.testing.assert_array_equal(recording.streams["shake"].read(3, 5), SHAKE[3:5])


def test_axes_in_another_order_are_put_right(lab: Any) -> None:
    recording = lab({"data": SHAKE.T}, axes=["channel", "time"], channels=["x", "y", "z"])
    stream = recording.streams["shake"]
    assert (stream.sample_shape, stream.source.count) == ((3,), 100)
    np.testing.assert_array_equal(stream.read(10, 20), SHAKE[10:20])


def test_rows_may_be_segments_with_a_start_each(lab: Any) -> None:
    bursts = np.arange(4 * 256, dtype=np.float32).reshape(4, 256)
    recording = lab(
        {"data": bursts, "when": np.array([0, 10, 20, 50])},
        axes=["segment", "time"], rate=2560.0, start={"dataset": "when"},
    )  # fmt: skip
    stream = recording.streams["shake"]
    assert stream.segments.t0.tolist() == [0, 10 * SECOND, 20 * SECOND, 50 * SECOND]
    assert stream.segments.ends[0] == SECOND // 10
    assert stream.segments.offset.tolist() == [0, 256, 512, 768]
    np.testing.assert_array_equal(stream.read(250, 260)[:, 0], np.arange(250, 260))


def test_a_start_may_be_a_number_an_attribute_or_a_dataset(lab: Any) -> None:
    utc = {"clock": "utc"}
    assert lab({"data": SHAKE}, utc, start=1.5).start == 1_500_000_000
    assert lab({"data": (SHAKE, {"began": 7})}, utc, start={"attribute": "began"}).start == 7 * SECOND
    assert lab({"data": SHAKE, "t": [3, 4, 5]}, utc, start={"dataset": "t", "unit": "ms"}).start == 3_000_000
    assert lab(
        {"data": SHAKE, "t": 1_772_000_000_123_456_789}, utc, start={"dataset": "t", "unit": "ns"}
    ).start == (1_772_000_000_123_456_789)
    berlin = {"clock": "utc", "timezone": "Europe/Berlin"}
    stamped = lab({"@began": "2024-07-15T12:00:00", "data": SHAKE}, berlin, start={"attribute": "began"})
    assert stamped.start == 1_721_037_600 * SECOND


def test_attributes_are_looked_for_on_the_samples_then_the_group_then_the_root(lab: Any) -> None:
    def rate(nodes: dict[str, Any], **source: str) -> float:
        return lab(nodes, rate={"attribute": "hz", **source}).streams["shake"].rate

    assert rate({"@hz": 5.0, "data": (SHAKE, {"hz": 7.0})}) == 7.0
    assert rate({"@hz": 5.0, "data": SHAKE}) == 5.0
    assert rate({"@hz": 5.0, "data": SHAKE, "setup": (0, {"hz": 9.0})}, of="setup") == 9.0


def test_attributes_written_as_arrays_of_one_are_taken_as_values(lab: Any) -> None:
    recording = lab(
        {"@machine": np.array([b"press"]), "data": (SHAKE, {"hz": np.array([[50]]), "u": np.array([b"g"])})},
        {"identity": {"machine": {"attribute": "machine"}}},
        rate={"attribute": "hz"}, unit={"attribute": "u"},
    )  # fmt: skip
    assert recording.identity == {"machine": "press"}
    assert (recording.streams["shake"].rate, recording.streams["shake"].unit) == (50.0, "g")


def test_an_optional_stream_may_be_missing_and_so_may_all(lab: Any) -> None:
    nothing = lab({"other": SHAKE}, {"labels": {"state": "on"}}, optional=True)
    assert (nothing.streams, nothing.tracks, nothing.start, nothing.end) == ({}, {}, 0, 0)


@pytest.mark.parametrize(
    ("nodes", "stream", "words"),
    [
        ({"date": SHAKE}, {}, ["nothing here", "did you mean 'date'"]),
        ({"data/value": SHAKE}, {}, ["not a dataset", "a group"]),
        ({"data": SHAKE}, {"axes": ["time"]}, ["1 axes are named for an array of 2", "shape (100, 3)"]),
        ({"data": SHAKE[:, 0]}, {}, ["2 axes are named for an array of 1", "streams.shake.axes"]),
        ({"data": SHAKE[:0]}, {}, ["not a filled array", "(0, 3)"]),
        ({"data": np.array([[b"a"]])}, {}, ["not a filled array of numbers"]),
        ({"data": h5py.Empty("f8")}, {}, ["shape None"]),
        ({"data": np.zeros((5, 3), [("a", "f8")])}, {}, ["not a filled array of numbers"]),
        ({"data": SHAKE}, {"channels": ["x"]}, ["another number of channels", "3 channels"]),
        ({"data": SHAKE}, {"rate": 0}, ["rate", "0.0 Hz"]),
        (
            {"data": (SHAKE, {"rate_hz": 5.0})},
            {"rate": {"attribute": "rate"}},
            ["did you mean 'rate_hz'", "(for rate)"],
        ),
        ({"data": (SHAKE, {"hz": "fast"})}, {"rate": {"attribute": "hz"}}, ["not a finite number", "'fast'"]),
        ({"data": (SHAKE, {"hz": np.nan})}, {"rate": {"attribute": "hz"}}, ["not a finite number", "nan"]),
        ({"data": (SHAKE, {"hz": [1.0, 2.0]})}, {"rate": {"attribute": "hz"}}, ["[1.0, 2.0]"]),
        ({"data": (SHAKE, {"gain": 0})}, {"scale": {"attribute": "gain"}}, ["other than 0"]),
        ({"data": SHAKE}, {"unit": {"attribute": "u", "of": "setup"}}, ["nothing here", "/setup"]),
        ({"data": SHAKE, "t": h5py.Empty("f8")}, {"start": {"dataset": "t"}}, ["no start time"]),
        ({"data": SHAKE, "t": np.nan}, {"start": {"dataset": "t"}}, ["start time cannot be used", "nan"]),
        (
            {"data": SHAKE, "t": [0.0, 1.0]},
            {"axes": ["segment", "time"], "start": {"dataset": "t"}},
            ["one start time a segment", "(2,)", "(100,)"],
        ),
        (
            {"data": SHAKE, "t": np.zeros(100)},
            {"axes": ["segment", "time"], "start": {"dataset": "t"}},
            ["overlap", "segment 1"],
        ),
    ],
)  # fmt: skip
def test_a_file_unlike_its_layout_is_told_completely(
    layout_file: WriteLayout,
    tmp_path: Path,
    refused: Refused,
    nodes: dict[str, Any],
    stream: dict[str, Any],
    words: list[str],
) -> None:
    write_nodes(tmp_path / "lab.h5", nodes)
    with refused(tmp_path / "lab.h5", *words):
        open_recordings(tmp_path / "lab.h5", layout_file(**stream))


def test_a_rate_derived_from_a_stream_that_is_missing_is_told(
    trials: Path, utd_layout: Layout, refused: Refused
) -> None:
    with h5py.File(trials, "r+") as file:
        del file["a01_t2/acceleration"]
    tree = utd_layout.model_dump(by_alias=True)
    tree["streams"]["acceleration"]["optional"] = True
    with refused(trials, "derived from a stream that this recording lacks", inside="/a01_t2/video/depth_mm"):
        open_recordings(trials, Layout.model_validate(tree))
