"""Archives kept open between reads, a few at a time, and opened anew in every process."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from sensorkd.recordings.guard import GuardedFile
from sensorkd.recordings.policy import GuardPolicy

__all__ = ["open_guarded"]


def open_guarded(path: Path) -> GuardedFile:
    """The open file, kept open between reads.

    Raises:
        ArchiveError: see `GuardedFile`.
    """
    policy = GuardPolicy.of_environment()
    try:
        status = path.stat()
    except OSError:
        return GuardedFile(path, policy)  # says what is wrong
    return _kept_open(path, os.getpid(), (status.st_ino, status.st_size, status.st_mtime_ns), policy)


@functools.lru_cache(maxsize=64)
def _kept_open(path: Path, process: int, state: tuple[int, int, int], policy: GuardPolicy) -> GuardedFile:
    """Keyed by process, so a child after a fork opens its own; by state, so a replaced file is reopened."""
    return GuardedFile(path, policy)
