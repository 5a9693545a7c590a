"""Checks of the file: can it be opened, is it what its manifest says, does its tree follow the schema."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sensorkd.checks.finding import Check, Finding, Place
from sensorkd.errors import ArchiveError, SensorkdError
from sensorkd.recordings.guard import GuardedFile
from sensorkd.recordings.logger_folder import PART, check_no_logger
from sensorkd.recordings.manifest import Manifest
from sensorkd.recordings.schema import tree_problems

__all__ = [
    "CHECKS",
    "NO_RECORDING",
    "SCHEMA",
    "UNFINISHED",
    "UNREADABLE",
    "check_folder",
    "check_hash",
    "check_tree",
    "check_unfinished",
]

UNREADABLE = Check(
    id="unreadable",
    importance="critical",
    title="the file cannot be opened",
    reason="None of its recordings can be learned from.",
    cure="restore the file from its source, or leave it out",
)
NO_RECORDING = Check(
    id="unreadable-recording",
    importance="critical",
    title="a recording cannot be opened",
    reason="It is not what schema or layout say; reading refuses the whole file for it.",
    cure="correct the recording or the layout, or leave the recording out",
)
SCHEMA = Check(
    id="schema",
    importance="critical",
    title="the tree does not follow recording-1.0",
    reason="What lies elsewhere, or in another form, cannot be found; reading refuses the file.",
    cure="write archives with sensorkd.recordings.RecordingWriter, or give a layout that maps this tree",
)
CHANGED = Check(
    id="changed-file",
    importance="critical",
    title="the file is not the one that was written",
    reason="Its content does not fit the hash of its manifest: bits flipped, or somebody edited it. Without "
    "a checksum inside, nothing else tells.",
    cure="restore the file from its source; seal it again where the change was meant",
    reads_samples=True,
)
MISSING_FILE = Check(
    id="missing-file",
    importance="critical",
    title="an archive that the manifest lists is not there",
    reason="A data set that lacks files in silence gives other results than the one that was described.",
    cure="restore the file, or remove its entry from the manifest",
)
UNFINISHED = Check(
    id="unfinished-file",
    importance="warning",
    title="a logger left a file that it did not finish",
    reason="Its logger was killed or its disk was full. It does not have the name of an archive: what was "
    "logged into it is read by nothing.",
    cure="start the logger in this folder again, which recovers it, or write what is whole into a new file: "
    "`sensorkd validate FILE --salvage OUT`",
)
CHECKS = (UNREADABLE, NO_RECORDING, SCHEMA, CHANGED, MISSING_FILE, UNFINISHED)


def check_tree(file: GuardedFile) -> Iterator[Finding]:
    """Everything in which a file differs from `recording-1.0`; not only the first.

    Raises:
        ArchiveError: it says that it is of another schema, or of none.
    """
    for problem in tree_problems(file):
        place = Place(str(file.path), inside=problem.inside)
        yield SCHEMA.at(place, found=problem.found, expected=problem.expected)


def check_hash(path: Path) -> Iterator[Finding]:
    """Whether a file is the one that the manifest beside it describes; all of its bytes are read."""
    place = Place(str(path))
    try:
        manifest = Manifest.read(path.parent)
        if path.name in manifest.files:
            manifest.check(path)
    except ArchiveError as error:
        yield CHANGED.of_error(error, place)


def check_unfinished(path: Path) -> Iterator[Finding]:
    """Whether a file that a logger has not sealed is being written still; if not, nobody will."""
    at_work = path.name.endswith(PART) and _logger_at_work(path)
    try:
        place, found = Place(str(path)), f"{path.stat().st_size:,} bytes"
    except OSError:
        return  # it has been sealed meanwhile
    if path.name.endswith(PART):
        if not at_work:
            yield UNFINISHED.at(place, found=f"{found}, and no logger at work", expected="a sealed file")
        return
    sealed = path.with_suffix("")
    if sealed.exists():
        found += f"; what its logger could read of it is in {sealed.name}"
        cure = (
            f"compare what `sensorkd validate FILE --salvage OUT` reads with {sealed.name}, and move it away"
        )
    else:
        found += "; its logger could read nothing of it"
        cure = (
            "`sensorkd validate FILE --salvage OUT` tries again; restore it from elsewhere, or move it away"
        )
    yield UNFINISHED.at(place, found=found, expected="a sealed file alone", cure=cure)


def _logger_at_work(part: Path) -> bool:
    try:
        check_no_logger(part)
    except SensorkdError:
        return True
    except OSError:
        return False  # who cannot write here cannot take the lock, and no more could a logger
    return False


def check_folder(folder: Path) -> Iterator[Finding]:
    """Whether all files are there that the manifest of a folder lists."""
    try:
        listed = Manifest.read(folder).files
    except ArchiveError:
        return  # told of every file beside it
    for name in sorted(listed):
        if not (folder / name).is_file():
            place = Place(str(folder / name))
            yield MISSING_FILE.at(place, found="nothing", expected=f"{listed[name].bytes:,} bytes")
