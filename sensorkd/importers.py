"""What brings foreign files into `recording-1.0` archives, and how the installed importers are found.

An importer reads; `RecordingWriter` writes, and never over a file that is there.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, ClassVar

from sensorkd.errors import ArchiveError, ConfigError, SensorkdError
from sensorkd.plugins import load_plugin

__all__ = ["Imported", "Importer", "ImporterError", "import_sources", "importer_for", "installed_importers"]

GROUP = "sensorkd.importers"


class ImporterError(SensorkdError):
    """No importer, or one that breaks its contract."""


class Importer(ABC):
    """A foreign format, brought into archives. Options are keyword arguments of the constructor.

    suffixes: how the names of its files end, in small letters; a folder stands for all such files in it.
    Without any, a folder is itself what is converted.
    """

    suffixes: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def convert(self, source: Path, out: Path, mapping: Path | None) -> list[Path]:
        """Write what `source` holds into the folder `out`, and say which archives that gave.

        Args:
            mapping: a YAML file that says what is what in the source; None where none was named.

        Raises:
            ArchiveError: the source is not what it should be, or an archive exists already.
            ConfigError: the mapping is wrong, or is needed and was not named. This ends the job.
        """

    def archives(self, source: Path, out: Path) -> list[Path]:
        """The archives that `convert` will write, known before it reads. Default: one, named as it is."""
        return [out / f"{self.stem(source)}.h5"]

    def sources(self, path: Path) -> list[tuple[Path, Path]]:
        """What there is to convert at a path, and the sub-folder of `out` where its archives belong.

        Raises:
            ArchiveError: there is nothing.
        """
        if not path.exists():
            raise ArchiveError(
                "no such file or folder", file=path, found="nothing", expected="a file or folder",
                mend="correct the path",
            )  # fmt: skip
        if not path.is_dir() or not self.suffixes:
            return [(path, Path())]
        inside = [file for file in sorted(path.rglob("*")) if file.is_file() and self._takes(file)]
        if not inside:
            raise ArchiveError(
                "nothing in this folder is of the importer's format",
                file=path,
                found=f"{sum(1 for _ in path.iterdir())} other entries",
                expected=f"files ending in {', '.join(self.suffixes)}",
                mend="name the files themselves if their names end otherwise",
            )
        return [(file, file.parent.relative_to(path)) for file in inside]

    def stem(self, source: Path) -> str:
        """The name of a source without its suffix, of which `.csv.gz` is one."""
        source = source.resolve()
        if source.is_dir():
            return source.name
        known = [suffix for suffix in self.suffixes if source.name.lower().endswith(suffix)]
        return source.name[: -len(max(known, key=len))] if known else source.stem

    def _takes(self, file: Path) -> bool:
        # What begins with a dot is some program's own, such as ._0.csv of macOS.
        return file.name.lower().endswith(self.suffixes) and not file.name.startswith(".")


@dataclass(frozen=True)
class Imported:
    """The archives that were written, and those that were there already."""

    written: tuple[Path, ...]
    skipped: tuple[Path, ...]


def import_sources(
    importer: Importer,
    sources: Iterable[str | Path],
    out: str | Path,
    mapping: str | Path | None = None,
    *,
    skip_existing: bool = False,
    on_error: Callable[[SensorkdError], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Imported:
    """Convert files and folders into archives below `out`, in the sub-folders of their source.

    Args:
        skip_existing: pass over a source whose archives exist, in place of an error.
        on_error: called with each source's error, and the others go on; None raises the first.
        progress: called with (done, total).

    Raises:
        ConfigError: the mapping is wrong, which no other source can mend.
        ArchiveError: a source cannot be converted, without `on_error`.
    """

    tell = progress or (lambda done, total: None)
    failed = functools.partial(_failed, on_error=on_error)
    jobs = _jobs(importer, map(Path, sources), Path(out), failed)
    told = None if mapping is None else Path(mapping)
    written: list[Path] = []
    skipped: list[Path] = []
    for done, (source, folder) in enumerate(jobs):
        tell(done, len(jobs))
        there = importer.archives(source, folder)
        if skip_existing and all(path.exists() for path in there):
            skipped += there
            continue
        try:
            written += _convert(importer, source, folder, told)
        except SensorkdError as error:
            failed(error)
    tell(len(jobs), len(jobs))
    return Imported(tuple(written), tuple(skipped))


def _failed(error: SensorkdError, *, on_error: Callable[[SensorkdError], None] | None) -> None:
    """Hand a source's error on; what is wrong with the mapping ends the job."""
    if on_error is None or isinstance(error, ConfigError):
        raise error
    on_error(error)


def _jobs(
    importer: Importer, paths: Iterable[Path], out: Path, failed: Callable[[SensorkdError], None]
) -> list[tuple[Path, Path]]:
    """Every source with the folder for its archives; those that would share an archive are told."""
    jobs: list[tuple[Path, Path]] = []
    taken: dict[Path, Path] = {}
    for path in paths:
        try:
            inside = importer.sources(path)
        except SensorkdError as error:
            failed(error)
            continue
        for source, below in inside:
            archives = importer.archives(source, out / below)
            clash = [archive for archive in archives if archive in taken]
            if clash:
                failed(_clash(source, taken[clash[0]], clash[0]))
                continue
            taken.update(dict.fromkeys(archives, source))
            jobs.append((source, out / below))
    return jobs


def _clash(source: Path, first: Path, archive: Path) -> ArchiveError:
    return ArchiveError(
        "two sources would give the same archive",
        file=source,
        found=f"{archive}, also from {first}",
        expected="one source for each archive",
        mend="name their common folder, so that sub-folders are kept, or give each an --out of its own",
    )


def _convert(importer: Importer, source: Path, folder: Path, mapping: Path | None) -> list[Path]:
    """One source; whatever goes wrong with it is told as one error."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return importer.convert(source, folder, mapping)
    except (SensorkdError, ModuleNotFoundError):
        raise
    except Exception as error:
        # One bad file must not end a job over a folder, whoever wrote the importer.
        raise ArchiveError(
            "the file cannot be converted",
            file=source,
            found=repr(error),
            expected=f"what {type(importer).__name__} takes, and a folder to write into",
            mend="check the file and the disk, or report it to whoever wrote the importer",
        ) from error


@functools.cache
def installed_importers() -> dict[str, EntryPoint]:
    """Name -> entry point of every installed importer; nothing is imported yet."""
    return {point.name: point for point in sorted(entry_points(group=GROUP), key=lambda point: point.name)}


def importer_for(name: str, options: Mapping[str, Any] | None = None) -> Importer:
    """The importer of that name, built with its options.

    Raises:
        ImporterError: none is installed, it cannot be imported, or it does not take the options.
    """
    return load_plugin(
        name,
        installed_importers(),
        options,
        base=Importer,  # type: ignore[type-abstract]
        noun="importer",
        told="importer",
        mend_options="correct the options",
        error=ImporterError,
    )
