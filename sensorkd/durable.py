"""Files that are whole or not there, whenever the power fails. The standard library only, for the device too.

All rests on the disk keeping what it says it has synced.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

__all__ = ["sync", "write_whole"]


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file: at any time the old one is there or the new, which is on the disk when this returns.

    Its part has one name, so that a device that often loses its power gathers none. Two processes must not
    write the same file: lock it where they might.

    Raises:
        OSError: the disk is full, or the folder cannot be written to; the old file is as it was.
    """
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())
    part.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Have the disk hold what the operating system holds of a file, or the names in a folder.

    Not every file system lets folders be opened; there the rename is as safe as it gets.
    """
    with contextlib.suppress(PermissionError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
