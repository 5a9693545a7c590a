from __future__ import annotations

import hashlib
import json
import multiprocessing
from pathlib import Path
from typing import Any

import h5py
import pytest

from sensorkd.recordings import Manifest, RecordingWriter, open_recordings, seal
from sensorkd.recordings.manifest import MANIFEST, content_hash


@pytest.fixture
def archive(write_archive: Any, shake: Any, heat: Any) -> Path:
    path: Path = write_archive({"acceleration": shake(), "temperature": heat()})
    return path


def test_the_hash_is_sha256_over_the_bytes(archive: Path) -> None:
    assert content_hash(archive) == hashlib.sha256(archive.read_bytes()).hexdigest()


def test_a_sealed_archive_agrees_with_the_manifest(archive: Path) -> None:
    told = seal(archive)
    manifest = Manifest.read(archive.parent)
    assert manifest.files == {archive.name: told}
    assert told.bytes == archive.stat().st_size
    assert told.sealed_at.endswith("+00:00")
    manifest.check(archive)


def test_sealing_enters_a_second_file_and_leaves_the_first(archive: Path, shake: Any) -> None:
    first = seal(archive)
    other = archive.with_name("other.h5")
    with RecordingWriter(other) as writer:
        writer.recording("a", clock="relative", identity={}).add_stream("s", **shake())
    second = seal(other)
    assert Manifest.read(archive.parent).files == {archive.name: first, "other.h5": second}


def test_sealing_may_give_the_file_its_name(archive: Path) -> None:
    part = archive.rename(archive.with_suffix(".part"))
    seal(part, archive)
    assert not part.exists()
    Manifest.read(archive.parent).check(archive)
    assert len(open_recordings(archive)) == 1


def test_a_folder_without_a_manifest_has_an_empty_one(tmp_path: Path) -> None:
    assert Manifest.read(tmp_path).files == {}


def test_an_archive_that_nobody_sealed_is_told(archive: Path, refused: Any) -> None:
    with refused(archive, "not in the manifest", inside=MANIFEST):
        Manifest.read(archive.parent).check(archive)


def test_a_missing_archive_is_told(archive: Path, refused: Any) -> None:
    seal(archive)
    archive.unlink()
    with refused(archive, "missing", "sealed"):
        Manifest.read(archive.parent).check(archive)


@pytest.mark.parametrize(
    "text", ["", "[1]", '{"schema": "x", "files": {}}', '{"schema": "manifest-1.0"}', '{"']
)
def test_a_damaged_manifest_is_told_and_stays(archive: Path, refused: Any, text: str) -> None:
    path = archive.with_name(MANIFEST)
    path.write_text(text)
    with refused(path, "the manifest cannot be read"):
        Manifest.read(archive.parent)
    with refused(path, "the manifest cannot be read"):
        seal(archive)


def test_what_cannot_be_read_back_is_not_sealed(archive: Path, refused: Any) -> None:
    with h5py.File(archive) as file:
        place = file["monday/streams/acceleration/samples"].id.get_chunk_info(1)
    content = bytearray(archive.read_bytes())
    content[place.byte_offset + place.size // 2] ^= 4
    archive.write_bytes(content)
    with refused(archive, "cannot be read back", "[400:800]", inside="/monday/streams/acceleration/samples"):
        seal(archive)
    assert not archive.with_name(MANIFEST).exists()


def test_what_is_no_archive_is_not_sealed(tmp_path: Path, refused: Any) -> None:
    path = tmp_path / "foreign.h5"
    with h5py.File(path, "w") as file:
        file["a"] = [1, 2]
    with refused(path, "not a recording-1.0 archive"):
        seal(path)


def test_two_processes_that_seal_at_once_lose_no_entry(tmp_path: Path, shake: Any) -> None:
    paths = [tmp_path / f"{number}.h5" for number in range(12)]
    for path in paths:
        with RecordingWriter(path) as writer:
            writer.recording("a", clock="relative", identity={}).add_stream("s", **shake(seconds=1.0))
    with multiprocessing.get_context("forkserver").Pool(2) as pool:
        pool.map(seal, paths, chunksize=1)
    assert sorted(json.loads((tmp_path / MANIFEST).read_text())["files"]) == sorted(
        path.name for path in paths
    )
