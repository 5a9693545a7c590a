"""One machine in one session: its identity, its clock, its streams and what is known about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sensorkd.recordings.stream import Stream

__all__ = ["Clock", "LabelTrack", "Recording"]

Clock = Literal["utc", "relative"]


@dataclass(frozen=True)
class LabelTrack:
    """What is known of one target over time: half-open intervals [t0, t1) in ns, and their classes.

    Intervals may lie in any order; two that overlap have the same class.
    """

    t0: NDArray[np.int64]
    t1: NDArray[np.int64]
    label: tuple[str, ...]

    @classmethod
    def constant(cls, label: str, *, start: int, end: int) -> LabelTrack:
        """One class for the whole time."""
        return cls(np.array([start], dtype=np.int64), np.array([end], dtype=np.int64), (label,))

    def fault(self) -> tuple[str, tuple[int, ...]] | None:
        """What is wrong with the intervals, and in which rows: one without length, or two at odds."""
        for row in np.flatnonzero(self.t1 <= self.t0).tolist():
            return "a label interval ends before it begins", (row,)
        latest = -1  # of the rows so far, the one that ends last
        for row in np.lexsort((self.t1, self.t0)).tolist():
            overlaps = latest >= 0 and self.t0[row] < self.t1[latest]
            if overlaps and self.label[row] != self.label[latest]:
                return "two label intervals of one target contradict each other", (latest, row)
            if latest < 0 or self.t1[row] > self.t1[latest]:
                latest = row
        return None

    def told(self, rows: tuple[int, ...]) -> str:
        """Some of the intervals, for people."""
        return "; ".join(
            f"row {row}: {self.label[row]!r} in [{self.t0[row]}, {self.t1[row]}) ns" for row in rows
        )


@dataclass(frozen=True)
class Recording:
    """Lazy: holds where samples lie and reads them on demand. Picklable.

    id: `file::group`, with the file relative to the folder that was opened, so that it is the same on
    every computer. identity: machine, subject, line ... what splits and label tables refer to.
    """

    id: str
    path: Path
    group: str
    clock: Clock
    identity: Mapping[str, str]
    streams: Mapping[str, Stream]
    tracks: Mapping[str, LabelTrack] = field(default_factory=dict)

    @property
    def start(self) -> int:
        """Earliest first sample of any stream, ns; 0 without streams."""
        return min((stream.start for stream in self.streams.values()), default=0)

    @property
    def end(self) -> int:
        """Latest end of any stream, ns; 0 without streams."""
        return max((stream.end for stream in self.streams.values()), default=0)
