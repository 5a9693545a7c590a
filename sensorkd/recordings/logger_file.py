"""The file that a logger is writing, in the process that writes it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sensorkd import timeline
from sensorkd.errors import ArchiveError
from sensorkd.recordings.logger_folder import PART, next_name
from sensorkd.recordings.logger_line import StampLine, default_tolerance
from sensorkd.recordings.logger_plan import LoggerPlan
from sensorkd.recordings.manifest import seal
from sensorkd.recordings.salvage import salvage_dead
from sensorkd.recordings.salvage_report import SalvageReport
from sensorkd.recordings.storing import GrowingStream, begin_archive
from sensorkd.recordings.writer import begin_recording

__all__ = ["LoggerFile", "seal_salvaged"]

WORK = ".salvaging"


class LoggerFile:
    """One archive in the making: every group and dataset is made first, then SWMR lets others read along."""

    def __init__(self, plan: LoggerPlan, t0: int) -> None:
        self.plan = plan
        self.final = next_name(plan.folder, plan.clock, t0)
        self.part = self.final.with_name(self.final.name + PART)
        self._file = begin_archive(self.part)
        draft = begin_recording(
            self._file, self.part, plan.recording, clock=plan.clock, identity=plan.identity
        )
        self.streams: dict[str, GrowingStream] = {
            name: draft.grow_stream(name, told) for name, told in plan.streams.items()
        }
        self._lines = {name: _Line(told.rate, plan.tolerance) for name, told in plan.streams.items()}
        self._file.swmr_mode = True
        self._first = self._last = t0

    def append(self, name: str, samples: NDArray[Any], *, t0: int, begins: bool, stamp: int | None) -> None:
        """Take a block; `begins`: as a new segment; `stamp`: ns, what a clock says of its first sample."""
        self._lines[name].place(self.streams[name], t0, begins=begins, stamp=stamp)
        stream = self.streams[name]
        stream.append(samples)
        self._first = min(self._first, t0)
        self._last = max(self._last, int(timeline.sample_times(t0, stream.told.rate, len(samples))))

    @property
    def full(self) -> bool:
        """Whether the next block belongs into a new file."""
        seconds, limit = self.plan.rotate_seconds, self.plan.rotate_bytes
        if seconds is not None and self._last - self._first >= seconds * timeline.SECOND:
            return True
        return limit is not None and self.part.stat().st_size >= limit

    @property
    def waiting_bytes(self) -> int:
        """Bytes taken that are not in the file yet."""
        return sum(
            (stream.taken - stream.written) * stream.told.sample_bytes for stream in self.streams.values()
        )

    def flush(self) -> None:
        """Hand everything taken to the operating system: it survives the end of this process."""
        for stream in self.streams.values():
            stream.flush()

    def sync(self) -> None:
        """Have the disk hold what the operating system holds: it survives a power cut."""
        handle = os.open(self.part, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def seal(self) -> Path:
        """Close the file, read it back, enter it into the manifest and give it its name.

        Raises:
            ArchiveError: what was written cannot be read back; the part stays.
        """
        self.flush()
        empty = any(not stream.taken for stream in self.streams.values())
        self._file.close()
        if not empty:
            seal(self.part, self.final)
            return self.final
        # A stream without a sample is none. SWMR cannot remove what was made, so the others move.
        report = seal_salvaged(self.part, self.final)
        if not report.whole:
            raise ArchiveError(
                "a file cannot be read back as it was written",
                file=self.part,
                found="; ".join(report.lines()[1:]),
                expected="every sample",
                mend="check the disk; the part is kept",
            )
        self.part.unlink()
        return self.final


class _Line:
    """Start and rate of the segments of one stream in one file."""

    def __init__(self, rate: float, tolerance: float | None) -> None:
        self._tolerance = default_tolerance(rate) if tolerance is None else tolerance
        self._line = StampLine(rate, self._tolerance)
        self._first = 0  # sample of the segment
        self._earliest: int | None = None  # ns: the end of the segment before

    def place(self, stream: GrowingStream, t0: int, *, begins: bool, stamp: int | None) -> None:
        """Begin a segment, or give the one that goes on what the stamp says of its start and rate."""
        if begins or not stream.taken:
            self._begin(stream, t0)
        elif stamp is not None:
            index = stream.taken - self._first
            if self._line.add(index, stamp) > 2 * self._tolerance:
                self._begin(stream, stamp)  # no straight line holds both: the rate has changed
            else:
                stream.correct(self._not_before(self._line.t0), self._line.rate)

    def _begin(self, stream: GrowingStream, t0: int) -> None:
        if stream.taken:
            self._earliest = self._not_before(self._line.time(stream.taken - self._first))
        self._first = stream.taken
        self._line.begin(self._not_before(t0))
        stream.begin(self._line.t0, self._line.rate)

    def _not_before(self, t0: int) -> int:
        return t0 if self._earliest is None else max(t0, self._earliest)


def seal_salvaged(part: Path, final: Path) -> SalvageReport:
    """Save what can be read of a part into `final`, sealed; the part stays.

    Raises:
        ArchiveError: nothing can be saved.
    """
    work = part.parent / WORK
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        # Not under a name that a reader of the folder would take for an archive.
        report = salvage_dead(part, work / "salvaged")
        seal(work / "salvaged", final)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return report
