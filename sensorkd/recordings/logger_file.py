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
        self._file.swmr_mode = True
        self._first = self._last = t0

    def append(self, name: str, samples: NDArray[Any], *, t0: int, begins: bool, rate: float | None) -> None:
        """Take a block; `begins`: as a new segment; `rate`: Hz, what the segment before it had."""
        stream = self.streams[name]
        if begins or not stream.taken:
            if rate is not None and stream.taken:
                stream.correct(rate)
            stream.begin(t0, stream.told.rate)
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
