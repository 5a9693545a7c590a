"""Opens archives: canonical `recording-1.0` files as they are, foreign trees through a layout."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from sensorkd.errors import ArchiveError, SensorkdError
from sensorkd.recordings.canonical import read_archive
from sensorkd.recordings.guard import GuardedFile
from sensorkd.recordings.layout import Layout, load_layout
from sensorkd.recordings.mapped import read_mapped
from sensorkd.recordings.opening import damage_told
from sensorkd.recordings.recording import Recording

__all__ = ["open_recordings"]

SUFFIXES = (".h5", ".hdf5", ".hdf", ".he5")


def open_recordings(
    paths: str | Path | Iterable[str | Path],
    layout: Layout | str | Path | None = None,
    *,
    on_error: Callable[[SensorkdError], None] | None = None,
) -> list[Recording]:
    """Open archives and list their recordings; samples are read later, and only those asked for.

    Args:
        paths: files or folders (searched for .h5, .hdf5, .hdf and .he5, in order of their names).
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

    Raises:
        ArchiveError: a folder without archives.
    """
    if isinstance(paths, str | Path):
        paths = [paths]
    files: list[tuple[str, Path]] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(
                file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file()
            )
            if not inside:
                raise ArchiveError(
                    "no archives in this folder",
                    file=path,
                    found=f"{sum(1 for _ in path.iterdir())} other entries",
                    expected=f"files ending in {', '.join(SUFFIXES)}",
                    mend="name the folder that holds them; other formats need an importer first",
                )
            files += [(file.relative_to(path).as_posix(), file) for file in inside]
        else:
            files.append((path.name, path))
    return files


def open_archive(path: Path, name: str, layout: Layout | None) -> list[Recording]:
    """The recordings of one file; `name` goes into their ids.

    Raises:
        ArchiveError: see `open_recordings`.
    """
    with damage_told(path), GuardedFile(path) as file:
        if layout is None:
            return read_archive(file, name)
        return read_mapped(file, name, layout)
