from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sensorkd.errors import ArchiveError, ConfigError, SensorkdError
from sensorkd.processes import ChildError, ChildLimits
from sensorkd.recordings import Recording, open_recordings
from sensorkd.recordings.isolated import LIMITS, open_isolated, open_isolated_with
from tests.faults.lab import lab

SHORT = ChildLimits(seconds=4.0, memory=4 << 30)


def hanging(path: Path) -> Path:
    """An archive whose text attribute HDF5 reads for ever."""
    with h5py.File(path, "w") as file:
        file["data"] = np.zeros((10, 2), np.int16)
        file["data"].attrs["unit"] = "m/s2"  # h5py gives text a variable length
    return without_heap(path)


def without_heap(path: Path) -> Path:
    """A file whose text of variable length HDF5 reads for ever: its heap lost sixteen bytes to zeros."""
    content = bytearray(path.read_bytes())
    first = content.index(b"GCOL") + 16
    content[first : first + 16] = bytes(16)
    path.write_bytes(content)
    return path


def layout() -> Any:
    """The laboratory's, with its unit from an attribute."""
    told = lab().model_dump(by_alias=True)
    told["streams"]["shake"]["unit"] = {"attribute": "unit"}
    return type(lab()).model_validate(told)


def sound(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file["data"] = np.arange(20, dtype=np.int16).reshape(10, 2)
        file["data"].attrs["unit"] = "m/s2"
    return path


def test_recordings_come_back_and_read_as_if_they_had_been_opened_here(
    write_archive: Any, shake: Any, heat: Any, tmp_path: Path
) -> None:
    write_archive({"acceleration": shake()}, name="plant/b.h5", recordings=("mon", "tue"))
    write_archive({"temperature": heat()}, name="plant/a.h5")
    here = open_recordings(tmp_path / "plant")
    there = open_isolated(tmp_path / "plant", jobs=2)
    assert (
        [item.id for item in there]
        == [item.id for item in here]
        == ["a.h5::monday", "b.h5::mon", "b.h5::tue"]
    )
    assert there[1].identity == here[1].identity
    assert there[1].streams["acceleration"].read(3, 5).tolist() == [[3, -3], [4, -4]]


def test_a_file_that_hangs_hdf5_is_named_and_the_folder_goes_on(tmp_path: Path) -> None:
    files = [sound(tmp_path / "a.h5"), hanging(tmp_path / "b.h5"), sound(tmp_path / "c.h5")]
    errors: list[SensorkdError] = []
    began = time.monotonic()
    found = open_isolated(tmp_path, layout(), on_error=errors.append, jobs=2, limits=SHORT)
    assert time.monotonic() - began < 60
    assert [item.path for item in found] == [files[0], files[2]]
    (error,) = errors
    assert isinstance(error, ChildError) and error.file == str(files[1])
    assert "does not end" in str(error) and "within 4 s" in str(error)


def first_bytes(recording: Recording) -> int:
    """Read past the guard, as native code may when it is made to."""
    with h5py.File(recording.path) as file:
        return int(file["data"][50, 0])


def test_a_file_that_crashes_hdf5_is_named_and_the_folder_goes_on(tmp_path: Path) -> None:
    for name in ("a.h5", "b.h5"):
        with h5py.File(tmp_path / name, "w") as file:
            values = np.arange(200, dtype=np.int16).reshape(100, 2)
            file.create_dataset("data", data=values, chunks=(10, 2), fletcher32=True)
            file["spare"] = values
            if name == "a.h5":  # a checksum needs four bytes
                file["data"].id.write_direct_chunk((50, 0), b"x")
    errors: list[SensorkdError] = []
    found = open_isolated_with(first_bytes, tmp_path, lab("spare"), on_error=errors.append)
    assert [(item.path.name, told) for item, told in found] == [("b.h5", 100)]
    (error,) = errors
    assert isinstance(error, ChildError) and error.file == str(tmp_path / "a.h5")
    assert "crashed its reader" in str(error) and "SIG" in str(error)


def hungry(recording: Recording) -> int:
    return int(np.ones(1 << 30, np.uint8).sum())


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory can only be limited on Linux")
def test_a_file_that_needs_too_much_memory_is_named(tmp_path: Path) -> None:
    path = sound(tmp_path / "a.h5")
    with pytest.raises(ChildError, match="more memory") as caught:
        open_isolated_with(hungry, path, layout(), limits=ChildLimits(seconds=60.0, memory=1 << 29))
    assert caught.value.file == str(path)


def process(recording: Recording) -> int:
    return os.getpid()


def test_each_file_has_a_process_of_its_own_and_ids_are_judged_over_all(
    write_archive: Any, heat: Any, refused: Any
) -> None:
    paths = [write_archive({"t": heat()}, name=f"{place}/a.h5") for place in ("east", "west")]
    found = open_isolated_with(process, paths[0].parent)
    found += open_isolated_with(process, paths[1].parent)
    assert len({os.getpid(), *(told for _, told in found)}) == 3
    with refused(paths[1], "two files give the same recording id", str(paths[0])):
        open_isolated(paths, jobs=2)


def test_what_is_wrong_with_a_file_is_told_as_ever(tmp_path: Path, refused: Any) -> None:
    (tmp_path / "a.h5").write_bytes(b"")
    with refused(tmp_path / "a.h5", "empty", "first flush"):
        open_isolated(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArchiveError, match="no archives in this folder"):
        open_isolated(tmp_path / "empty")
    with pytest.raises(ConfigError, match="no such layout"):
        open_isolated(tmp_path, tmp_path / "none.yaml")


def test_a_minute_and_four_gibibytes_are_allowed_by_default() -> None:
    assert (LIMITS.seconds, LIMITS.memory) == (60.0, 4 * 2**30)
