"""Saves what can be read of a damaged file into a new archive; the damaged one stays as it is."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import h5py

from sensorkd.errors import ArchiveError, SensorkdError
from sensorkd.processes import ChildError, ChildLimits, in_children
from sensorkd.recordings.layout import Layout
from sensorkd.recordings.logger_folder import check_no_logger
from sensorkd.recordings.salvage_report import SalvageReport
from sensorkd.recordings.salvage_stream import (
    GROUP,
    DamagedFile,
    SavedRecording,
    Task,
    names_of,
    not_saved,
    save_all,
    save_recording,
    tasks_of,
)
from sensorkd.recordings.schema import RESERVED_ATTRIBUTES
from sensorkd.recordings.superblock import Superblock, copy_mended, read_superblock
from sensorkd.recordings.writer import RecordingDraft, RecordingWriter

__all__ = ["salvage"]

T = TypeVar("T")
R = TypeVar("R")
# Reading is slower than that only when it does not come forward at all.
SLOWEST = 500_000
PATIENCE = 60.0
MEMORY = 4 << 30


def salvage(path: Path, out: Path, layout: Layout | None = None) -> SalvageReport:
    """Write a new recording-1.0 archive with every sample of a file that can be read.

    For files whose writer was killed, that were cut short, or that have damaged chunks, streams, labels or
    recordings. What is lost is cut out of the segments: it becomes a gap, never zeros. A file whose writer
    died or that was cut is copied first, beside `out`, so room for both is needed. Risky reading is done in
    child processes: a crash or hang costs the stream that makes it.

    Where the root of the file or the index of a stream's chunks is gone, nothing leads to the samples: that
    is told, and bytes are not searched for what might be samples.

    Args:
        path: the damaged file.
        out: a new file.
        layout: the map for a foreign tree; None for `recording-1.0`.

    Raises:
        ArchiveError: nothing can be saved, `out` exists, or a logger is still writing the file.
    """
    path, out = Path(path), Path(out)
    check_no_logger(path)
    return salvage_dead(path, out, layout)


def salvage_dead(path: Path, out: Path, layout: Layout | None = None) -> SalvageReport:
    """As `salvage`, for a file that is known to have no writer any more."""
    with RecordingWriter(out) as writer, _work_folder(out) as work:
        told = read_superblock(path)
        damaged = _openable(path, told, work, layout)
        parts = _saved(damaged)
        report = SalvageReport(
            source=str(path),
            out=str(out),
            left_open=told.left_open,
            cut=max(0, told.end - damaged.end),
            streams=tuple(stream for part in parts for stream in part.streams),
            problems=tuple(problem for part in parts for problem in part.problems),
        )
        if not any(stream.saved for stream in report.streams):
            raise _nothing(report)
        _write(writer, parts)
    return report


@contextlib.contextmanager
def _work_folder(out: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as work:
        yield Path(work)


def _openable(path: Path, told: Superblock, work: Path, layout: Layout | None) -> DamagedFile:
    """The file itself where HDF5 opens it, else a copy that it opens."""
    size = path.stat().st_size
    if not told.left_open and told.end <= size:
        return DamagedFile(path, path, work, size, layout)
    copy = work / "copy"
    return DamagedFile(copy, path, work, copy_mended(path, copy), layout)


def _saved(damaged: DamagedFile) -> list[SavedRecording]:
    """What was saved of every recording: in one child; if that dies, in one each."""
    (parts,) = _in_children(save_all, [damaged], damaged)
    if not isinstance(parts, SensorkdError):
        return parts
    if isinstance(parts, ChildError):
        (tasks,) = _in_children(tasks_of, [damaged], damaged)
        if not isinstance(tasks, SensorkdError):
            found = zip(tasks, _in_children(save_recording, tasks, damaged), strict=True)
            return [saved for task, part in found for saved in _by_streams(task, part)]
        parts = tasks
    raise ArchiveError(
        "nothing can be saved: what leads to the recordings of the file is damaged",
        file=damaged.source,
        inside="/",
        found=f"{parts.problem} ({parts.found})",
        expected="groups that can be listed",
        mend="restore the file from its source",
    )


def _by_streams(task: Task, part: SavedRecording | SensorkdError) -> Iterator[SavedRecording]:
    """What was saved of one recording; where its child died, of its streams one by one."""
    if isinstance(part, SavedRecording):
        yield part
        return
    names: list[str] | SensorkdError = part
    if isinstance(part, ChildError):
        (names,) = _in_children(names_of, [task], task.damaged)
    if isinstance(names, SensorkdError):
        yield not_saved(task, names)
        return
    alone = [
        dataclasses.replace(task, only=name, work=task.work.with_suffix(f".{number}"))
        for number, name in enumerate(names)
    ]
    for one, piece in zip(alone, _in_children(save_recording, alone, task.damaged), strict=True):
        yield piece if isinstance(piece, SavedRecording) else not_saved(one, piece)


def _in_children(
    function: Callable[[T], R], items: Sequence[T], damaged: DamagedFile
) -> list[R | SensorkdError]:
    """Results or errors, in the order of the items."""
    limits = ChildLimits(PATIENCE + damaged.end / SLOWEST, MEMORY)
    found = dict(in_children(function, items, limits=limits, told=lambda _: damaged.source))
    return [found[index] for index in range(len(items))]


def _write(writer: RecordingWriter, parts: list[SavedRecording]) -> None:
    """Bring the work files together; chunks are copied as they are."""
    drafts: dict[str, RecordingDraft] = {}
    for part in parts:
        saved = [stream.name for stream in part.streams if stream.saved]
        if not saved:
            continue
        if part.group not in drafts:
            drafts[part.group] = _begin(writer, part, set(drafts))
        with h5py.File(part.work, "r") as work:
            for name in saved:
                drafts[part.group].copy_stream(name, work[f"{GROUP}/streams/{name}"])


def _begin(writer: RecordingWriter, part: SavedRecording, others: set[str]) -> RecordingDraft:
    name = part.group.strip("/").replace("/", "_").lstrip(".") or "recording"
    while any(name == other.strip("/").replace("/", "_") for other in others):
        name += "_"
    # A foreign file may use names that this format keeps for itself.
    identity = {f"{key}_" if key in RESERVED_ATTRIBUTES else key: part.identity[key] for key in part.identity}
    draft = writer.recording(name, clock=part.clock, identity=identity)
    for target, track in part.tracks.items():
        draft.add_labels(target, zip(track.t0.tolist(), track.t1.tolist(), track.label, strict=True))
    return draft


def _nothing(report: SalvageReport) -> ArchiveError:
    return ArchiveError(
        "nothing can be saved of the file",
        file=report.source,
        found="; ".join(line.strip() for line in report.lines()[1:]) or "no recording",
        expected="a sample that can be read",
        mend="restore the file from its source",
    )
