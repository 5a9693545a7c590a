"""The folder that a logger writes into: one logger at a time, names of its files, what a dead one left."""

from __future__ import annotations

import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from sensorkd import timeline
from sensorkd.errors import ArchiveError
from sensorkd.recordings.recording import Clock

__all__ = ["PART", "check_no_logger", "lock_folder", "next_name", "parts"]

LOCK = ".logger.lock"
PART = ".part"


def lock_folder(folder: Path, patience: float) -> FileLock:
    """Take the folder for this process, until it releases the lock or ends, however it ends.

    patience: s. A logger whose program was killed still seals what it was given.

    Raises:
        ArchiveError: another logger has it.
    """
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=patience)
    except Timeout as error:
        raise _in_use(folder) from error
    return lock


def check_no_logger(path: Path) -> None:
    """Refuse a file that a logger may be writing.

    Raises:
        ArchiveError: it is a part, and there is a logger at work in its folder.
    """
    if not path.name.endswith(PART) or not (path.parent / LOCK).exists():
        return
    try:
        FileLock(path.parent / LOCK).acquire(timeout=0).lock.release()
    except Timeout as error:
        raise _in_use(path) from error


def _in_use(path: Path) -> ArchiveError:
    return ArchiveError(
        "a logger is at work in this folder",
        file=path,
        found=f"a lock on {LOCK}",
        expected="a folder without a logger",
        mend="stop it first, or give every logger a folder of its own",
    )


def parts(folder: Path) -> list[Path]:
    """Files that were not sealed, oldest name first."""
    return sorted(folder.glob(f"*.h5{PART}"))


def next_name(folder: Path, clock: Clock, t0: int) -> Path:
    """A name that is not in use: when the file begins, in UTC; a running number on a relative clock."""
    if clock == "utc":
        begin = datetime.datetime.fromtimestamp(t0 // timeline.SECOND, datetime.UTC)
        stem = begin.strftime("%Y%m%dT%H%M%SZ")
        number = 1
    else:
        taken = [path.name[:6] for path in folder.iterdir()]
        stem, number = "", max((int(name) for name in taken if name.isdecimal()), default=0) + 1
    while True:
        name = f"{number:06d}.h5" if not stem else f"{stem}.h5" if number == 1 else f"{stem}-{number}.h5"
        if not list(folder.glob(f"{name}*")):
            return folder / name
        number += 1
