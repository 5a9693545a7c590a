"""What a logger is asked to do, as it is told to the process that writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sensorkd.errors import ArchiveError
from sensorkd.recordings.recording import Clock
from sensorkd.recordings.stream_format import StreamFormat
from sensorkd.recordings.writer import check_identity, check_name

__all__ = ["LoggerPlan"]


@dataclass(frozen=True)
class LoggerPlan:
    """What a logger is asked to do; see `RecordingLogger`."""

    folder: Path
    clock: Clock
    identity: Mapping[str, str | int | float]
    streams: Mapping[str, StreamFormat]
    recording: str
    rotate_seconds: float | None
    rotate_bytes: int | None
    flush_seconds: float
    sync_seconds: float | None
    reserve_bytes: int
    patience: float
    tolerance: float | None = None

    def check(self) -> None:
        """Refuse what could not be written later.

        Raises:
            ArchiveError: the folder is missing, there is no stream, or a name, format or number is unusable.
        """
        if not self.folder.is_dir():
            mend = "make the folder first"
            raise self._refused("the folder does not exist", "no folder", "a folder to write into", mend)
        if not self.streams or self.clock not in ("utc", "relative"):
            found = f"streams {sorted(self.streams)}, clock {self.clock!r}"
            mend = "announce every stream that may come"
            raise self._refused("nothing to log", found, "a stream at least; clock utc or relative", mend)
        for name in (self.recording, *self.streams):
            check_name(name, self.folder)
        check_identity(self.identity, self.folder, f"/{self.recording}")
        for name, told in self.streams.items():
            told.check(file=self.folder, inside=f"streams/{name}")
        numbers = {
            name: getattr(self, name)
            for name in (
                "rotate_seconds",
                "rotate_bytes",
                "flush_seconds",
                "sync_seconds",
                "reserve_bytes",
                "patience",
                "tolerance",
            )
        }
        if any(value is not None and not value >= 0 for value in numbers.values()):
            raise self._refused("a number is unusable", str(numbers), "0 or more, or None", "correct it")

    def _refused(self, problem: str, found: str, expected: str, mend: str) -> ArchiveError:
        return ArchiveError(problem, file=self.folder, found=found, expected=expected, mend=mend)
