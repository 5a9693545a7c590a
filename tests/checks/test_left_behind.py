"""What lies in a folder and is no archive that can be read: it is never passed over in silence."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sensorkd.checks import Finding, validate
from sensorkd.checks.rescue import salvage_damaged
from sensorkd.recordings import open_recordings
from tests.recordings.test_logger import BEGIN, begin, left_behind, told

WriteArchive = Callable[..., Path]
Found = Callable[..., dict[str, list[Finding]]]


def test_a_part_that_a_dead_logger_left_is_a_warning_and_can_be_saved(tmp_path: Path, found: Found) -> None:
    (tmp_path / "log").mkdir()
    part = left_behind(tmp_path / "log")
    before = part.read_bytes()
    findings = found(tmp_path)
    (left,) = findings["unfinished-file"]
    assert left.importance == "warning" and left.place.file == str(part)
    assert "no logger at work" in left.found
    assert "start the logger in this folder again" in left.cure and "--salvage OUT" in left.cure
    assert part.name in findings["unreadable"][0].found, "there is no archive beside it"
    for number, paths in enumerate((tmp_path, part)):
        out = tmp_path.with_name(f"{tmp_path.name}-out{number}")
        failed: list[Any] = []
        (saved,) = salvage_damaged(validate(paths), out, on_error=failed.append)
        assert failed == [] and saved.streams[0].saved == 700
        (recording,) = open_recordings(out)
        assert recording.path.name == part.name.removesuffix(".part")
    assert part.read_bytes() == before


def test_the_part_of_a_logger_at_work_is_no_finding(
    tmp_path: Path, found: Found, write_archive: WriteArchive, heat: Any
) -> None:
    write_archive({"temperature": heat()}, name="log/a.h5")
    with begin(tmp_path / "log") as logger:
        logger.append("shake", told(0, 700), t0=BEGIN)
        logger.flush()
        assert list((tmp_path / "log").glob("*.part"))
        assert found(tmp_path) == {}


def test_what_a_logger_kept_aside_names_the_file_that_was_made_of_it(
    write_archive: WriteArchive, heat: Any, tmp_path: Path, found: Found
) -> None:
    path = write_archive({"temperature": heat()})
    shutil.copy(path, tmp_path / "press.h5.damaged")
    (tmp_path / "lost.h5.damaged").write_bytes(b"")
    lost, kept = found(tmp_path)["unfinished-file"]
    assert "could read nothing of it" in lost.found
    assert "what its logger could read of it is in press.h5" in kept.found and "move it away" in kept.cure


def test_what_is_named_like_an_archive_and_is_no_file_is_told(
    write_archive: WriteArchive, heat: Any, tmp_path: Path, found: Found
) -> None:
    write_archive({"temperature": heat()}, name="in/a.h5")
    (tmp_path / "in" / "m01.h5").symlink_to("gone.h5")
    os.mkfifo(tmp_path / "in" / "pipe.h5")
    link, pipe = found(tmp_path / "in")["unreadable"]
    assert link.found == "not a regular file: a link to gone.h5, which leads nowhere"
    assert pipe.found == "not a regular file: a pipe (FIFO)"
    assert validate(tmp_path / "in").recordings == 1
