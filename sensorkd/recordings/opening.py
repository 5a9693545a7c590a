"""Opens an HDF5 file for reading, and says why it cannot be when it cannot."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import h5py

from sensorkd.errors import ArchiveError
from sensorkd.recordings.signature import check_signature
from sensorkd.recordings.storage import READ_ERRORS
from sensorkd.recordings.superblock import Superblock, read_superblock

__all__ = ["damage_told", "open_read_only"]

# Bytes of the smallest first block.
SMALLEST = 48


def open_read_only(path: Path) -> h5py.File:
    """The open file.

    Raises:
        ArchiveError: it is missing, empty, not HDF5, cut short, damaged, or in use by a writer.
    """
    signature = check_signature(path)
    _check_lock(path)
    try:
        return h5py.File(path, "r")
    except READ_ERRORS as error:
        raise _not_opened(path, signature, error) from error


@contextlib.contextmanager
def damage_told(path: Path, inside: str | None = None) -> Iterator[None]:
    """What HDF5 and h5py raise on damaged metadata becomes an ArchiveError.

    Raises:
        ArchiveError: naming file and place.
    """
    try:
        yield
    except READ_ERRORS as error:
        hungry = isinstance(error, MemoryError)
        raise ArchiveError(
            "reading the file takes more memory than there is"
            if hungry
            else "the file cannot be read: its structure is damaged",
            file=path,
            inside=inside,
            found=repr(error),
            expected="a sound HDF5 file",
            mend="restore the file from its source, or leave it out",
        ) from error


def _check_lock(path: Path) -> None:
    """Where HDF5_USE_FILE_LOCKING forbids HDF5 to look for a writer's lock, it is seen all the same."""
    try:
        import fcntl
    except ImportError:
        return  # not on Windows, which does not let two open the file in the first place
    with path.open("rb") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _in_use(path, error) from error
        except OSError:
            return  # a file system without locks


def _in_use(path: Path, error: Exception) -> ArchiveError:
    return ArchiveError(
        "the file is in use by a writer",
        file=path,
        found=error,
        expected="a file that is closed",
        mend="wait until it is closed, or copy it",
    )


def _not_opened(path: Path, signature: int, error: Exception) -> ArchiveError:
    size, message = path.stat().st_size, str(error)
    if isinstance(error, BlockingIOError) or "unable to lock" in message:
        return _in_use(path, error)
    problem = "HDF5 cannot open the file: its structure is damaged"
    found, expected = f"{size:,} bytes; HDF5 says: {message}", "a whole HDF5 file"
    told = _superblock(path)
    if "already open" in message or (told is not None and told.left_open and told.checked):
        return _left_open(path, message)
    if size - signature < SMALLEST:
        problem, found = "the file is cut short", f"{size:,} bytes: the signature of HDF5 and little more"
        expected = f"at least {signature + SMALLEST} bytes; how many, stood in the part that is gone"
    elif told is not None and told.end > size and "truncated" in message:
        problem, found, expected = "the file is cut short", f"{size:,} bytes", f"{told.end:,} bytes"
    return ArchiveError(
        problem,
        file=path,
        found=found,
        expected=expected,
        mend="restore the file from its source; a logger that died leaves such files",
    )


def _left_open(path: Path, message: str) -> ArchiveError:
    # A writer in SWMR mode holds no lock: one that lives looks like one that was killed.
    return ArchiveError(
        "the file is in use by a writer, or its writer was killed",
        file=path,
        found=f"the mark that a writer leaves while the file is open; HDF5 says: {message}",
        expected="a file that is closed",
        mend="wait until it is closed; if its writer is gone, `sensorkd validate FILE --salvage OUT` writes "
        "what is whole into a new file",
    )


def _superblock(path: Path) -> Superblock | None:
    try:
        return read_superblock(path)
    except ArchiveError:
        return None
