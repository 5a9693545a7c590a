"""Saves one recording of a damaged file, in the child process in which it is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sensorkd.errors import SensorkdError
from sensorkd.recordings.guard import GuardedFile
from sensorkd.recordings.layout import Layout
from sensorkd.recordings.recording import Clock, LabelTrack
from sensorkd.recordings.salvage_losses import joined, lost_ranges, uncovered
from sensorkd.recordings.salvage_report import Loss, StreamSalvage
from sensorkd.recordings.salvage_tree import Identity, find_recording, recording_groups, stream_names
from sensorkd.recordings.storage import READ_ERRORS
from sensorkd.recordings.storing import begin_archive
from sensorkd.recordings.stream import Stream
from sensorkd.recordings.stream_format import StreamFormat
from sensorkd.recordings.writer import RecordingDraft, begin_recording

__all__ = [
    "GROUP",
    "DamagedFile",
    "SavedRecording",
    "Task",
    "names_of",
    "not_saved",
    "save_all",
    "save_recording",
    "tasks_of",
]

# Of the work files, which hold one recording each.
GROUP = "recording"
BLOCK_BYTES = 1 << 22


@dataclass(frozen=True)
class DamagedFile:
    """A file that HDF5 opens. source: what errors name. end: bytes it really has, the rest is padding.

    work: a folder to write into.
    """

    path: Path
    source: Path
    work: Path
    end: int
    layout: Layout | None


@dataclass(frozen=True)
class Task:
    """One recording; `only`: one stream of it. Its streams are written into the file `work`."""

    damaged: DamagedFile
    group: str
    only: str | None
    work: Path


@dataclass(frozen=True)
class SavedRecording:
    """What was saved; the samples lie in the file `work`."""

    work: Path
    group: str
    clock: Clock
    identity: Identity
    tracks: dict[str, LabelTrack]
    streams: tuple[StreamSalvage, ...]
    problems: tuple[str, ...]


def tasks_of(damaged: DamagedFile) -> list[Task]:
    """One task for each recording of a file."""
    with GuardedFile(damaged.path) as file:
        groups = recording_groups(file, damaged.layout)
    return [
        Task(damaged, group, None, damaged.work / f"recording{number}") for number, group in enumerate(groups)
    ]


def save_all(damaged: DamagedFile) -> list[SavedRecording]:
    """Save every recording of a file.

    Raises:
        ArchiveError: not even its root can be read.
    """
    saved = []
    for task in tasks_of(damaged):
        try:
            saved.append(save_recording(task))
        except SensorkdError as error:
            saved.append(not_saved(task, error))
    return saved


def not_saved(task: Task, error: SensorkdError) -> SavedRecording:
    """An error as a recording of which nothing was saved."""
    why = f"{error.problem} ({error.found})"
    lost = () if task.only is None else (StreamSalvage(task.group, task.only, failure=why),)
    problems = (f"{task.group}: lost: {why}",) if task.only is None else ()
    return SavedRecording(task.work, task.group, "relative", {}, {}, lost, problems)


def names_of(task: Task) -> list[str]:
    """Names of the streams of a recording."""
    with GuardedFile(task.damaged.path) as file:
        return stream_names(file, task.group, task.damaged.layout)


def save_recording(task: Task) -> SavedRecording:
    """Write the streams of a recording, without what is lost, into its work file.

    Raises:
        ArchiveError: not even its group can be read.
    """
    damaged = task.damaged
    with GuardedFile(damaged.path) as file, begin_archive(task.work) as work:
        names = [task.only] if task.only is not None else stream_names(file, task.group, damaged.layout)
        found = find_recording(file, task.group, damaged.layout, names, end=damaged.end)
        draft = begin_recording(work, task.work, GROUP, clock=found.clock, identity={})
        saved = [StreamSalvage(task.group, name, failure=failure) for name, failure in found.failures.items()]
        for name, stream in found.streams.items():
            try:
                saved.append(_save_stream(file, stream, draft, task))
            except (SensorkdError, *READ_ERRORS) as error:
                why = error.problem if isinstance(error, SensorkdError) else repr(error)
                saved.append(StreamSalvage(task.group, name, stream.source.count, failure=why))
        draft.flush()
    return SavedRecording(
        work=task.work,
        group=task.group,
        clock=found.clock,
        identity=found.identity,
        tracks=found.tracks,
        streams=tuple(sorted(saved, key=lambda stream: names.index(stream.name))),
        problems=tuple(found.problems),
    )


def _save_stream(file: GuardedFile, stream: Stream, draft: RecordingDraft, task: Task) -> StreamSalvage:
    count = stream.source.count
    if not count:
        return StreamSalvage(task.group, stream.name)
    lost = joined(_lost(file, stream, task.damaged.end), uncovered(stream.segments, count), stream.segments)
    kept = stream.segments.without([(loss.start, loss.stop) for loss in lost])
    saved = int(kept.count.sum())
    if saved:
        told = StreamFormat(
            modality=stream.modality,
            unit=stream.unit,
            dtype=stream.dtype,
            sample_shape=stream.sample_shape,
            rate=stream.rate,
            scale=stream.scale,
            offset=stream.offset,
            channels=stream.channels,
        )
        growing = draft.grow_stream(stream.name, told)
        step = max(1, BLOCK_BYTES // told.sample_bytes)
        for t0, rate, offset, number in zip(kept.t0, kept.rate, kept.offset, kept.count, strict=True):
            growing.begin(int(t0), float(rate))
            for first in range(int(offset), int(offset + number), step):
                growing.append(stream.read(first, min(first + step, int(offset + number))))
    return StreamSalvage(task.group, stream.name, count, saved, tuple(lost))


def _lost(file: GuardedFile, stream: Stream, end: int) -> list[Loss]:
    """Samples that cannot be had, by index in the stream."""
    source = stream.source
    rows = source.axes[0] == "segment"
    time = source.axes.index("time")
    dataset = file.dataset(source.dataset)
    lost = lost_ranges(dataset, 0 if rows else time, end=end, file=file.path, inside=source.dataset)
    each = source.shape[time] if rows else 1  # a row is a segment
    return [
        Loss(start, stop, loss.reason)
        for loss in lost
        for start, stop in source.positions_of([(loss.start * each, loss.stop * each)])
    ]
