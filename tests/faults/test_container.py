"""What goes wrong with a file as a whole: each fault is made for real, and the message is read."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sensorkd.errors import ArchiveError, SensorkdError
from sensorkd.recordings import Recording, open_recordings
from tests.faults.lab import lab

Refused = Callable[..., Any]
FUZZ = Path(__file__).parents[2] / "benchmarks" / "fuzz.py"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lab.h5"


def test_fault_01_an_empty_file_tells_of_its_logger(path: Path, refused: Refused) -> None:
    path.write_bytes(b"")
    with refused(path, "empty", "died before its first flush", "0 bytes"):
        open_recordings(path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"time,value\n" + b"0.1,2.5\n" * 99, "comma-separated text"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 99, "PNG"),
    ],
)
def test_fault_02_what_is_not_hdf5_is_called_what_it_is(
    path: Path, refused: Refused, content: bytes, told: str
) -> None:
    path.write_bytes(content)
    with refused(path, "not an HDF5 file", told):
        open_recordings(path)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
@pytest.mark.parametrize("block", [0, 1024])
@pytest.mark.parametrize(("libver", "version"), [("earliest", 0), ("v108", 2), ("v110", 3)])
def test_fault_03_a_file_cut_short_tells_found_and_expected_bytes(
    path: Path, refused: Refused, share: float, block: int, libver: str, version: int
) -> None:
    whole = path.with_name("whole.h5")
    with h5py.File(whole, "w", libver=(libver, "v110"), userblock_size=block) as file:
        file["data"] = np.arange(5000)
    content = whole.read_bytes()
    assert content[block + 8] == version
    kept = block + 8 + int(share * (len(content) - block - 8))
    path.write_bytes(content[:kept])
    expected = f"{len(content):,} bytes" if share else f"at least {block + 48} bytes"
    with refused(path, "cut short", f"found: {kept:,} bytes", f"expected: {expected}"):
        open_recordings(path, lab())


def test_fault_04_a_flipped_bit_names_chunk_and_time_and_the_rest_is_read(record: Any, shake: Any) -> None:
    stream = record({"acceleration": shake()}).streams["acceleration"]
    with h5py.File(stream.source.path) as file:
        chunk = file[stream.source.dataset].id.get_chunk_info(1)
    content = bytearray(stream.source.path.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 4
    stream.source.path.write_bytes(content)
    with pytest.raises(ArchiveError, match="damaged here") as caught:
        stream.read(0, 1000)
    assert "[400:800]" in str(caught.value) and "4.000 s to 8.000 s" in str(caught.value)
    assert stream.read(0, 400)[:, 0].tolist() == list(range(400))
    assert stream.read(800, 1000)[:, 0].tolist() == list(range(800, 1000))


def test_fault_06_damage_anywhere_gives_an_error_or_intact_data_never_wrong_data(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    command = [sys.executable, FUZZ, "--cases", "160", "--kinds", "recording-1.0", "--out", out]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(out.read_text("utf-8"))
    assert result["wrong"] == {}
    assert all(sum(row.values()) == 20 for row in result["counts"]["recording-1.0"].values())


WRITER = """
import h5py, sys
file = h5py.File(sys.argv[1], "w")
file["data"] = [[1, 2]]
file.flush()
print("open", flush=True)
sys.stdin.read()
"""
READER = """
import sys
from sensorkd.errors import SensorkdError
from sensorkd.recordings import open_recordings
try:
    open_recordings(sys.argv[1])
except SensorkdError as error:
    print(error)
"""


@pytest.mark.parametrize("locking", [None, "FALSE", "BEST_EFFORT"])
def test_fault_08_a_file_that_is_being_written_is_in_use_even_where_hdf5_takes_no_locks(
    path: Path, locking: str | None
) -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    writer = subprocess.Popen([sys.executable, "-c", WRITER, path], text=True, **pipes)
    environment = {**os.environ, **({"HDF5_USE_FILE_LOCKING": locking} if locking else {})}
    try:
        assert writer.stdout is not None and writer.stdout.readline() == "open\n"
        command = [sys.executable, "-c", READER, path]
        told = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    finally:
        writer.communicate()
    assert "in use by a writer" in told and "wait until it is closed" in told
    assert open_recordings(path, lab())[0].streams["shake"].read(0, 1).tolist() == [[1, 2]]


ABSURD = """
import sys, time
from pathlib import Path
from sensorkd.errors import SensorkdError
from sensorkd.recordings import open_recordings
from tests.faults.lab import lab, made
open_recordings(made(Path(sys.argv[1]).with_name("sound.h5")), lab())
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024
before, begun = peak(), time.perf_counter()
try:
    open_recordings(sys.argv[1], lab())
except SensorkdError as error:
    print(time.perf_counter() - begun, peak() - before, error)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's account of memory")
def test_fault_15_absurd_sizes_are_refused_in_under_a_second_and_50_mb(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("data", (2**60, 2), "i2", chunks=(1000, 2), compression="gzip")[:1000] = 1
    command = [sys.executable, "-c", ABSURD, path]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=root)
    seconds, memory, told = done.stdout.split(maxsplit=2)
    assert "out of proportion" in told and str(2**60) in told
    assert float(seconds) < 1.0 and int(memory) < 50_000_000, done.stdout


def first_sample(recording: Recording) -> list[int]:
    return [int(value) for value in recording.streams["acceleration"].read(7, 8)[0]]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("start", ["fork", "spawn", "forkserver"])
def test_fault_21_a_recording_opened_before_reads_right_in_a_child(
    record: Any, shake: Any, start: str
) -> None:
    recording = record({"acceleration": shake()})
    assert first_sample(recording) == [7, -7]  # the file is open in this process
    with multiprocessing.get_context(start).Pool(1) as pool:
        assert pool.apply(first_sample, (recording,)) == [7, -7]
    assert first_sample(recording) == [7, -7]


def test_one_bad_file_never_ends_a_job_over_a_folder(write_archive: Any, heat: Any, tmp_path: Path) -> None:
    write_archive({"t": heat()}, name="plant/a.h5")
    write_archive({"t": heat()}, name="plant/c.h5")
    (tmp_path / "plant" / "b.h5").write_bytes(b"")
    errors: list[SensorkdError] = []
    found = open_recordings(tmp_path / "plant", on_error=errors.append)
    assert [item.id for item in found] == ["a.h5::monday", "c.h5::monday"]
    assert [error.file for error in errors] == [str(tmp_path / "plant" / "b.h5")]
