"""The folder that holds caches of windows: what is in it, what there is room for, what may go."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from sensorkd.windows.cache_layout import told_bytes, write_error
from sensorkd.windows.mapped import CacheError

__all__ = ["check_room", "locked", "prune", "remove_stale"]

MANIFEST, PART = "cache.json", ".part"
# Left for whatever else needs the disk.
RESERVE = 1 << 30
STALE_SECONDS = 86_400.0


@contextlib.contextmanager
def locked(folder: Path, key: str, on_note: Callable[[str], None]) -> Iterator[None]:
    """One process at a time makes a cache; another waits for it. A lock ends with its process.

    Raises:
        CacheError: the folder cannot be written to, or cannot hold locks.
    """
    lock = FileLock(folder / f"{key}.lock")
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            _check_not_ourselves(folder / key)
            on_note(f"another process makes the cache {folder / key}; waiting for it")
            lock.acquire()
    except (OSError, NotImplementedError) as error:
        raise write_error(folder, error, 0) from error
    try:
        yield
    finally:
        lock.release()


def _check_not_ourselves(place: Path) -> None:
    # A child in which multiprocessing runs the caller's script once more would wait for its own parent.
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise CacheError(
            "the script is run once more in a child of itself, which makes this cache",
            file=place,
            found="a script without a guard, whose own functions or classes are needed in its children",
            expected='work below `if __name__ == "__main__":`',
            mend="guard the start of the script, or move those functions and classes to a module",
        )


def remove_stale(folder: Path, key: str, on_note: Callable[[str], None]) -> None:
    """Remove what killed processes left, but not of this cache: a part that nobody works on since a day."""
    for part in folder.glob(f"*{PART}"):
        if part.name == key + PART or time.time() - _last_use(part) < STALE_SECONDS:
            continue
        lock = FileLock(folder / f"{part.name.removesuffix(PART)}.lock")
        # Busy, or another user's: what cannot be removed stays.
        with contextlib.suppress(OSError), lock.acquire(timeout=0):
            shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)
            on_note(f"removed {part}, which was never finished")


def _last_use(place: Path) -> float:
    """Seconds since 1970 of the latest change in a folder, or of a file."""
    return max((status.st_mtime for status in _statuses([place, *place.glob("*")])), default=0.0)


def _stored(place: Path) -> int:
    """Bytes that a folder takes on the disk."""
    return sum(status.st_blocks * 512 for status in _statuses(place.glob("*")))


def _statuses(paths: Iterable[Path]) -> Iterator[os.stat_result]:
    for path in paths:
        with contextlib.suppress(OSError):  # another process may have removed it meanwhile
            yield path.stat()


def check_room(folder: Path, key: str, needed: int, limit: int) -> None:
    """Refuse a cache that is larger than its limit, or than what the disk can spare.

    limit: bytes of all caches in the folder together.

    Raises:
        CacheError: there is no room.
    """
    others = [item for item in folder.glob("*") if item.is_dir() and item.name != key + PART]
    stored, ours = sum(map(_stored, others)), _stored(folder / (key + PART))
    free = shutil.disk_usage(folder).free + ours - RESERVE
    if needed > min(limit - stored, free):
        raise CacheError(
            "there is no room for the cache of windows",
            file=folder,
            found=f"{told_bytes(needed)} needed; {told_bytes(stored)} in other caches, "
            f"{told_bytes(max(0, free))} free on the disk",
            expected=f"at most {told_bytes(limit)} in all caches, and {told_bytes(RESERVE)} left free",
            mend=f"{_to_delete(others)}raise cache.limit (GiB), name a folder on another disk "
            "(cache.folder), or lengthen windows.hop",
        )


def _to_delete(others: Sequence[Path]) -> str:
    """The cache that was not used for the longest time; none that is being made."""
    sealed = [place for place in others if place.suffix != PART and (place / MANIFEST).exists()]
    if not sealed:
        return ""
    oldest = min(sealed, key=lambda place: _last_use(place / MANIFEST))
    return f"delete the folder {oldest}, unused for the longest time ({told_bytes(_stored(oldest))}), "


def prune(folder: str | Path, *, keep: int) -> list[Path]:
    """Remove the least recently used caches until at most `keep` bytes are left; which were removed.

    Those that are being made stay. Nothing calls this but its user.
    """
    folder = Path(folder)
    sealed = [item.parent for item in folder.glob(f"*/{MANIFEST}") if item.parent.suffix != PART]
    # The manifest is touched whenever the cache is opened.
    sealed.sort(key=lambda place: (place / MANIFEST).stat().st_mtime)
    left, removed = sum(map(_stored, sealed)), list[Path]()
    for place in sealed:
        if left <= keep:
            break
        left -= _stored(place)
        shutil.rmtree(place)
        removed.append(place)
    return removed
