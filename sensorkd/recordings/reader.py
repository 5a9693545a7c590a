"""Opens archives: canonical `recording-1.0` files as they are, foreign trees through a layout."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from sensorkd.errors import ArchiveError, SensorkdError
from sensorkd.recordings.canonical import read_archive
from sensorkd.recordings.guard import GuardedFile
from sensorkd.recordings.layout import Layout, load_layout
from sensorkd.recordings.mapped import read_mapped
from sensorkd.recordings.opening import damage_told
from sensorkd.recordings.recording import Recording

__all__ = ["UNFINISHED", "check_regular", "find_archives", "find_unfinished", "open_recordings"]

SUFFIXES = (".h5", ".hdf5", ".hdf", ".he5")
# What a logger writes until it seals a file, and what it could not seal.
UNFINISHED = (".h5.part", ".h5.damaged")
KINDS = {
    stat.S_IFIFO: "a pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder that cannot be listed",
}


def open_recordings(
    paths: str | Path | Iterable[str | Path],
    layout: Layout | str | Path | None = None,
    *,
    on_error: Callable[[SensorkdError], None] | None = None,
) -> list[Recording]:
    """Open archives and list their recordings; samples are read later, and only those asked for.

    Args:
        paths: files or folders (searched for .h5, .hdf5, .hdf and .he5, in order of their names, also
            behind symbolic links, each file once).
        layout: the map for a foreign tree; None for `recording-1.0` files.
        on_error: called with each file's error, and the other files go on; None raises the first.

    Raises:
        ArchiveError: a file is not safe, not HDF5, or not what schema or layout says.
        ConfigError: the layout itself is wrong.
    """
    if isinstance(layout, str | Path):
        layout = load_layout(layout)
    gathered = Gathered(on_error)
    for name, path in find_archives(paths):
        try:
            recordings = open_archive(path, name, layout)
        except SensorkdError as error:
            gathered.fail(error)
        else:
            gathered.add(recordings)
    return gathered.recordings


class Gathered:
    """Recordings of many files; what is wrong with one is told to `on_error`, or raised if it is None."""

    def __init__(self, on_error: Callable[[SensorkdError], None] | None) -> None:
        self._on_error = on_error
        self._found: dict[str, Recording] = {}

    @property
    def recordings(self) -> list[Recording]:
        """All that are in order."""
        return list(self._found.values())

    def add(self, recordings: Iterable[Recording]) -> None:
        """Take the recordings of one file, but for those whose ids are taken."""
        for recording in recordings:
            if recording.id not in self._found:
                self._found[recording.id] = recording
                continue
            error = ArchiveError(
                "two files give the same recording id",
                file=recording.path,
                inside=recording.group,
                found=f"{recording.id!r}, also from {self._found[recording.id].path}",
                expected="one file for each id",
                mend="open their common folder, so that the ids hold the folders' names",
            )
            self.fail(error)

    def fail(self, error: SensorkdError) -> None:
        """One file, or one recording of it, cannot be used."""
        if self._on_error is None:
            raise error
        self._on_error(error)


def find_archives(paths: str | Path | Iterable[str | Path]) -> list[tuple[str, Path]]:
    """Every file to open, with the name that goes into its recording ids.

    What has the name of an archive and is no file is among them: opening it says what it is.

    Raises:
        ArchiveError: a folder without archives.
    """
    if isinstance(paths, str | Path):
        paths = [paths]
    files: list[tuple[str, Path]] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(_entries(path, _to_open))
            if not inside:
                raise _no_archives(path)
            files += [(file.relative_to(path).as_posix(), file) for file in inside]
        else:
            files.append((path.name, path))
    return files


def find_unfinished(path: Path) -> list[tuple[str, Path]]:
    """Files of a folder, or the file itself, that a logger has not sealed; names as of `find_archives`."""
    if path.is_dir():
        found = sorted(_entries(path, _unfinished))
        return [(file.relative_to(path).as_posix(), file) for file in found]
    return [(path.name, path)] if _unfinished(path) else []


def check_regular(path: Path) -> None:
    """Refuse what is there and is no file; to open a pipe would wait for ever.

    Raises:
        ArchiveError: saying what it is.
    """
    kind = _kind(path)
    if kind == stat.S_IFREG or not os.path.lexists(path):
        return
    found = KINDS.get(kind, "nothing that can be looked at")
    if not kind and path.is_symlink():
        found = f"a link to {path.readlink()}, which leads nowhere"
    raise ArchiveError(
        "not a regular file",
        file=path,
        found=found,
        expected="a file",
        mend="give the right to list it, or name other folders"
        if kind == stat.S_IFDIR
        else "restore what it stands for, or remove it",
    )


def _entries(folder: Path, wanted: Callable[[Path], bool]) -> Iterator[Path]:
    """What is wanted of all below a folder but folders, each real one once; a folder that cannot be listed.

    Of several names of a file, one that is no link is given, but rather a link than a hidden place.
    """
    seen: set[str] = set()
    ahead, links, hidden = [folder], list[Path](), list[Path]()
    while ahead or links or hidden:
        path = (ahead or links or hidden).pop(-1 if ahead else 0)
        inside = _inside(path)
        real = os.path.realpath(path)
        if real in seen or (inside is None and not wanted(path)):
            continue
        seen.add(real)
        if inside is None:
            yield path
            continue
        for entry in inside:
            where = hidden if entry.name.startswith(".") else links if entry.is_symlink() else ahead
            where.append(entry)


def _inside(path: Path) -> list[Path] | None:
    """What is in a folder; None for one that cannot be listed, and for all else."""
    try:
        return sorted(path.iterdir()) if _kind(path) == stat.S_IFDIR else None
    except OSError:
        return None


def _unfinished(path: Path) -> bool:
    return path.name.endswith(UNFINISHED) and _kind(path) == stat.S_IFREG


def _to_open(path: Path) -> bool:
    # The system keeps this one of every disk for itself.
    return path.suffix.lower() in SUFFIXES or (_kind(path) == stat.S_IFDIR and path.name != "lost+found")


def _kind(path: Path) -> int:
    """The type of what a path leads to; 0 where that cannot be told."""
    try:
        return stat.S_IFMT(path.stat().st_mode)
    except OSError:
        return 0


def _no_archives(folder: Path) -> ArchiveError:
    unfinished = [name for name, _ in find_unfinished(folder)]
    told = f"; a logger has not finished {', '.join(unfinished[:3])}" if unfinished else ""
    return ArchiveError(
        "no archives in this folder",
        file=folder,
        found=f"{sum(1 for _ in folder.iterdir())} other entries{told}",
        expected=f"files ending in {', '.join(SUFFIXES)}",
        mend="wait for the logger; if it is dead, start it there again, which recovers what it wrote"
        if unfinished
        else "name the folder that holds them; other formats need an importer first",
    )


def open_archive(path: Path, name: str, layout: Layout | None) -> list[Recording]:
    """The recordings of one file; `name` goes into their ids.

    Raises:
        ArchiveError: see `open_recordings`.
    """
    check_regular(path)
    with damage_told(path), GuardedFile(path) as file:
        if layout is None:
            return read_archive(file, name)
        return read_mapped(file, name, layout)
