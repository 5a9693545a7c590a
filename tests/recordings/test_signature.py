from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sensorkd.recordings import open_recordings

Refused = Callable[..., Any]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("empty.h5", b"", "died before its first flush"),
        ("picture.h5", b"\x89PNG\r\n\x1a\n" + b"\0" * 2000, "PNG image"),
        ("table.h5", b"time,value\n" + b"0.1,2.5\n" * 300, "comma-separated text"),
        ("umlaut.h5", b"zeit;gr\xc3\xb6\xc3\x9fe\n" + "ä".encode() * 800, "comma-separated text"),
        ("log.h5", b"started\n" * 100, "plain text"),
        ("film.h5", b"\0\0\0\x20ftypisom" + b"\0" * 600, "MP4"),
        ("noise.h5", bytes(range(256)) * 8, "unknown binary data"),
        ("eight.h5", b"\x89HDF\r\n\x1a", "7 bytes: an HDF5 file cut short"),
    ],
)
def test_what_is_not_hdf5_is_called_what_it_is(
    tmp_path: Path, refused: Refused, name: str, content: bytes, told: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with refused(path, told):
        open_recordings(path)


def test_a_zip_archive_is_called_one(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "many.h5"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "b" * 100)
    with refused(path, "zip archive"):
        open_recordings(path)


def test_a_path_to_nothing_or_to_a_folder_is_told(tmp_path: Path, refused: Refused) -> None:
    with refused(tmp_path / "gone.h5", "no such file"):
        open_recordings(tmp_path / "gone.h5")
    with refused(tmp_path, "no archives in this folder"):
        open_recordings(tmp_path)
