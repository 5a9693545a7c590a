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
    """What is known of one target over time: half-open intervals [t0, t1) in ns, and their classes."""

    t0: NDArray[np.int64]
    t1: NDArray[np.int64]
    label: tuple[str, ...]

    @classmethod
    def constant(cls, label: str, *, start: int, end: int) -> LabelTrack:
        """One class for the whole time."""
        return cls(np.array([start], dtype=np.int64), np.array([end], dtype=np.int64), (label,))


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
        """Earliest first sample of any stream, ns."""
        return min(stream.start for stream in self.streams.values())

    @property
    def end(self) -> int:
        """Latest end of any stream, ns."""
        return max(stream.end for stream in self.streams.values())
