from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sensorkd.errors import ArchiveError
from sensorkd.recordings import RecordingWriter, Segments, StreamFormat, open_recordings
from sensorkd.timeline import SECOND

Refused = Callable[..., Any]
GAPS = Segments(
    t0=np.array([5, 3 * SECOND, 9 * SECOND]),
    rate=np.array([10.0, 10.0, 29.97]),
    offset=np.array([0, 15, 30]),
    count=np.array([15, 10, 20]),
)


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"])
@pytest.mark.parametrize("sample_shape", [(3,), (4, 5, 3)])
def test_what_is_written_is_read_exactly(tmp_path: Path, dtype: str, sample_shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    samples = rng.integers(0, 256, (50, *sample_shape)).astype("u1").astype(dtype)
    if dtype[0] == "f":
        samples[3] = np.nan
    path = tmp_path / "press.h5"
    with RecordingWriter(path) as writer:
        draft = writer.recording(
            "monday", clock="utc", identity={"machine": "Presse 4 ü", "line": 2, "rig": 0.5}
        )
        draft.add_stream(
            "s", samples, rate=10.0, modality="m", unit="µm", scale=0.1, offset=-3.0,
            channels=("x", "y", "z"), segments=GAPS,
        )  # fmt: skip
        draft.add_labels("state", [(0, 10, "läuft"), (10, 2**62, "x")])
        draft.add_labels("none", [])
    (recording,) = open_recordings(path)
    assert (recording.id, recording.clock, recording.group) == ("press.h5::monday", "utc", "/monday")
    assert recording.identity == {"machine": "Presse 4 ü", "line": "2", "rig": "0.5"}
    stream = recording.streams["s"]
    read = stream.read(0, 50)
    assert read.dtype == samples.dtype
    np.testing.assert_array_equal(read, samples)
    assert (stream.modality, stream.unit, stream.scale, stream.offset) == ("m", "µm", 0.1, -3.0)
    assert (stream.channels, stream.sample_shape) == (("x", "y", "z"), sample_shape)
    for column in ("t0", "rate", "offset", "count"):
        np.testing.assert_array_equal(getattr(stream.segments, column), getattr(GAPS, column))
    assert recording.tracks["state"].label == ("läuft", "x")
    assert recording.tracks["state"].t1.tolist() == [10, 2**62]
    assert recording.tracks["none"].label == ()


def test_an_identity_may_have_any_name_that_the_format_does_not_use(tmp_path: Path) -> None:
    path = tmp_path / "press.h5"
    with RecordingWriter(path) as writer:
        draft = writer.recording("a", clock="relative", identity={"node": "n", "self": "s", "two words": ""})
        draft.add_stream("s", np.ones((2, 1)), rate=1.0, modality="m", unit="1")
    assert open_recordings(path)[0].identity == {"node": "n", "self": "s", "two words": ""}


def test_a_file_appears_only_when_it_is_complete(tmp_path: Path, shake: Any) -> None:
    path = tmp_path / "press.h5"
    with pytest.raises(ZeroDivisionError), RecordingWriter(path) as writer:
        writer.recording("a", clock="relative", identity={}).add_stream("s", **shake())
        assert not path.exists()
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("recordings", [0, 1])
def test_an_archive_without_recordings_or_streams_is_not_kept(
    tmp_path: Path, recordings: int, refused: Refused
) -> None:
    path = tmp_path / "press.h5"
    with refused(path, "does not follow recording-1.0"), RecordingWriter(path) as writer:
        for number in range(recordings):
            writer.recording(str(number), clock="relative", identity={})
    assert list(tmp_path.iterdir()) == []


def test_no_file_is_overwritten(write_archive: Any, shake: Any, refused: Refused) -> None:
    path = write_archive({"acceleration": shake()})
    with refused(path, "exists already"):
        RecordingWriter(path)


def test_a_folder_that_is_missing_is_told(tmp_path: Path, refused: Refused) -> None:
    with refused(tmp_path / "none" / "press.h5", "folder does not exist"):
        RecordingWriter(tmp_path / "none" / "press.h5")


def test_samples_lie_in_chunks_of_four_seconds_under_gzip_and_a_checksum(
    write_archive: Any, shake: Any, heat: Any
) -> None:
    frames = {"samples": np.zeros((100, 64, 64, 3), np.uint8), "rate": 50.0, "modality": "video", "unit": "1"}
    huge = {**frames, "samples": np.zeros((2, 1000, 1100, 1), np.uint8)}
    path = write_archive({"s": shake(rate=100.0), "t": heat(seconds=1.0), "v": frames, "w": huge})
    with h5py.File(path) as file:
        streams = {name: group["samples"] for name, group in file["monday/streams"].items()}
        assert {name: data.chunks for name, data in streams.items()} == {
            "s": (400, 2),
            "t": (2, 1),
            "v": (85, 64, 64, 3),  # a mebibyte at most
            "w": (1, 1000, 1100, 1),  # or a single frame
        }
        for data in streams.values():
            assert (data.compression, data.shuffle, data.fletcher32) == ("gzip", True, True)
        assert file["monday/streams/s/segments"].fletcher32


def test_no_text_lies_outside_a_checksum(write_archive: Any, shake: Any) -> None:
    path = write_archive({"s": shake()}, labels={"state": [(0, 5, "läuft")]})

    def variable(kind: Any) -> bool:
        info = h5py.check_string_dtype(kind)
        return info is not None and info.length is None

    with h5py.File(path) as file:
        nodes: list[Any] = [file]
        file.visititems(lambda _, node: nodes.append(node))
        kinds = [node.attrs.get_id(name).dtype for node in nodes for name in node.attrs]
        kinds.append(file["monday/labels/state/intervals"].dtype["label"])
        assert len(kinds) > 10
        assert not any(map(variable, kinds))
        assert file.libver == ("v110", "v110") or file.id.get_create_plist().get_version()[0] >= 2


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"samples": np.zeros(5)}, "samples[:, None]"),
        ({"samples": np.zeros((5, 2, 2))}, "(5, 2, 2)"),
        ({"samples": np.zeros((0, 2))}, "(0, 2)"),
        ({"samples": np.zeros((5, 2), complex)}, "complex128"),
        ({"samples": np.zeros((5, 2), np.longdouble)}, "at most 8 bytes"),
        ({"samples": np.array([["a", "b"]])}, "dtype"),
        ({"channels": ("x",)}, "2 names"),
        ({"rate": 0.0}, "rate"),
        ({"rate": float("nan")}, "rate"),
        ({"rate": -5.0}, "-5.0 Hz"),
        ({"scale": 0.0}, "scale"),
        ({"offset": float("inf")}, "offset"),
        ({"unit": ""}, "unit '1'"),
        ({"modality": ""}, "modality"),
        ({"segments": Segments(*(np.zeros(0, np.int64) for _ in range(4)))}, "no segment"),
        ({"segments": Segments.uniform(t0=0, rate=10.0, count=10**6)}, "beyond"),
        ({"t0": 2**63 - 1}, "years"),
    ],
)
def test_what_could_not_be_read_again_is_not_written(
    tmp_path: Path, shake: Any, changes: dict[str, Any], told: str, refused: Refused
) -> None:
    path = tmp_path / "press.h5"
    with RecordingWriter(path) as writer:
        draft = writer.recording("a", clock="relative", identity={})
        with refused(path, told, inside="/a/streams/s"):
            draft.add_stream("s", **{**shake(), **changes})
        draft.add_stream("s", **shake())
    assert len(open_recordings(path)) == 1


@pytest.mark.parametrize(
    ("intervals", "told"),
    [
        ([(0, 5, "a"), (7, 7, "b")], "row 1"),
        ([(0, 5, "a"), (4, 9, "b")], "contradict"),
        ([(0, 50, "a"), (2, 3, "a"), (20, 25, "b")], "row 0: 'a' in [0, 50) ns; row 2: 'b' in [20, 25) ns"),
    ],
)
def test_labels_that_make_no_sense_are_not_written(
    tmp_path: Path, shake: Any, intervals: list[tuple[int, int, str]], told: str, refused: Refused
) -> None:
    path = tmp_path / "press.h5"
    with RecordingWriter(path) as writer:
        draft = writer.recording("a", clock="relative", identity={})
        draft.add_stream("s", **shake())
        with refused(path, told, inside="/a/labels/state"):
            draft.add_labels("state", intervals)
        with pytest.raises(TypeError):  # seconds would be cut to nanoseconds
            draft.add_labels("state", [(0.5, 1.5, "a")])  # type: ignore[list-item]


def test_nothing_is_written_twice_or_under_a_name_that_cannot_be(tmp_path: Path, shake: Any) -> None:
    with RecordingWriter(tmp_path / "press.h5") as writer:
        draft = writer.recording("a", clock="relative", identity={})
        draft.add_stream("s", **shake())
        draft.add_labels("t", [])
        for again in (
            lambda: writer.recording("a", clock="relative", identity={}),
            lambda: draft.add_stream("s", **shake()),
            lambda: draft.add_labels("t", []),
        ):
            with pytest.raises(ArchiveError, match="of that name exists"):
                again()
        for name in ("", "a/b", ".hidden"):
            with pytest.raises(ArchiveError, match="cannot be used"):
                draft.add_stream(name, **shake())
        with pytest.raises(ArchiveError, match="'clock'"):
            writer.recording("b", clock="relative", identity={"clock": "mine"})


def test_a_stream_may_be_written_block_by_block(tmp_path: Path) -> None:
    path = tmp_path / "press.h5"
    samples = np.arange(700, dtype="i2")[:, None]
    told = StreamFormat("acceleration", "g", samples.dtype, (1,), 100.0, scale=0.5, channels=("x",), chunk=64)
    with RecordingWriter(path) as writer:
        draft = writer.recording("a", clock="relative", identity={})
        stream = draft.grow_stream("s", told)
        stream.begin(5, 100.0)
        for first in (0, 3, 63, 64, 300):
            stop = {0: 3, 3: 63, 63: 64, 64: 300, 300: 500}[first]
            stream.append(samples[first:stop])
            assert stream.written == stop // 64 * 64  # whole chunks only, so that each is packed once
        stream.begin(20 * SECOND, 101.0)
        stream.append(samples[500:])
        with pytest.raises(ArchiveError, match="of that name exists"):
            draft.grow_stream("s", told)
    stream = open_recordings(path)[0].streams["s"]
    np.testing.assert_array_equal(stream.read(0, 700), samples)
    assert (stream.scale, stream.channels) == (0.5, ("x",))
    assert stream.segments.t0.tolist() == [5, 20 * SECOND]
    assert stream.segments.count.tolist() == [500, 200]
    assert stream.segments.rate.tolist() == [100.0, 101.0]


def test_many_segments_are_kept_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "press.h5"
    told = StreamFormat("acceleration", "g", np.dtype("i2"), (1,), 100.0, chunk=10)
    with RecordingWriter(path) as writer:
        stream = writer.recording("a", clock="relative", identity={}).grow_stream("s", told)
        for number in range(300):
            stream.begin(number * SECOND, 100.0)
            stream.append(np.full((number % 7 + 1, 1), number, "i2"))
            if number % 5 == 0:
                stream.flush()
    read = open_recordings(path)[0].streams["s"]
    assert read.segments.t0.tolist() == [number * SECOND for number in range(300)]
    assert read.segments.count.tolist() == [number % 7 + 1 for number in range(300)]
    assert np.unique(read.read(0, read.source.count)).tolist() == list(range(300))


def test_a_stream_is_copied_as_it_is_packed(tmp_path: Path, write_archive: Any, shake: Any) -> None:
    source, path = write_archive({"s": shake()}), tmp_path / "copy.h5"
    with h5py.File(source) as file, RecordingWriter(path) as writer:
        draft = writer.recording("a", clock="utc", identity={})
        draft.copy_stream("t", file["monday/streams/s"])
        place = file["monday/streams/s/samples"].id
        packed = [place.read_direct_chunk((first, 0))[1] for first in (0, 400, 800)]
    with h5py.File(path) as file:
        place = file["a/streams/t/samples"].id
        assert [place.read_direct_chunk((first, 0))[1] for first in (0, 400, 800)] == packed
    first, second = (open_recordings(item)[0] for item in (source, path))
    np.testing.assert_array_equal(first.streams["s"].read(0, 1000), second.streams["t"].read(0, 1000))


def test_metadata_lies_at_the_front_so_that_a_cut_file_can_be_salvaged(
    write_archive: Any, shake: Any
) -> None:
    path = write_archive({name: shake() for name in "abcdef"}, labels={"state": [(0, 5, "x")]})
    with h5py.File(path) as file:
        samples = [file[f"monday/streams/{name}/samples"].id for name in "abcdef"]
        first = min(data.get_chunk_info(0).byte_offset for data in samples)
        nodes: list[Any] = []
        file.visititems(lambda _, node: nodes.append(node))
        assert all(h5py.h5o.get_info(node.id).addr < first for node in nodes)
