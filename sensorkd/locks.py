"""One process at a time in a folder; the lock goes with its process, however that ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from sensorkd.errors import RunError

__all__ = ["only_process"]


@contextmanager
def only_process(folder: Path, what: str) -> Iterator[None]:
    """Be the only process that writes to a folder, which is made where it is not there.

    Raises:
        RunError: another one is at it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RunError(f"another process is at this {what}", file=folder, mend="let it end") from error
    try:
        yield
    finally:
        lock.release()
