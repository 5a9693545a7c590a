"""What a logger has done so far, and what it tells at once."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from sensorkd import timeline

__all__ = ["LoggedStream", "LoggerEvent", "LoggerReport"]


@dataclass(frozen=True)
class LoggerEvent:
    """Something its owner should know.

    kind: `gap`: samples are missing over [t0, t1) ns. `repeated`: a block came a second time, and was taken
    once. `late`: samples of a time that is written already came, and were not taken. `sealed`: a file is
    done. `recovered`: what a logger before this one left was saved. `kept`: it was put aside as it is, since
    not all of it could be saved.
    """

    kind: Literal["gap", "repeated", "late", "sealed", "recovered", "kept"]
    stream: str = ""
    samples: int = 0
    t0: int = 0
    t1: int = 0
    file: str = ""
    told: tuple[str, ...] = ()

    def line(self) -> str:
        """For people."""
        if self.stream:
            seconds = f"{self.t0 / timeline.SECOND:.3f} to {self.t1 / timeline.SECOND:.3f} s"
            return f"{self.stream}: {self.kind}, {seconds}, {self.samples:,} samples"
        return "\n  ".join((f"{self.kind}: {self.file}", *self.told))


@dataclass(frozen=True)
class LoggedStream:
    """One stream, in samples. taken: from the caller; flushed: in a file. seconds_missing: in gaps."""

    taken: int = 0
    flushed: int = 0
    repeated: int = 0
    late: int = 0
    gaps: int = 0
    seconds_missing: float = 0.0


@dataclass(frozen=True)
class LoggerReport:
    """All streams, and the files that were sealed, recovered, or kept aside as they were found."""

    streams: dict[str, LoggedStream]
    sealed: tuple[str, ...] = ()
    recovered: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return dataclasses.asdict(self)

    def lines(self) -> list[str]:
        """For people."""
        text = [
            f"{name}: {stream.taken:,} samples taken, {stream.flushed:,} in files; "
            f"{stream.gaps} gaps ({stream.seconds_missing:.3f} s), {stream.repeated:,} repeated, "
            f"{stream.late:,} late"
            for name, stream in self.streams.items()
        ]
        for what in ("sealed", "recovered", "kept"):
            names = getattr(self, what)
            if names:
                text.append(f"{what}: {len(names)} files, the last {names[-1]}")
        return text

    def after(self, event: LoggerEvent) -> LoggerReport:
        """The report once this has happened too."""
        if event.kind == "sealed":
            return dataclasses.replace(self, sealed=(*self.sealed, event.file))
        if event.kind == "recovered":
            return dataclasses.replace(self, recovered=(*self.recovered, event.file))
        if event.kind == "kept":
            return dataclasses.replace(self, kept=(*self.kept, event.file))
        stream = self.streams[event.stream]
        if event.kind == "gap":
            missing = stream.seconds_missing + (event.t1 - event.t0) / timeline.SECOND
            stream = dataclasses.replace(stream, gaps=stream.gaps + 1, seconds_missing=missing)
        else:
            counted = getattr(stream, event.kind) + event.samples
            stream = dataclasses.replace(stream, **{event.kind: counted})
        return self.with_stream(event.stream, stream)

    def with_stream(self, name: str, stream: LoggedStream) -> LoggerReport:
        """The report with another account of one stream."""
        return dataclasses.replace(self, streams={**self.streams, name: stream})
