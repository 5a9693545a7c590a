"""A file is the old one or the new one, never a mix, and nothing gathers beside it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from sensorkd.durable import sync, write_whole


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    for content in (b"a" * 1000, b"b"):
        write_whole(path, content)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_fails_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.json"
    write_whole(path, b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for _ in range(3):
        with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
            patch.setattr("sensorkd.durable.os.fsync", full)
            write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 2  # one part, however often
    write_whole(path, b"new")
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (b"new", [path])


def test_a_folder_that_cannot_be_opened_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("sensorkd.durable.os.open", refused)
    sync(tmp_path)
    write_whole(tmp_path / "state.json", b"new")
    monkeypatch.undo()
    assert (tmp_path / "state.json").read_bytes() == b"new"
