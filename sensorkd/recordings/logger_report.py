"""What a logger has done so far, and what it tells at once."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

from sensorkd import timeline

__all__ = ["LoggedStream", "LoggerEvent", "LoggerReport"]


@dataclass(frozen=True)
class LoggerEvent:
    """Something its owner should know.

    kind: `gap`: samples are missing over [t0, t1) ns. `repeated`: samples came a second time, and were taken
    once. `late`: samples of a time that is written already came, and were not taken. `clock_set`: blocks
    came of times before t0, the end of those before, and rose from t1 on: the clock was set, and they begin
    a new file. `sealed`: a file is done. `recovered`: what a logger before this one left was saved. `kept`:
    it was put aside as it is, since not all of it could be saved.
    """

    kind: Literal["gap", "repeated", "late", "clock_set", "sealed", "recovered", "kept"]
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
    """One stream, in samples. taken: from the caller; flushed: in a file. seconds_missing: in gaps.

    aside: late ones in memory, until the next blocks show whether the clock was set. jittered: blocks whose
    t0 was off their place, within tolerance; jitter, worst: standard deviation and largest of that, in s,
    over the `stamped` blocks that continued.
    """

    taken: int = 0
    flushed: int = 0
    repeated: int = 0
    late: int = 0
    aside: int = 0
    gaps: int = 0
    seconds_missing: float = 0.0
    clock_sets: int = 0
    stamped: int = 0
    jittered: int = 0
    jitter: float = 0.0
    worst: float = 0.0

    def with_stamp(self, off: float, period: float) -> LoggedStream:
        """The account once one more block has continued, its t0 `off` its place by so many seconds."""
        stamped = self.stamped + 1
        return dataclasses.replace(
            self,
            stamped=stamped,
            jittered=self.jittered + (abs(off) > 0.5 * period),
            jitter=math.sqrt(self.jitter**2 + (off**2 - self.jitter**2) / stamped),
            worst=max(self.worst, abs(off)),
        )

    def line(self) -> str:
        """For people."""
        told = [f"{self.gaps} gaps ({self.seconds_missing:.3f} s)", f"{self.repeated:,} repeated"]
        told.append(f"{self.late:,} late")
        if self.aside:
            told.append(f"{self.aside:,} aside")
        if self.clock_sets:
            told.append(f"clock set {self.clock_sets} times")
        if self.jittered:
            told.append(f"stamps off by {1000 * self.jitter:.3g} ms, {1000 * self.worst:.3g} at worst")
        return f"{self.taken:,} samples taken, {self.flushed:,} in files; {', '.join(told)}"


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
        text = [f"{name}: {stream.line()}" for name, stream in self.streams.items()]
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
        elif event.kind == "clock_set":
            stream = dataclasses.replace(stream, clock_sets=stream.clock_sets + 1)
        else:
            counted = getattr(stream, event.kind) + event.samples
            stream = dataclasses.replace(stream, **{event.kind: counted})
        return self.with_stream(event.stream, stream)

    def with_stream(self, name: str, stream: LoggedStream) -> LoggerReport:
        """The report with another account of one stream."""
        return dataclasses.replace(self, streams={**self.streams, name: stream})
