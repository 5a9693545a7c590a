"""Samples in any order, and what is told of those that were never written or cannot be read."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorkd.errors import ArchiveError
from sensorkd.recordings import Layout, Stream, open_recordings
from sensorkd.recordings.source import DamagedSamplesError, SampleSource
from sensorkd.timeline import SECOND

Refused = Callable[..., Any]


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("numbers") / "a.h5"
    with h5py.File(path, "w") as file:
        file["data"] = np.arange(2000).reshape(1000, 2)
    return path


@given(st.lists(st.integers(0, 999), min_size=1, max_size=60))
def test_samples_are_taken_in_any_order_and_number(numbers: Path, index: list[int]) -> None:
    order = np.array(index, dtype=np.int64)
    source = SampleSource(numbers, "/data", ("time", "channel"), (1000, 2), order)
    assert source.count == len(index)
    np.testing.assert_array_equal(source.read(0, len(index))[:, 0], 2 * order)
    middle = len(index) // 2
    np.testing.assert_array_equal(source.read(middle, len(index))[:, 1], 2 * order[middle:] + 1)
    assert source.read(middle, middle).shape == (0, 2)


def test_a_source_with_an_order_goes_to_another_process_and_is_compared_without_it(numbers: Path) -> None:
    source = SampleSource(numbers, "/data", ("time", "channel"), (1000, 2), np.arange(5)[::-1].copy())
    there = pickle.loads(pickle.dumps(source))
    assert there == source
    assert there.read(0, 5)[:, 0].tolist() == [8, 6, 4, 2, 0]


def mapped(path: Path, **stream: Any) -> Stream:
    told = {"modality": "m", "samples": "data", "axes": ["time"], "unit": "1", "rate": 10.0, **stream}
    if "times" in told:
        del told["rate"]
    tree = {"schema": "layout-1.0", "name": "lab", "clock": "relative", "streams": {"s": told}}
    return open_recordings(path, Layout.model_validate(tree))[0].streams["s"]


def write_chunks(path: Path, shape: tuple[int, ...], chunks: tuple[int, ...], missing: list[Any]) -> None:
    """Chunks that tell their own index, but for those that are missing."""
    array = np.arange(1, np.prod(shape) + 1, dtype=np.int32).reshape(shape)
    with h5py.File(path, "w") as file:
        data = file.create_dataset("data", shape, "i4", chunks=chunks, fletcher32=True)
        for part in data.iter_chunks():
            if tuple(item.start for item in part) not in missing:
                data[part] = array[part]


def test_chunks_that_were_never_written_are_a_gap(tmp_path: Path) -> None:
    write_chunks(tmp_path / "a.h5", (95,), (10,), [(20,), (30,), (90,)])
    segments = mapped(tmp_path / "a.h5").segments
    assert segments.offset.tolist() == [0, 40]
    assert segments.count.tolist() == [20, 50]
    assert segments.t0.tolist() == [0, 4 * SECOND]


def test_chunks_missing_in_rows_are_gaps_in_those_rows(tmp_path: Path) -> None:
    write_chunks(tmp_path / "a.h5", (4, 30), (2, 10), [(2, 10)])
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["t"] = np.array([0.0, 10.0, 20.0, 30.0])
    stream = mapped(tmp_path / "a.h5", axes=["segment", "time"], start={"dataset": "t"})
    assert stream.segments.offset.tolist() == [0, 30, 60, 80, 90, 110]
    assert stream.segments.count.tolist() == [30, 30, 10, 10, 10, 10]
    assert (stream.segments.t0 // SECOND).tolist() == [0, 10, 20, 22, 30, 32]
    for offset, count in zip(stream.segments.offset, stream.segments.count, strict=True):
        assert stream.read(offset, offset + count).all(), "a zero that nobody wrote"


def test_missing_chunks_of_samples_that_were_sorted_are_gaps_where_they_belong(tmp_path: Path) -> None:
    write_chunks(tmp_path / "a.h5", (100,), (10,), [(50,)])
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["t"] = np.concatenate([np.arange(20), np.arange(30, 40), np.arange(20, 30), np.arange(40, 100)])
    stream = mapped(tmp_path / "a.h5", times={"dataset": "t"})
    assert stream.stamps is not None
    assert stream.stamps.reordered == 10
    assert stream.segments.t0.tolist() == [0, 60 * SECOND]
    assert stream.segments.count.tolist() == [50, 40]


def test_a_stream_of_which_no_segment_was_written_is_refused(tmp_path: Path, refused: Refused) -> None:
    # Of two channels one is missing everywhere: something is stored, and yet no whole sample.
    missing = [(start, 0) for start in range(0, 100, 10)]
    write_chunks(tmp_path / "a.h5", (100, 2), (10, 1), missing)
    with refused(tmp_path / "a.h5", "nothing was ever written", "100 samples", inside="/data"):
        mapped(tmp_path / "a.h5", axes=["time", "channel"])


def test_stamps_that_were_never_written_are_refused(tmp_path: Path, refused: Refused) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = np.arange(100)
        times = file.create_dataset("t", (100,), "f8", chunks=(10,))
        times[:50] = np.arange(50)
    with refused(tmp_path / "a.h5", "some were never written", "[50:100]", inside="/t"):
        mapped(tmp_path / "a.h5", times={"dataset": "t"})


def test_unwritten_chunks_of_an_archive_of_our_own_are_a_gap(write_archive: Any, shake: Any) -> None:
    path = write_archive({"acceleration": shake(20.0)})
    with h5py.File(path, "r+") as file:
        group = file["monday/streams/acceleration"]
        samples, attributes = group["samples"][()], dict(group["samples"].attrs)
        del group["samples"]
        stored = group.create_dataset(
            "samples", samples.shape, samples.dtype, chunks=(400, 2), fletcher32=True
        )
        stored.attrs.update(attributes)
        stored[:400], stored[800:] = samples[:400], samples[800:]
    segments = open_recordings(path)[0].streams["acceleration"].segments
    assert (segments.offset.tolist(), segments.count.tolist()) == ([0, 800], [400, 1200])
    assert segments.t0.tolist() == [0, 8 * SECOND]


def damage(path: Path, *places: tuple[int, ...]) -> None:
    """Flip a bit in the chunks that begin there."""
    with h5py.File(path) as file:
        offsets = [file["data"].id.get_chunk_info_by_coord(place).byte_offset for place in places]
    content = bytearray(path.read_bytes())
    for offset in offsets:
        content[offset + 3] ^= 4
    path.write_bytes(content)


def test_a_damaged_chunk_is_named_with_the_time_that_is_lost(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "a.h5"
    write_chunks(path, (100,), (10,), [(70,)])
    damage(path, (20,), (30,), (60,))
    stream = mapped(path, start=100.0)
    words = ("[20:40], [60:70]", "102.000 s to 104.000 s", "106.000 s to 107.000 s")
    with refused(path, *words, inside="/data[5:65]"):
        stream.read(5, 65)
    with pytest.raises(DamagedSamplesError) as caught:
        stream.read(25, 26)
    assert caught.value.ranges == [(20, 30)]
    assert stream.read(0, 20)[:, 0].tolist() == list(range(1, 21))
    assert stream.read(40, 60)[:, 0].tolist() == list(range(41, 61))


def test_a_damaged_chunk_of_rows_and_of_sorted_samples_is_told_in_their_own_time(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    write_chunks(path, (6, 20), (2, 20), [])
    damage(path, (2, 0))
    with h5py.File(path, "r+") as file:
        file["t"] = 60.0 * np.arange(6)
    rows = mapped(path, axes=["segment", "time"], start={"dataset": "t"})
    with pytest.raises(ArchiveError, match=r"120\.000 s to 122\.000 s, 180\.000 s to 182\.000 s"):
        rows.read(35, 45)
    path.unlink()
    write_chunks(path, (100,), (10,), [])
    damage(path, (20,))
    with h5py.File(path, "r+") as file:
        file["t"] = np.concatenate([np.arange(20), np.arange(30, 40), np.arange(20, 30), np.arange(40, 100)])
    ordered = mapped(path, times={"dataset": "t"})
    with pytest.raises(DamagedSamplesError, match=r"30\.000 s to 40\.000 s") as caught:
        ordered.read(25, 35)
    assert caught.value.ranges == [(30, 40)]
    assert ordered.read(20, 30)[:, 0].tolist() == list(range(31, 41))
