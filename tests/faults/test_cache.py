"""K3, K8, K10, K11: a cache of windows whose maker is killed, whose disk is full, whose archives change."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pytest

from sensorkd.encoding import InputEncoding
from sensorkd.recordings import Recording, RecordingWriter, open_recordings
from sensorkd.timeline import SECOND
from sensorkd.windows.arrays import Reading, WindowArrays
from sensorkd.windows.cache import CacheSettings, cached_windows
from sensorkd.windows.mapped import CacheError
from sensorkd.windows.plan import WindowPlan, plan_windows
from sensorkd.windows.read import read_windows

FILES, RATE = 130, 100.0
KINDS = {
    "shake": InputEncoding(
        modality="acceleration",
        dtype="int16",
        unit="m/s2",
        scale=0.01,
        offset=0.0,
        sample_shape=(2,),
        channels=("x", "y"),
        steps=200,
        rate=RATE,
        span=2 * SECOND,
        valid_range=(-1000.0, 1000.0),
        resampling="linear",
    )
}
MAKER = """
import sys, tests.faults.test_cache as here
if __name__ == "__main__":
    here.made(here.Path(sys.argv[1]), here.Path(sys.argv[2]))
"""

UNGUARDED = """
import pathlib
from sensorkd.processes import in_children
from sensorkd.windows.cache_folder import locked
def double(item):
    return 2 * item
with locked(pathlib.Path(), "k", print):
    print(list(in_children(double, [1])))
"""


def write(path: Path, seed: int, seconds: float = 20.0) -> None:
    samples = np.random.default_rng(seed).integers(-900, 900, (round(seconds * RATE), 2), dtype=np.int16)
    with RecordingWriter(path) as writer:
        draft = writer.recording("monday", clock="relative", identity={"machine": path.stem})
        kind = {"modality": "acceleration", "unit": "m/s2", "scale": 0.01, "channels": ("x", "y")}
        draft.add_stream("shake", samples, rate=RATE, **kind)  # type: ignore[arg-type]


def opened(archives: Path) -> tuple[list[Recording], WindowPlan]:
    recordings = open_recordings(archives)
    return recordings, plan_windows(recordings, KINDS, hop=SECOND)


def made(archives: Path, folder: Path, **options: Any) -> Reading:
    recordings, plan = opened(archives)
    notes = {key: options.pop(key) for key in ("on_note",) if key in options}
    return cached_windows(recordings, plan, KINDS, CacheSettings(folder, 1 << 30, **options), **notes)


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archives")
    for number in range(FILES):
        write(folder / f"m{number:02d}.h5", number)
    return folder


@functools.lru_cache
def read(archives: Path, state: int) -> WindowArrays:
    recordings, plan = opened(archives)
    return read_windows(recordings, plan, KINDS)


def same_as_read(reading: Reading, archives: Path) -> None:
    expected = read(archives, archives.stat().st_mtime_ns)
    assert not reading.failed
    for name in ("presence", "coverage", "faults", "id", "t_ref"):
        np.testing.assert_array_equal(getattr(reading.windows, name), getattr(expected, name))
    np.testing.assert_array_equal(reading.windows.inputs["shake"][:], expected.inputs["shake"])


def maker(archives: Path, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", MAKER, str(archives), str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])


@pytest.mark.parametrize(
    ("sign", "delay"), [("*.part", 0.0), ("*.part/journal.jsonl", 0.0), ("*.part/journal.jsonl", 0.03)]
)
def test_fault_k8_a_cache_whose_maker_was_killed_is_never_used_and_is_finished_by_the_next(
    archives: Path, tmp_path: Path, sign: str, delay: float
) -> None:
    process = maker(archives, tmp_path)
    deadline = time.monotonic() + 60
    # The index of hashes is written through a file that ends in .part too; only a cache is a folder.
    while time.monotonic() < deadline:
        if any(path.is_dir() or path.suffix == ".jsonl" for path in tmp_path.glob(sign)):
            break
        time.sleep(0.001)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
    (left,) = (path for path in tmp_path.iterdir() if path.is_dir())
    if left.suffix == ".part":
        assert not (left / "cache.json").exists()
    same_as_read(made(archives, tmp_path), archives)
    (place,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert (place / "cache.json").exists() and place.suffix != ".part"


def test_fault_k8_finished_files_are_not_read_again_and_a_torn_one_is(archives: Path, tmp_path: Path) -> None:
    same_as_read(made(archives, tmp_path), archives)
    (place,) = (path.parent for path in tmp_path.glob("*/cache.json"))
    (place / "cache.json").unlink()
    part = place.rename(place.with_name(f"{place.name}.part"))
    # What a killed maker leaves: the last line of the journal torn, the rows of its file half written.
    lines = (part / "journal.jsonl").read_bytes().rstrip(b"\n").rsplit(b"\n", 1)
    (part / "journal.jsonl").write_bytes(lines[0] + b"\n" + lines[1][:-5])
    samples = np.memmap(part / "input0.raw", np.int16, "r+")
    samples[-100:] = 7
    samples[0] = 12345  # of a finished file: stays, and is told by its checksum
    samples.flush()
    reading = made(archives, tmp_path)
    recordings, plan = opened(archives)
    expected = read_windows(recordings, plan, KINDS)
    np.testing.assert_array_equal(reading.windows.inputs["shake"][-50:], expected.inputs["shake"][-50:])
    with pytest.raises(CacheError, match="not what was written"):
        reading.windows.inputs["shake"][0]


def test_fault_k10_parts_that_nobody_works_on_are_removed_after_a_day(archives: Path, tmp_path: Path) -> None:
    notes: list[str] = []
    stale, fresh, busy = (tmp_path / f"{name * 32}.part" for name in "abc")
    for part in (stale, fresh, busy):
        part.mkdir()
        (part / "input0.raw").write_bytes(b"x" * 1000)
    for path in (stale, stale / "input0.raw", busy, busy / "input0.raw"):
        os.utime(path, (1, 1))
    temporary = tmp_path / "content.json.1.part"
    temporary.write_text("{")
    os.utime(temporary, (1, 1))
    with filelock.FileLock(tmp_path / f"{'c' * 32}.lock"):
        made(archives, tmp_path, on_note=notes.append)
    assert (stale.exists(), fresh.exists(), busy.exists(), temporary.exists()) == (False, True, True, False)
    assert any(str(stale) in note and "never finished" in note for note in notes)


def test_fault_k10_a_second_maker_waits_for_the_first(archives: Path, tmp_path: Path) -> None:
    first, second = maker(archives, tmp_path), maker(archives, tmp_path)
    assert (first.wait(60), second.wait(60)) == (0, 0)
    for process in (first, second):
        assert process.stdout is not None
        process.stdout.close()
    assert len(list(tmp_path.glob("*/cache.json"))) == 1
    same_as_read(made(archives, tmp_path), archives)


def test_fault_k10_a_script_that_runs_again_in_its_child_does_not_wait_for_itself(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(UNGUARDED)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=environment, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert "run once more in a child of itself" in done.stderr
    assert "the child process could not start" in done.stderr


def test_fault_k11_an_archive_edited_afterwards_gives_another_cache_and_a_touched_one_does_not(
    tmp_path: Path,
) -> None:
    archives, folder = tmp_path / "archives", tmp_path / "cache"
    archives.mkdir()
    write(archives / "a.h5", 1)
    write(archives / "b.h5", 2)
    before = made(archives, folder).windows.inputs["shake"][:]
    os.utime(archives / "a.h5")
    made(archives, folder)
    assert len(list(folder.glob("*/cache.json"))) == 1
    size = (archives / "a.h5").stat().st_size
    (archives / "a.h5").unlink()
    write(archives / "a.h5", 3)
    reading = made(archives, folder)
    assert len(list(folder.glob("*/cache.json"))) == 2
    same_as_read(reading, archives)
    assert (before != reading.windows.inputs["shake"][:]).any()
    assert abs((archives / "a.h5").stat().st_size - size) < 1000


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can mount a small disk")
def test_fault_k3_a_full_disk_is_found_before_anything_is_read_and_leaves_other_caches_alone(
    archives: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        # As if others filled the disk between the look at it and the first byte.
        monkeypatch.setattr("sensorkd.windows.cache_folder.RESERVE", -(1 << 30))
        recordings, plan = opened(archives)
        some = plan.select(np.arange(100))
        kept = cached_windows(recordings, some, KINDS, CacheSettings(disk, 1 << 30))
        with pytest.raises(CacheError, match="no room for the cache of windows") as caught:
            made(archives, disk)
        assert "No space left" in str(caught.value.found) and "cache.folder" in str(caught.value)
        assert not list(disk.glob("*.part"))
        np.testing.assert_array_equal(
            kept.windows.inputs["shake"][:], read_windows(recordings, some, KINDS).inputs["shake"]
        )
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
