"""What brings foreign files into `recording-1.0` archives, and how the installed importers are found.

An importer reads; `RecordingWriter` writes, and never over a file that is there.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, ClassVar

from sensorkd.errors import ArchiveError, ConfigError, MissingExtraError, SensorkdError
from sensorkd.import_jobs import ImportDone, ImportJob, ImportNote, outcomes
from sensorkd.import_journal import ImportJournal
from sensorkd.plugins import load_plugin
from sensorkd.processes import ChildLimits

__all__ = [
    "ImportNote",
    "Imported",
    "Importer",
    "ImporterError",
    "import_sources",
    "importer_for",
    "installed_importers",
]

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
            ArchiveError: there is nothing, or a pipe or the like.
        """
        if not path.exists():
            raise ArchiveError(
                "no such file or folder", file=path, found="nothing", expected="a file or folder",
                mend="correct the path",
            )  # fmt: skip
        if not (path.is_file() or path.is_dir()):
            raise ArchiveError(
                "neither a file nor a folder: reading it may never end", file=path,
                found="a pipe, socket or device", expected="a regular file, or a folder of such",
                mend="write what comes from it into a file, and name that",
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
    """The archives that were written, those that were there already, and what importers noted."""

    written: tuple[Path, ...]
    skipped: tuple[Path, ...]
    notes: tuple[str, ...] = ()


def import_sources(
    importer: Importer,
    sources: Iterable[str | Path],
    out: str | Path,
    mapping: str | Path | None = None,
    *,
    skip_existing: bool = False,
    isolated: bool = False,
    jobs: int = 1,
    limits: ChildLimits | None = None,
    on_error: Callable[[SensorkdError], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Imported:
    """Convert files and folders into archives below `out`, in the sub-folders of their source.

    An archive appears only when it is whole, and `imports.jsonl` in `out` says what it was made of. So a
    job that was killed is begun again with `skip_existing`: what is finished stays.

    Args:
        skip_existing: pass over a source whose archives exist, in place of an error. It is an error if the
            journal knows that they were made of another content, or by another mapping.
        isolated: convert each source in a child process, so that one which crashes its decoder is told
            like any other bad file. jobs: so many at once; more than one implies `isolated`.
        limits: what a child may use for one source.
        on_error: called with each source's error, and the others go on; None raises the first.
        progress: called with (done, total).

    Raises:
        ConfigError: the mapping is wrong, which no other source can mend.
        MissingExtraError: a package that the importer needs is not installed.
        ArchiveError: a source cannot be converted, without `on_error`.
    """
    tell = progress or (lambda done, total: None)
    failed = functools.partial(_failed, on_error=on_error)
    told = None if mapping is None else Path(mapping)
    every = _jobs(importer, map(Path, sources), Path(out), told, failed)
    journal = ImportJournal(Path(out))
    there = [skip_existing and all(path.exists() for path in job.archives) for job in every]
    todo = [job for job, done in zip(every, there, strict=True) if not done]
    skipped = _skip([job for job, done in zip(every, there, strict=True) if done], journal, failed)
    tell(len(every) - len(todo), len(every))
    finished: dict[int, ImportDone] = {}
    with closing(outcomes(todo, isolated=isolated, jobs=jobs, limits=limits)) as ended:
        for done, (index, outcome) in enumerate(ended, start=len(every) - len(todo) + 1):
            if isinstance(outcome, SensorkdError):
                failed(outcome)
            else:
                finished[index] = outcome
                _enter(journal, outcome, importer, failed)
            tell(done, len(every))
    in_order = [finished[index] for index in sorted(finished)]
    return Imported(
        tuple(path for done in in_order for path in done.written),
        tuple(skipped),
        tuple(note for done in in_order for note in done.notes),
    )


def _skip(
    jobs: list[ImportJob], journal: ImportJournal, failed: Callable[[SensorkdError], None]
) -> list[Path]:
    """Pass over sources whose archives are there, unless they were made of something else."""
    skipped: list[Path] = []
    for job in jobs:
        origins = [origin for archive in job.archives if (origin := journal.origin(archive)) is not None]
        try:
            changes = [change for origin in origins if (change := origin.change(job.source, job.mapping))]
        except OSError as error:
            changes = [repr(error)]
        if not changes:
            skipped += job.archives
            continue
        failed(
            ArchiveError(
                "the archive that is there was made of something else",
                file=job.source,
                inside=job.archives[0],
                found=changes[0],
                expected=f"what {journal.path} says of it",
                mend="move the archive away to import the source anew, or import into another folder",
            )
        )
    return skipped


def _enter(
    journal: ImportJournal, done: ImportDone, importer: Importer, failed: Callable[[SensorkdError], None]
) -> None:
    """Write down what an archive was made of."""
    if done.origin is None:
        return
    try:
        journal.add(done.written, done.origin, importer=type(importer).__name__, notes=done.notes)
    except OSError as error:
        failed(
            ArchiveError(
                "the archive is written, but the journal of imports cannot be",
                file=journal.path,
                found=error,
                expected="a file that can be written to",
                mend="check the disk and who may write there; until then a changed source is not noticed",
            )
        )


def _failed(error: SensorkdError, *, on_error: Callable[[SensorkdError], None] | None) -> None:
    """Hand a source's error on; what is wrong with the mapping, or not installed, ends the job."""
    if on_error is None or isinstance(error, ConfigError | MissingExtraError):
        raise error
    on_error(error)


def _jobs(
    importer: Importer,
    paths: Iterable[Path],
    out: Path,
    mapping: Path | None,
    failed: Callable[[SensorkdError], None],
) -> list[ImportJob]:
    """Every source with the folder for its archives; those that would share an archive are told."""
    jobs: list[ImportJob] = []
    taken: dict[Path, Path] = {}
    for path in paths:
        try:
            inside = importer.sources(path)
        except SensorkdError as error:
            failed(error)
            continue
        for source, below in inside:
            job = ImportJob(importer, source, out / below, mapping)
            clash = [archive for archive in job.archives if archive in taken]
            if clash:
                failed(_clash(source, taken[clash[0]], clash[0]))
                continue
            taken.update(dict.fromkeys(job.archives, source))
            jobs.append(job)
    return jobs


def _clash(source: Path, first: Path, archive: Path) -> ArchiveError:
    return ArchiveError(
        "two sources would give the same archive",
        file=source,
        found=f"{archive}, also from {first}",
        expected="one source for each archive",
        mend="name their common folder, so that sub-folders are kept, or give each an --out of its own",
    )


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
