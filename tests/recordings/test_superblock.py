from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sensorkd.recordings.superblock import copy_mended, lookup3, read_superblock

# libver of h5py, and the version of the superblock that it writes.
VERSIONS = {"earliest": 0, "v108": 2, "v110": 3}


def written(path: Path, libver: str = "v110", userblock: int = 0) -> Path:
    high = "v108" if libver == "earliest" else libver
    with h5py.File(path, "w", libver=(libver, high), userblock_size=userblock) as file:
        file["samples"] = np.arange(1000)
    return path


def killed(path: Path) -> Path:
    """What a writer that dies leaves: the mark stays. The file is copied while it is open."""
    with h5py.File(path.with_suffix(".open"), "w", libver=("v110", "v110")) as file:
        data = file.create_dataset("samples", (0,), maxshape=(None,), chunks=(100,), dtype="i8")
        file.swmr_mode = True
        data.resize((1000,))
        data[:] = np.arange(1000)
        data.flush()
        path.write_bytes(path.with_suffix(".open").read_bytes())
    return path


@pytest.mark.parametrize("libver", VERSIONS)
@pytest.mark.parametrize("userblock", [0, 512, 2048])
def test_version_end_and_checksum_are_read_without_the_library(
    tmp_path: Path, libver: str, userblock: int
) -> None:
    path = written(tmp_path / "a.h5", libver, userblock)
    told = read_superblock(path)
    assert (told.version, told.start, told.flags) == (VERSIONS[libver], userblock, 0)
    assert told.end == path.stat().st_size
    assert told.checked
    assert not told.left_open


@pytest.mark.parametrize(
    ("text", "expected"), [(b"", 0xDEADBEEF), (b"Four score and seven years ago", 0x17770551)]
)
def test_the_checksum_is_that_of_its_author(text: bytes, expected: int) -> None:
    assert lookup3(text) == expected


def test_a_flipped_bit_shows_in_the_checksum(tmp_path: Path, refused: Any) -> None:
    path = written(tmp_path / "a.h5")
    content = bytearray(path.read_bytes())
    content[30] ^= 1
    path.write_bytes(content)
    assert not read_superblock(path).checked
    with refused(path, "checksum", inside="superblock"):
        copy_mended(path, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_killed_writer_leaves_its_mark_and_the_copy_has_none(tmp_path: Path) -> None:
    path = killed(tmp_path / "a.h5")
    before = path.read_bytes()
    assert read_superblock(path).left_open
    with pytest.raises(OSError, match="already open"):
        h5py.File(path)
    assert copy_mended(path, tmp_path / "copy") == len(before)
    with h5py.File(tmp_path / "copy") as file:
        np.testing.assert_array_equal(file["samples"][()], np.arange(1000))
    assert path.read_bytes() == before


@pytest.mark.parametrize("libver", VERSIONS)
@pytest.mark.parametrize("userblock", [0, 512])
def test_a_file_cut_short_is_filled_up_in_the_copy(tmp_path: Path, libver: str, userblock: int) -> None:
    path = written(tmp_path / "a.h5", libver, userblock)
    whole = path.read_bytes()
    path.write_bytes(whole[:-4000])
    assert copy_mended(path, tmp_path / "copy") == len(whole) - 4000
    assert (tmp_path / "copy").stat().st_size == len(whole)
    with h5py.File(tmp_path / "copy") as file:
        np.testing.assert_array_equal(file["samples"][:400], np.arange(400))


@pytest.mark.parametrize(("place", "value"), [(8, 9), (9, 3), (9, 200)])
def test_a_first_block_that_is_none_is_refused(tmp_path: Path, refused: Any, place: int, value: int) -> None:
    path = written(tmp_path / "a.h5")
    content = bytearray(path.read_bytes())
    content[place] = value
    path.write_bytes(content)
    with refused(path, "first block of the file is damaged"):
        read_superblock(path)


@pytest.mark.parametrize("length", [8, 9, 12, 20, 47])
def test_a_first_block_cut_short_is_refused(tmp_path: Path, refused: Any, length: int) -> None:
    path = tmp_path / "a.h5"
    path.write_bytes(written(tmp_path / "b.h5").read_bytes()[:length])
    with refused(path, "first block of the file is damaged"):
        read_superblock(path)
