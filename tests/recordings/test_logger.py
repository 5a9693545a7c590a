from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sensorkd.errors import ArchiveError
from sensorkd.recordings import LoggerEvent, Manifest, RecordingLogger, StreamFormat, open_recordings
from sensorkd.recordings.logger_clock import StreamClock
from sensorkd.timeline import SECOND

BEGIN = 1_700_000_000 * SECOND
SHAKE = StreamFormat(
    modality="acceleration", unit="g", dtype=np.dtype("i4"), sample_shape=(2,), rate=1000.0, scale=0.5,
    channels=("x", "y"), chunk=256,
)  # fmt: skip
HEAT = StreamFormat(modality="temperature", unit="degC", dtype=np.dtype("f4"), sample_shape=(1,), rate=2.0)
VIDEO = StreamFormat(modality="video", unit="1", dtype=np.dtype("u1"), sample_shape=(8, 6, 3), rate=20.0)


def told(first: int, count: int) -> np.ndarray[Any, Any]:
    """Samples that tell their own index."""
    index = np.arange(first, first + count, dtype=np.int32)
    return np.stack([index, -index], axis=1)


def begin(folder: Path, **options: Any) -> RecordingLogger:
    defaults: dict[str, Any] = {
        "clock": "utc",
        "identity": {"machine": "press 4"},
        "streams": {"shake": SHAKE},
    }
    return RecordingLogger(folder, **{"reserve_bytes": 0, **defaults, **options})


def logged(folder: Path) -> np.ndarray[Any, Any]:
    """The first channel of every sealed file, one behind the other; each as its manifest says."""
    manifest = Manifest.read(folder)
    parts = []
    for recording in open_recordings(folder):
        manifest.check(recording.path)
        stream = recording.streams["shake"]
        parts.append(stream.read(0, stream.source.count)[:, 0])
    return np.concatenate(parts)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_what_is_appended_in_blocks_of_any_length_is_read_exactly(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (70, 8, 6, 3)).astype("u1")
    heat = rng.normal(size=(9, 1)).astype("f4")
    streams = {"shake": SHAKE, "heat": HEAT, "video": VIDEO}
    with begin(tmp_path, streams=streams, identity={"machine": "Presse ü", "line": 2}) as logger:
        done = 0
        for count in [1, 254, 1, 1, 255, 256, 257, 2000, 3]:
            assert logger.append("shake", told(done, count), t0=BEGIN + done * 1_000_000) == count
            done += count
        for number, frame in enumerate(frames):
            logger.append("video", frame[None], t0=BEGIN + 7 if number == 0 else None)
        logger.append("heat", heat, t0=BEGIN)
        assert logger.append("heat", heat[:0]) == 0
    (recording,) = open_recordings(tmp_path)
    assert recording.id == "20231114T221320Z.h5::recording"
    assert recording.identity == {"machine": "Presse ü", "line": "2"}
    shake, video = recording.streams["shake"], recording.streams["video"]
    np.testing.assert_array_equal(shake.read(0, done), told(0, done))
    np.testing.assert_array_equal(video.read(0, 70), frames)
    np.testing.assert_array_equal(recording.streams["heat"].read(0, 9), heat)
    assert (shake.unit, shake.scale, shake.channels, shake.dtype) == ("g", 0.5, ("x", "y"), np.dtype("i4"))
    assert (shake.start, shake.segments.count.tolist(), video.start) == (BEGIN, [done], BEGIN + 7)


def test_the_caller_may_use_its_buffer_again(tmp_path: Path) -> None:
    buffer = told(0, 100)
    with begin(tmp_path) as logger:
        logger.append("shake", buffer, t0=BEGIN)
        buffer[:] = 0
    np.testing.assert_array_equal(logged(tmp_path), np.arange(100))


def test_the_samples_of_a_view_are_taken_in_its_order(tmp_path: Path) -> None:
    with begin(tmp_path) as logger:
        logger.append("shake", told(0, 200)[::2], t0=BEGIN)
        logger.append("shake", np.asfortranarray(told(200, 50)))
    assert logged(tmp_path).tolist() == [*range(0, 200, 2), *range(200, 250)]


def test_a_file_has_its_name_only_when_it_is_sealed_and_others_may_read_along(tmp_path: Path) -> None:
    with begin(tmp_path) as logger:
        logger.append("shake", told(0, 700), t0=BEGIN)
        logger.flush()
        assert names(tmp_path) == ["20231114T221320Z.h5.part"]
        with h5py.File(tmp_path / "20231114T221320Z.h5.part", swmr=True) as file:
            data = file["recording/streams/shake/samples"]
            assert len(data) == 700
            logger.append("shake", told(700, 300))
            logger.flush()
            data.refresh()
            np.testing.assert_array_equal(data[()], told(0, 1000))
    assert names(tmp_path) == ["20231114T221320Z.h5", "manifest.json"]
    assert logger.report().sealed == ("20231114T221320Z.h5",)


def test_samples_are_written_at_the_latest_after_the_time_that_was_said(tmp_path: Path) -> None:
    with begin(tmp_path, flush_seconds=0.1) as logger:
        logger.append("shake", told(0, 7), t0=BEGIN)
        deadline = time.monotonic() + 20
        while logger.report().streams["shake"].flushed < 7:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_files_rotate_by_time_by_size_and_on_demand(tmp_path: Path) -> None:
    by = {name: tmp_path / name for name in ("time", "size", "demand")}
    for folder in by.values():
        folder.mkdir()
    noise = np.random.default_rng(0).integers(-(2**31), 2**31, (20_000, 2)).astype("i4")
    with begin(by["time"], rotate_seconds=2.0) as logger:
        for first in range(0, 5000, 500):
            logger.append("shake", told(first, 500), t0=BEGIN + first * 1_000_000)
    with begin(by["size"], rotate_bytes=100_000, rotate_seconds=None, clock="relative") as logger:
        for first in range(0, len(noise), 1000):
            logger.append("shake", noise[first : first + 1000], t0=first * 1_000_000)
    with begin(by["demand"], clock="relative") as logger:
        logger.append("shake", told(0, 10), t0=0)
        logger.rotate()
        logger.append("shake", told(10, 10), t0=-(10**12))  # the clock was set back
    assert [name[:16] for name in names(by["time"])[:3]] == [
        "20231114T221320Z",
        "20231114T221322Z",
        "20231114T221324Z",
    ]
    np.testing.assert_array_equal(logged(by["time"]), np.arange(5000))
    sizes = [path.stat().st_size for path in sorted(by["size"].glob("*.h5"))]
    assert len(sizes) == 5 and all(size < 110_000 for size in sizes)
    assert names(by["demand"]) == ["000001.h5", "000002.h5", "manifest.json"]
    assert [item.start for item in open_recordings(by["demand"])] == [0, -(10**12)]


def test_two_files_that_begin_in_one_second_have_two_names(tmp_path: Path) -> None:
    with begin(tmp_path) as logger:
        for first in (0, 100):
            logger.append("shake", told(first, 100), t0=BEGIN + first * 1_000_000)
            logger.rotate()
    assert names(tmp_path)[:2] == ["20231114T221320Z-2.h5", "20231114T221320Z.h5"]


def test_a_stream_of_which_nothing_came_is_left_out(tmp_path: Path) -> None:
    with begin(tmp_path, streams={"shake": SHAKE, "heat": HEAT}) as logger:
        logger.append("shake", told(0, 300), t0=BEGIN)
    (recording,) = open_recordings(tmp_path)
    assert list(recording.streams) == ["shake"]
    np.testing.assert_array_equal(logged(tmp_path), np.arange(300))
    assert names(tmp_path) == ["20231114T221320Z.h5", "manifest.json"]


def test_a_logger_of_which_nothing_came_makes_no_file(tmp_path: Path) -> None:
    with begin(tmp_path):
        pass
    assert names(tmp_path) == []


def test_what_came_before_an_error_of_the_program_is_sealed(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), begin(tmp_path) as logger:
        logger.append("shake", told(0, 300), t0=BEGIN)
        raise ZeroDivisionError
    np.testing.assert_array_equal(logged(tmp_path), np.arange(300))
    with pytest.raises(ArchiveError, match="closed"):
        logger.append("shake", told(0, 1))


@pytest.mark.parametrize(
    ("name", "block", "t0", "why"),
    [
        ("shale", told(0, 1), BEGIN, "did you mean 'shake'"),
        ("shake", told(0, 1).astype("i2"), BEGIN, "int16"),
        ("shake", told(0, 1)[:, 0], BEGIN, "shape (n, 2)"),
        ("shake", told(0, 1), None, "needs a time"),
        ("shake", told(0, 1), 2**63, "years 1685"),
        ("shake", told(0, 1), 1.7e18, "give time.time_ns()"),
        ("shake", told(0, 1), 1_700_000_000, "nanoseconds, as time.time_ns() does"),
        ("shake", told(0, 1), 1_700_000_000_000_000, "nanoseconds, as time.time_ns() does"),
    ],
)
def test_a_block_that_is_not_what_was_announced_is_refused_and_the_next_is_taken(
    tmp_path: Path, refused: Any, name: str, block: Any, t0: Any, why: str
) -> None:
    with begin(tmp_path) as logger:
        with refused(tmp_path, why, inside=f"streams/{name}"):
            logger.append(name, block, t0=t0)
        logger.append("shake", told(0, 5), t0=BEGIN)
    np.testing.assert_array_equal(logged(tmp_path), np.arange(5))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"streams": {}}, "nothing to log"),
        ({"streams": {"a/b": SHAKE}}, "cannot be used"),
        ({"identity": {"clock": "x"}}, "taken by the format"),
        ({"streams": {"s": StreamFormat("a", "", np.dtype("i2"), (1,), 1.0)}}, "unit '1'"),
        ({"streams": {"s": StreamFormat("a", "g", np.dtype("i2"), (1, 2), 1.0)}}, "shape (n, 1, 2)"),
        ({"streams": {"s": StreamFormat("a", "g", np.dtype("i2"), (1,), -1.0)}}, "-1.0 Hz"),
        ({"streams": {"s": StreamFormat("a", "g", np.dtype("i2"), (1,), 1.0, chunk=0)}}, "holds no sample"),
        (
            {"streams": {"s": StreamFormat("a", "g", np.dtype("i2"), (1,), 1.0, chunk=1 << 28)}},
            "than a reader takes",
        ),
        ({"flush_seconds": -1.0}, "flush_seconds"),
    ],
)
def test_what_could_not_be_written_is_refused_at_the_start(
    tmp_path: Path, refused: Any, options: dict[str, Any], why: str
) -> None:
    with refused(tmp_path, why):
        begin(tmp_path, **options)


def test_a_folder_that_is_missing_or_in_use_is_told(
    tmp_path: Path, refused: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with refused(tmp_path / "none", "folder does not exist"):
        begin(tmp_path / "none")
    with begin(tmp_path) as logger:
        logger.append("shake", told(0, 300), t0=BEGIN)
        with refused(tmp_path, "a logger is at work in this folder"):
            begin(tmp_path, patience=0.2)


def test_a_block_that_finds_no_room_in_the_queue_is_told_and_not_taken(tmp_path: Path) -> None:
    with begin(tmp_path, queue_bytes=1 << 20, timeout=0.3) as logger:
        os.kill(logger.process_id, signal.SIGSTOP)  # a disk that hangs
        taken = 0
        with pytest.raises(ArchiveError, match="does not keep up") as caught:
            for first in range(0, 1 << 20, 10_000):
                taken += logger.append("shake", told(first, 10_000), t0=BEGIN + first * 1_000_000)
        assert "queue_bytes" in str(caught.value)
        os.kill(logger.process_id, signal.SIGCONT)
        assert logger.append("shake", told(taken, 10)) == 10  # it goes on where it was
    np.testing.assert_array_equal(logged(tmp_path), np.arange(taken + 10))


def test_a_program_that_ends_without_closing_seals_all_the_same(tmp_path: Path) -> None:
    script = f"""
        import sys
        from pathlib import Path
        from tests.recordings.test_logger import BEGIN, begin, told
        if __name__ == "__main__":
            logger = begin(Path({str(tmp_path)!r}))
            logger.append("shake", told(0, 300), t0=BEGIN)
    """
    path = tmp_path / "program.py"
    path.write_text(textwrap.dedent(script))
    root = str(Path(__file__).parents[2])
    subprocess.run(
        [sys.executable, str(path)], check=True, timeout=60, env={**os.environ, "PYTHONPATH": root}
    )
    np.testing.assert_array_equal(logged(tmp_path), np.arange(300))


@pytest.fixture
def clock() -> Iterator[StreamClock]:
    """Of a stream at 100 Hz that has a first second of samples."""
    clock = StreamClock(100.0, None)
    follow(clock, 0, 100, 0)
    yield clock


def follow(clock: StreamClock, first: int, count: int, t0: int | None) -> Any:
    block = told(first, count)
    placed = clock.place(block, t0)
    clock.take(block, t0, placed)
    return placed


@pytest.mark.parametrize("off", [0, 5_000_000, -5_000_000, 20_000_000, -20_000_000])
def test_a_block_within_tolerance_of_its_place_continues(clock: StreamClock, off: int) -> None:
    placed = follow(clock, 100, 100, SECOND + off)
    assert (placed.skip, placed.begins, placed.kind) == (0, False, "")
    assert abs(clock.end - 2 * SECOND) <= abs(off)


def test_a_block_later_than_that_leaves_a_gap() -> None:
    strict = StreamClock(100.0, 0.005)
    follow(strict, 0, 100, 0)
    placed = follow(strict, 100, 100, SECOND + 10_000_000)
    assert (placed.begins, placed.kind, placed.told) == (True, "gap", (SECOND, SECOND + 10_000_000))
    assert placed.missing == 1


def test_a_sensor_that_is_faster_than_it_says_stays_in_one_segment(clock: StreamClock) -> None:
    for number in range(1, 2000):  # 200 ppm fast: 0.4 s in all
        placed = follow(clock, number * 100, 100, number * 999_800_000)
        assert (placed.skip, placed.begins, placed.kind) == (0, False, "")
    assert clock.end == pytest.approx(2000 * 999_800_000, abs=10_000)


def test_of_a_block_that_came_in_part_the_rest_is_taken(clock: StreamClock) -> None:
    placed = follow(clock, 70, 100, 700_000_000)
    assert (placed.skip, placed.begins, placed.kind) == (30, False, "repeated")
    assert clock.end == 1_700_000_000


def test_events_and_report_tell_the_same(tmp_path: Path) -> None:
    events: list[LoggerEvent] = []
    with begin(tmp_path, on_event=events.append) as logger:
        logger.append("shake", told(0, 100), t0=BEGIN)
        logger.append("shake", told(300, 100), t0=BEGIN + 300_000_000)
        logger.append("shake", told(0, 100), t0=BEGIN)
        logger.append("shake", told(50, 100), t0=BEGIN + 50_000_000)
    assert [(event.kind, event.samples) for event in events] == [
        ("gap", 200), ("repeated", 100), ("late", 100), ("sealed", 0)
    ]  # fmt: skip
    stream = logger.report().streams["shake"]
    assert (stream.taken, stream.flushed, stream.gaps, stream.repeated, stream.late) == (
        200,
        200,
        1,
        100,
        100,
    )
    assert stream.seconds_missing == pytest.approx(0.2)
    assert "1 gaps (0.200 s)" in "\n".join(logger.report().lines())
    assert "shake: gap, 1700000000.100 to 1700000000.300 s, 200 samples" in events[0].line()


def left_behind(folder: Path) -> Path:
    """The part of a logger that was killed, with 700 samples."""
    logger = begin(folder)
    logger.append("shake", told(0, 700), t0=BEGIN)
    logger.flush()
    os.kill(logger.process_id, signal.SIGKILL)
    with pytest.raises(ArchiveError, match="SIGKILL"):
        logger.flush()
    logger.close()
    return folder / "20231114T221320Z.h5.part"


def recovered(folder: Path) -> tuple[Any, list[LoggerEvent]]:
    events: list[LoggerEvent] = []
    with begin(folder, on_event=events.append) as logger:
        return logger.report(), events


def test_what_a_killed_logger_left_is_sealed_by_the_next(tmp_path: Path) -> None:
    left_behind(tmp_path)
    (tmp_path / ".salvaging").mkdir()  # and one that was killed while it recovered
    (tmp_path / ".salvaging" / "salvaged").write_bytes(b"half")
    report, events = recovered(tmp_path)
    assert report.recovered == ("20231114T221320Z.h5",)
    assert "700 of 700" in events[0].line()
    np.testing.assert_array_equal(logged(tmp_path), np.arange(700))
    assert names(tmp_path) == ["20231114T221320Z.h5", "manifest.json"]
    assert not (tmp_path / ".salvaging").exists()


def test_a_part_that_was_closed_is_sealed_as_it_is(tmp_path: Path) -> None:
    with begin(tmp_path) as logger:
        logger.append("shake", told(0, 300), t0=BEGIN)
    path = tmp_path / "20231114T221320Z.h5"
    content = path.read_bytes()
    path.rename(tmp_path / "20231114T221320Z.h5.part")
    assert recovered(tmp_path)[0].recovered == (path.name,)
    assert path.read_bytes() == content


def test_a_part_that_is_damaged_is_kept_beside_what_was_saved(tmp_path: Path) -> None:
    part = left_behind(tmp_path)
    with h5py.File(part, swmr=True) as file:
        place = file["recording/streams/shake/samples"].id.get_chunk_info(1)
    content = bytearray(part.read_bytes())
    content[place.byte_offset + 50] ^= 1
    part.write_bytes(content)
    report, events = recovered(tmp_path)
    assert report.recovered == ("20231114T221320Z.h5",)
    assert logged(tmp_path).tolist() == [*range(256), *range(512, 700)]
    assert (tmp_path / "20231114T221320Z.h5.damaged").read_bytes() == content
    assert "kept as 20231114T221320Z.h5.damaged" in events[0].line()


def test_a_part_of_which_nothing_can_be_saved_is_kept(tmp_path: Path) -> None:
    part = tmp_path / "20231114T221320Z.h5.part"
    part.write_bytes(b"half a page")
    report, events = recovered(tmp_path)
    assert (report.recovered, report.kept) == ((), ("20231114T221320Z.h5.damaged",))
    assert (tmp_path / "20231114T221320Z.h5.damaged").read_bytes() == b"half a page"
    assert "not an HDF5 file" in events[0].line()


def test_no_archive_is_overwritten_by_what_is_recovered(tmp_path: Path) -> None:
    part = left_behind(tmp_path)
    final = tmp_path / "20231114T221320Z.h5"
    final.write_bytes(b"somebody's")
    content = part.read_bytes()
    assert recovered(tmp_path)[0].kept == ("20231114T221320Z.h5.damaged",)
    assert final.read_bytes() == b"somebody's"
    assert (tmp_path / "20231114T221320Z.h5.damaged").read_bytes() == content
