"""The folder that holds caches of windows: what is in it, what there is room for, what may go."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from sensorkd.windows.mapped import CacheError

__all__ = ["check_room", "locked", "prune", "remove_stale"]

MANIFEST, PART = "cache.json", ".part"
# Left for whatever else needs the disk.
RESERVE = 1 << 30
STALE_SECONDS = 86_400.0


@contextmanager
def locked(folder: Path, key: str, on_note: Callable[[str], None]) -> Iterator[None]:
    """One process at a time makes a cache; another waits for it. A lock ends with its process."""
    lock = FileLock(folder / f"{key}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        on_note(f"another process makes the cache {folder / key}; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def remove_stale(folder: Path, key: str, on_note: Callable[[str], None]) -> None:
    """Remove what killed processes left, but not of this cache: a part that nobody works on since a day."""
    for part in folder.glob(f"*{PART}"):
        if part.name == key + PART or time.time() - _last_use(part) < STALE_SECONDS:
            continue
        lock = FileLock(folder / f"{part.name.removesuffix(PART)}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        try:
            on_note(f"removing {part}, which was never finished")
            shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)
        finally:
            lock.release()


def _last_use(place: Path) -> float:
    """Seconds since 1970 of the latest change in a folder, or of a file."""
    times = [item.stat().st_mtime for item in [place, *place.glob("*")] if item.exists()]
    return max(times, default=0.0)


def _stored(place: Path) -> int:
    """Bytes that a folder takes on the disk."""
    return sum(item.stat().st_blocks * 512 for item in place.glob("*"))


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
            found=f"{needed:,} bytes needed; {stored:,} in other caches, {max(0, free):,} free on the disk",
            expected=f"at most {limit:,} bytes in all caches, and {RESERVE:,} left free",
            mend="raise cache.limit, name a folder on another disk (cache.folder), remove older caches "
            "(sensorkd.windows.cache_folder.prune), or lengthen windows.hop",
        )


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
