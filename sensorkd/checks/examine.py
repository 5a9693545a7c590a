"""All checks of one file. Runs in a child process, so that what it takes and gives can be pickled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sensorkd.checks.alignment import check_alignment
from sensorkd.checks.catalogue import CHECKS
from sensorkd.checks.clocks import check_clocks
from sensorkd.checks.container import NO_RECORDING, UNREADABLE, check_hash, check_tree
from sensorkd.checks.facts import FileReport, RecordingFacts
from sensorkd.checks.finding import Check, Finding, Place
from sensorkd.checks.gravity import check_gravity
from sensorkd.checks.labels import check_labels
from sensorkd.checks.samples import check_samples, read_samples
from sensorkd.checks.sensors import check_sensors
from sensorkd.checks.storage import check_storage
from sensorkd.errors import SensorkdError
from sensorkd.recordings import Layout, Recording
from sensorkd.recordings.canonical import read_recording
from sensorkd.recordings.guard import GuardedFile
from sensorkd.recordings.mapped import map_recording, matching_groups
from sensorkd.recordings.opening import damage_told
from sensorkd.recordings.reader import check_regular

__all__ = ["Task", "examine", "not_opened"]

Found = Finding | RecordingFacts


@dataclass(frozen=True)
class Task:
    """One file to check. name: goes into the ids of its recordings. checks: ids of those to make.

    quick: read no samples. window: seconds that a window will need.
    """

    path: Path
    name: str
    layout: Layout | None
    checks: frozenset[str]
    quick: bool = False
    window: float | None = None

    @property
    def reads_samples(self) -> bool:
        """Whether some check needs them."""
        return not self.quick and any(CHECKS[id_].reads_samples for id_ in self.checks)


def examine(task: Task) -> FileReport:
    """Make all checks of one file; whatever is wrong with it becomes a finding."""
    found = list(_until_error(_file(task), UNREADABLE, Place(str(task.path))))
    recordings = tuple(item for item in found if isinstance(item, RecordingFacts))
    findings = tuple(item for item in found if isinstance(item, Finding) and item.check in task.checks)
    return FileReport(str(task.path), task.name, findings, recordings)


def not_opened(path: Path, error: SensorkdError, checks: frozenset[str]) -> FileReport:
    """The report on a file that took its reader along, or on a folder without files."""
    finding = UNREADABLE.of_error(error, Place(str(path)))
    return FileReport(str(path), path.name, (finding,) if UNREADABLE.id in checks else (), ())


def _until_error(found: Iterator[Found], check: Check, place: Place) -> Iterator[Found]:
    """All that comes before an error, and the error as a finding."""
    try:
        with damage_told(Path(place.file), place.inside):
            yield from found
    except SensorkdError as error:
        yield check.of_error(error, place)


def _file(task: Task) -> Iterator[Found]:
    check_regular(task.path)
    if task.reads_samples:
        yield from check_hash(task.path)
    with GuardedFile(task.path) as file:
        if task.layout is None:
            problems = list(check_tree(file))
            yield from problems
            groups = [] if problems else [f"/{member}" for member in file.members("/")]
        else:
            groups = matching_groups(file, task.layout)
        for group in groups:
            place = Place(str(task.path), f"{task.name}::{group.strip('/')}", None, group)
            yield from _until_error(_group(file, group, task), NO_RECORDING, place)


def _group(file: GuardedFile, group: str, task: Task) -> Iterator[Found]:
    """Findings in a recording, and its facts."""
    if task.layout is None:
        recording = read_recording(file, group, task.name)
    else:
        recording = map_recording(file, group, task.name, task.layout)
    yield from check_sensors(recording)
    yield from check_clocks(recording)
    yield from check_alignment(recording, task.window)
    yield from check_labels(recording)
    yield from check_storage(recording)
    digests: dict[str, str] = {}
    if task.reads_samples:
        for name in recording.streams:
            yield from _samples(recording, name, digests)
    yield RecordingFacts.of(recording, digests)


def _samples(recording: Recording, name: str, digests: dict[str, str]) -> Iterator[Finding]:
    read = read_samples(recording.streams[name])
    yield from check_samples(recording, name, read)
    yield from check_gravity(recording, name, read)
    if not read.damage:
        digests[name] = read.tally.digest
