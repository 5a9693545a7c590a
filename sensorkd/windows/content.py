"""What is in source files: their hashes, remembered so that each file is read once for it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from sensorkd.errors import ArchiveError

__all__ = ["Content", "ContentIndex", "FileState", "check_state", "state_of"]

INDEX = "content.json"
# A clock that ticks too coarsely gives two edits one time: what was changed so shortly before it was hashed
# may have been changed once more since. FAT counts in 2 s.
RESOLUTION = 3_000_000_000

# Size, mtime, ctime (ns) and inode: a file that keeps all of them was not edited. ctime tells of an edit
# after which the mtime was set back.
FileState = tuple[int, int, int, int]


class Content(NamedTuple):
    """sha256: of the bytes of a file, hexadecimal. state: of the file when they were read."""

    sha256: str
    state: FileState


def state_of(path: Path) -> FileState:
    """What changes when a file is edited or replaced.

    Raises:
        ArchiveError: it cannot be reached.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise ArchiveError(
            "the file cannot be reached any more",
            file=path,
            found=error.strerror or error,
            expected="the file that was opened before",
            mend="put it back, or leave it out",
        ) from error
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


class ContentIndex:
    """Contents of files by path and state, kept in a file of a folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / INDEX
        self._known: dict[str, tuple[FileState, int, str]] = {}
        try:
            stored = json.loads(self._path.read_text(encoding="utf-8"))
            self._known = {
                path: (tuple(state), int(hashed), str(digest))
                for path, (state, hashed, digest) in stored.items()
            }
        except (OSError, ValueError, TypeError, AttributeError):
            pass  # It only saves time: without it, or where it is damaged, files are hashed again.

    def look_up(self, paths: Iterable[Path], *, jobs: int = 1) -> dict[Path, Content | ArchiveError]:
        """The content of each file, or why it cannot be read; files whose state is known are not read."""
        paths = list(paths)
        with ThreadPoolExecutor(max(1, jobs)) as pool:
            found = dict(zip(paths, pool.map(self._hash, paths), strict=True))
        self._save()
        return found

    def _hash(self, path: Path) -> Content | ArchiveError:
        try:
            state = state_of(path)
            known = self._known.get(str(path.absolute()))
            if known is not None and known[0] == state and known[1] - max(state[1:3]) > RESOLUTION:
                return Content(known[2], state)
            begun = time.time_ns()
            with path.open("rb") as handle:
                digest = hashlib.file_digest(handle, "sha256").hexdigest()
            check_state(path, state)
        except OSError as error:
            return ArchiveError(
                "the file cannot be read",
                file=path,
                found=error.strerror or error,
                expected="a file that can be read to its end",
                mend="restore the file from its source, or leave it out",
            )
        except ArchiveError as error:
            return error
        self._known[str(path.absolute())] = (state, begun, digest)
        return Content(digest, state)

    def _save(self) -> None:
        part = self._path.with_name(f"{INDEX}.{os.getpid()}.part")
        try:
            part.write_text(json.dumps(self._known), encoding="utf-8")
            part.replace(self._path)
        except OSError:
            # It only saves time, and a sealed cache may lie where nobody can write.
            with contextlib.suppress(OSError):
                part.unlink()


def check_state(path: Path, before: FileState) -> None:
    """Refuse a file that was edited or replaced.

    Raises:
        ArchiveError: it was, or it cannot be reached.
    """
    if state_of(path) != before:
        raise ArchiveError(
            "the file was changed while it was read",
            file=path,
            found="another size or time of change",
            expected="a file that is complete",
            mend="run again once nothing writes to it",
        )
