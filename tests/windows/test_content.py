from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from sensorkd.errors import ArchiveError
from sensorkd.windows import content
from sensorkd.windows.content import Content, ContentIndex


def digest(folder: Path, path: Path) -> str:
    found = ContentIndex(folder).look_up([path])[path]
    assert isinstance(found, Content)
    return found.sha256


def readings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are read to their end from now on."""
    seen: list[str] = []
    real = content.hashlib.file_digest

    def watched(handle, kind):  # type: ignore[no-untyped-def]
        seen.append(Path(handle.name).name)
        return real(handle, kind)

    monkeypatch.setattr(content.hashlib, "file_digest", watched)
    return seen


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file whose last change is some time ago."""
    path = tmp_path / "a.h5"
    path.write_bytes(b"first")
    monkeypatch.setattr(content, "RESOLUTION", 20_000_000)
    time.sleep(0.05)
    return path


def test_a_file_is_read_once_for_its_hash(old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = readings(monkeypatch)
    first = digest(tmp_path, old)
    assert digest(tmp_path, old) == first
    assert seen == ["a.h5"]


def test_a_file_that_was_touched_is_read_again_and_is_the_same(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, first = readings(monkeypatch), digest(tmp_path, old)
    os.utime(old)
    assert digest(tmp_path, old) == first
    assert seen == ["a.h5", "a.h5"]


def test_an_edit_of_the_same_size_and_time_is_seen(old: Path, tmp_path: Path) -> None:
    first, before = digest(tmp_path, old), old.stat()
    with old.open("r+b") as handle:
        handle.write(b"other")
    os.utime(old, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (old.stat().st_size, old.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert digest(tmp_path, old) != first


def test_a_file_changed_a_moment_ago_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, seen = tmp_path / "a.h5", readings(monkeypatch)
    path.write_bytes(b"first")
    digest(tmp_path, path)
    digest(tmp_path, path)
    assert seen == ["a.h5", "a.h5"]


def test_a_file_that_is_gone_is_its_own_error(old: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone.h5"
    found = ContentIndex(tmp_path).look_up([gone, old])
    assert isinstance(found[gone], ArchiveError) and str(gone) in str(found[gone])
    assert isinstance(found[old], Content)


def test_a_damaged_index_only_costs_time(old: Path, tmp_path: Path) -> None:
    first = digest(tmp_path, old)
    for text in ("", "[1", "[]", '{"x": 1}'):
        (tmp_path / content.INDEX).write_text(text)
        assert digest(tmp_path, old) == first
