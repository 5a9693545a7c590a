"""Faults 5, 7 and 41, and K3 and K7: what happens to a logger, and to what it wrote."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sensorkd.errors import ArchiveError
from sensorkd.recordings import (
    LoggerEvent,
    Manifest,
    RecordingLogger,
    StreamFormat,
    open_recordings,
    seal,
)
from sensorkd.recordings.salvage import salvage
from sensorkd.timeline import SECOND

BEGIN = 1_700_000_000 * SECOND
MS = 1_000_000
SHAKE = StreamFormat(
    modality="acceleration", unit="g", dtype=np.dtype("i4"), sample_shape=(2,), rate=1000.0, chunk=64
)


def told(first: int, count: int) -> np.ndarray[Any, Any]:
    """Samples that tell their own index."""
    index = np.arange(first, first + count, dtype=np.int32)
    return np.stack([index, -index], axis=1)


def begin(folder: Path, **options: Any) -> RecordingLogger:
    defaults: dict[str, Any] = {"clock": "utc", "identity": {"machine": "m"}, "streams": {"shake": SHAKE}}
    return RecordingLogger(folder, **{"reserve_bytes": 0, **defaults, **options})


def logged(folder: Path) -> np.ndarray[Any, Any]:
    """Every sample of the sealed files in order of time; each file as its manifest says."""
    manifest = Manifest.read(folder)
    parts: dict[int, np.ndarray[Any, Any]] = {}
    for recording in open_recordings(folder):
        manifest.check(recording.path)
        stream = recording.streams["shake"]
        samples = stream.read(0, stream.source.count)
        np.testing.assert_array_equal(samples[:, 0], -samples[:, 1])
        assert stream.start == BEGIN + int(samples[0, 0]) * MS
        parts[stream.start] = samples[:, 0]
    return np.concatenate([parts[start] for start in sorted(parts)])


def test_fault_05_a_flipped_bit_without_a_checksum_differs_from_the_manifest(
    write_archive: Any, shake: Any, refused: Any
) -> None:
    path = write_archive({"acceleration": shake()})
    with h5py.File(path, "r+") as file:
        group = file["monday/streams/acceleration"]
        samples = group["samples"][()]
        del group["samples"]
        group["samples"] = samples  # contiguous, as others write it
        place = group["samples"].id.get_offset()
    seal(path)
    content = bytearray(path.read_bytes())
    content[place + 100] ^= 1
    path.write_bytes(content)
    stream = open_recordings(path)[0].streams["acceleration"]
    assert not np.array_equal(stream.read(0, 1000), samples)  # HDF5 sees nothing
    with refused(path, "the content is not what was sealed", "SHA-256", inside="manifest.json"):
        Manifest.read(path.parent).check(path)


def kill_while_writing(path: Path, swmr: bool) -> None:
    """A writer that flushes and is then killed, in a process of its own."""
    script = f"""
        import os, h5py, numpy as np
        from pathlib import Path
        from sensorkd.recordings.storing import begin_archive
        from sensorkd.recordings.writer import begin_recording
        from tests.faults.test_logger import BEGIN, SHAKE, told
        file = begin_archive(Path({str(path)!r}))
        stream = begin_recording(file, Path("x"), "a", clock="utc", identity={{}}).grow_stream("shake", SHAKE)
        if {swmr}:
            file.swmr_mode = True
        stream.begin(BEGIN, 1000.0)
        for first in range(0, 1000, 100):
            stream.append(told(first, 100))
        stream.flush()
        file.flush()
        stream.append(told(1000, 10))  # not flushed
        os.kill(os.getpid(), 9)
    """
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False, env=env, timeout=60)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("swmr", [True, False])
def test_fault_07_a_killed_writer_is_told_and_its_file_salvaged(
    tmp_path: Path, refused: Any, swmr: bool
) -> None:
    path, out = tmp_path / "a.h5", tmp_path / "new.h5"
    kill_while_writing(path, swmr)
    with refused(path, "its writer was killed", "salvage"):
        open_recordings(path)
    before = path.read_bytes()
    report = salvage(path, out)
    assert report.left_open and report.whole
    stream = open_recordings(out)[0].streams["shake"]
    np.testing.assert_array_equal(stream.read(0, stream.source.count), told(0, 1000))
    assert path.read_bytes() == before


def test_fault_07_the_part_of_a_logger_at_work_is_not_salvaged(tmp_path: Path, refused: Any) -> None:
    with begin(tmp_path) as logger:
        logger.append("shake", told(0, 100), t0=BEGIN)
        logger.flush()
        (part,) = tmp_path.glob("*.part")
        with refused(part, "a logger is at work in this folder"):
            salvage(part, tmp_path / "out.h5")


def test_fault_41_a_block_that_comes_twice_late_or_not_at_all_is_applied_once_and_told(
    tmp_path: Path,
) -> None:
    events: list[LoggerEvent] = []
    blocks = [told(first, 100) for first in range(0, 600, 100)]
    with begin(tmp_path, on_event=events.append) as logger:
        taken = [
            logger.append("shake", blocks[number], t0=BEGIN + number * 100 * MS)
            for number in (0, 1, 1, 0, 3, 2, 4)  # 1 and 0 come twice, 2 comes after 3
        ]
    assert taken == [100, 100, 0, 0, 100, 0, 100]
    assert [(event.kind, event.samples, event.t0 - BEGIN) for event in events if event.stream] == [
        ("repeated", 100, 100 * MS),
        ("repeated", 100, 0),
        ("gap", 100, 200 * MS),
        ("late", 100, 200 * MS),
    ]
    (recording,) = open_recordings(tmp_path)
    stream = recording.streams["shake"]
    np.testing.assert_array_equal(stream.read(0, 400)[:, 0], [*range(200), *range(300, 500)])
    assert stream.segments.t0.tolist() == [BEGIN, BEGIN + 300 * MS]
    assert stream.segments.count.tolist() == [200, 200]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of four megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("only the superuser may mount a small disk")
    yield disk
    # Lazily: archives that were read are kept open.
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def noise(number: int) -> np.ndarray[Any, Any]:
    """160 kB that do not compress."""
    return np.random.default_rng(number).integers(-(2**31), 2**31, (20_000, 2)).astype(np.int32)


def fill_up(disk: Path) -> Path:
    path = disk / "filler"
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as handle:
        while True:
            handle.write(bytes(4096))
    return path


def test_fault_k3_a_disk_that_fills_up_stops_the_logger_before_it_is_full(small_disk: Path) -> None:
    taken = 0
    with (
        pytest.raises(ArchiveError, match="nearly full") as caught,
        begin(small_disk, reserve_bytes=1 << 20, streams={"shake": SHAKE}, rotate_seconds=40.0) as logger,
    ):
        for number in range(100):
            taken += logger.append("shake", noise(number), t0=BEGIN + number * 20 * SECOND)
            logger.flush()
    assert caught.value.found and "make room" in str(caught.value)
    assert shutil.disk_usage(small_disk).free >= 1 << 19
    assert not list(small_disk.glob("*.part"))
    saved = [recording.streams["shake"] for recording in open_recordings(small_disk)]
    samples = np.concatenate([stream.read(0, stream.source.count) for stream in saved])
    assert len(samples) == taken - 20_000 > 100_000  # all but the block that found no room
    assert logger.report().streams["shake"].flushed == len(samples)
    for number in range(len(samples) // 20_000):
        np.testing.assert_array_equal(samples[number * 20_000 : (number + 1) * 20_000], noise(number))


def test_fault_k3_a_disk_that_is_full_all_at_once_costs_no_row_that_was_flushed(small_disk: Path) -> None:
    with pytest.raises(ArchiveError) as caught, begin(small_disk) as logger:
        logger.append("shake", noise(0), t0=BEGIN)
        logger.rotate()
        for number in (1, 2):
            logger.append("shake", noise(number), t0=BEGIN + number * 20 * SECOND)
            logger.flush()
        filler = fill_up(small_disk)
        for number in range(3, 9):
            logger.append("shake", noise(number), t0=BEGIN + number * 20 * SECOND)
            logger.flush()
    assert ".part" in str(caught.value) or "nearly full" in str(caught.value)
    assert (caught.value.mend and "make room" in caught.value.mend) or "start the logger again" in str(
        caught.value
    )
    (sealed,) = small_disk.glob("*.h5")
    Manifest.read(small_disk).check(sealed)
    filler.unlink()
    with begin(small_disk):
        pass
    found = [recording.streams["shake"] for recording in open_recordings(small_disk)]
    samples = np.concatenate([stream.read(0, stream.source.count) for stream in found])
    np.testing.assert_array_equal(samples[:60_000], np.concatenate([noise(0), noise(1), noise(2)]))


def write_until_killed(folder: Path, process: Any, seed: int) -> int:
    """Log small blocks, flushing now and then, until the writer is killed some time; rows flushed."""
    chance = random.Random(seed)
    flushed = done = 0
    with begin(folder, rotate_seconds=0.7, flush_seconds=0.02) as logger:
        timer = threading.Timer(chance.uniform(0.0, 0.5), process, (logger,))
        timer.start()
        with contextlib.suppress(ArchiveError):
            while True:
                count = chance.randrange(1, 90)
                logger.append("shake", told(done, count), t0=BEGIN + done * MS)
                done += count
                if chance.random() < 0.3:
                    logger.flush()
                    flushed = done
        timer.join()
        with contextlib.suppress(ArchiveError):
            logger.close()
    return flushed


@pytest.mark.parametrize("seed", range(6))
def test_fault_k7_a_killed_writer_loses_no_flushed_row(tmp_path: Path, seed: int) -> None:
    def kill(logger: RecordingLogger) -> None:
        os.kill(logger.process_id, signal.SIGKILL)

    flushed = write_until_killed(tmp_path, kill, seed)
    with begin(tmp_path):
        pass
    assert not list(tmp_path.glob("*.h5.part"))
    rows = logged(tmp_path) if flushed else np.zeros(0)
    np.testing.assert_array_equal(rows, np.arange(len(rows)))
    assert len(rows) >= flushed


OWNER = """
    import random, sys
    from pathlib import Path
    from tests.faults.test_logger import BEGIN, MS, begin, told
    if __name__ == "__main__":
        chance, done = random.Random(int(sys.argv[2])), 0
        with begin(Path(sys.argv[1]), rotate_seconds=0.7, flush_seconds=0.02) as logger:
            while True:
                count = chance.randrange(1, 90)
                logger.append("shake", told(done, count), t0=BEGIN + done * MS)
                done += count
                if chance.random() < 0.3:
                    logger.flush()
                    print(done, flush=True)
"""


@pytest.mark.parametrize("seed", range(3))
def test_fault_k7_a_killed_owner_loses_no_flushed_row(tmp_path: Path, seed: int) -> None:
    script = tmp_path / "program.py"
    script.write_text(textwrap.dedent(OWNER))
    folder = tmp_path / "log"
    folder.mkdir()
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, str(script), str(folder), str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=env, text=True) as owner:
        assert owner.stdout is not None
        flushed = [int(owner.stdout.readline())]
        threading.Timer(random.Random(seed).uniform(0.0, 0.4), owner.kill).start()
        flushed += [int(line) for line in owner.stdout if line.endswith("\n")]
    with begin(folder):  # waits until the writer has sealed what it got
        pass
    rows = logged(folder)
    np.testing.assert_array_equal(rows, np.arange(len(rows)))
    assert len(rows) >= flushed[-1] > 0
    assert not list(folder.glob("*.h5.part"))
