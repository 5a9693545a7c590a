"""Converts one source after the other, here or each in a process of its own."""

from __future__ import annotations

import glob
import os
import warnings
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sensorkd.errors import ArchiveError, SensorkdError
from sensorkd.import_journal import Origin
from sensorkd.processes import ChildLimits, in_children

if TYPE_CHECKING:
    from sensorkd.importers import Importer

__all__ = ["ImportDone", "ImportJob", "ImportNote", "outcomes"]


class ImportNote(UserWarning):
    """What `convert` warns of that is no error: a rate that varies, frames that were damaged."""


@dataclass(frozen=True)
class ImportJob:
    """One source, with what its conversion needs; it may cross to another process."""

    importer: Importer
    source: Path
    folder: Path
    mapping: Path | None

    @property
    def archives(self) -> list[Path]:
        """What will be written."""
        return self.importer.archives(self.source, self.folder)


@dataclass(frozen=True)
class ImportDone:
    """What was written. origin: of what, None where that cannot be told."""

    written: list[Path]
    notes: list[str]
    origin: Origin | None


def outcomes(
    todo: Sequence[ImportJob], *, isolated: bool, jobs: int, limits: ChildLimits | None
) -> Generator[tuple[int, ImportDone | SensorkdError], None, None]:
    """Convert, here or in children: (number of the job, what came of it), in the order in which they end."""
    if isolated or jobs > 1:
        yield from in_children(_convert, todo, jobs=jobs, limits=limits, told=lambda job: job.source)
        return
    for index, job in enumerate(todo):
        try:
            done: ImportDone | SensorkdError = _convert(job)
        except SensorkdError as error:
            done = error
        yield index, done


def _convert(job: ImportJob) -> ImportDone:
    """One source; whatever goes wrong with it is told as one error."""
    try:
        job.folder.mkdir(parents=True, exist_ok=True)
        for archive in job.archives:
            _clean(archive)
        origin = _origin(job)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ImportNote)
            written = job.importer.convert(job.source, job.folder, job.mapping)
    except (SensorkdError, ModuleNotFoundError):
        raise
    except Exception as error:
        # One bad file must not end a job over a folder, whoever wrote the importer.
        raise ArchiveError(
            "the file cannot be converted",
            file=job.source,
            found=repr(error),
            expected=f"what {type(job.importer).__name__} takes, and a folder to write into",
            mend="check the file and the disk, or report it to whoever wrote the importer",
        ) from error
    notes = [str(item.message) for item in caught if issubclass(item.category, ImportNote)]
    for item in caught:
        if not issubclass(item.category, ImportNote):
            warnings.warn_explicit(item.message, item.category, item.filename, item.lineno)
    return ImportDone(written, notes, origin)


def _origin(job: ImportJob) -> Origin | None:
    # Taken before the source is read: what changes meanwhile does not look as if it had been imported.
    try:
        return Origin.of(job.source, job.mapping)
    except OSError:
        return None  # the importer will say what is wrong with it


def _clean(archive: Path) -> None:
    """Remove what a job that was killed left of this archive; one that still runs keeps its part."""
    for part in archive.parent.glob(f".{glob.escape(archive.name)}.*.part"):
        process = part.name.removesuffix(".part").rpartition(".")[2]
        if process.isdigit() and not _runs(int(process)):
            part.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    if os.name != "posix":
        return True  # signal 0 asks on POSIX only; elsewhere it is Ctrl-C
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
