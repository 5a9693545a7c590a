"""One sensor on one clock: a table of segments over one array that is read only where asked."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sensorkd import timeline
from sensorkd.errors import ArchiveError
from sensorkd.recordings.guard import GuardedFile

__all__ = ["Axis", "SampleSource", "Segments", "Stream"]

RATE_LIMIT = 1e9

Axis = Literal["segment", "time", "height", "width", "channel"]


@dataclass(frozen=True)
class Segments:
    """Runs of samples without a gap, one row each, in order of time.

    t0: (S,) int64 ns, first sample; rate: (S,) Hz; offset: (S,) index of the first sample in the
    stream's array; count: (S,) samples.
    """

    t0: NDArray[np.int64]
    rate: NDArray[np.float64]
    offset: NDArray[np.int64]
    count: NDArray[np.int64]

    @classmethod
    def uniform(cls, *, t0: int, rate: float, count: int) -> Segments:
        """One segment that begins at t0 and covers the whole array."""
        return cls(
            t0=np.array([t0], dtype=np.int64),
            rate=np.array([rate], dtype=np.float64),
            offset=np.array([0], dtype=np.int64),
            count=np.array([count], dtype=np.int64),
        )

    def __len__(self) -> int:
        return len(self.t0)

    @property
    def ends(self) -> NDArray[np.int64]:
        """(S,) int64 ns: one period after the last sample of each segment."""
        lengths = [
            timeline.duration(float(rate), int(count))
            for rate, count in zip(self.rate, self.count, strict=True)
        ]
        return np.asarray(self.t0 + np.array(lengths, dtype=np.int64), dtype=np.int64)


@dataclass(frozen=True)
class SampleSource:
    """Where the samples of a stream lie: a dataset of an HDF5 file and the meaning of its axes.

    Holds no open file, so it is picklable and safe to hand to another process.
    """

    path: Path
    dataset: str
    axes: tuple[Axis, ...]
    shape: tuple[int, ...]

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Samples [start, stop) as (n, *sample_shape): time first, channel last."""
        dataset = open_guarded(self.path, os.getpid()).dataset(self.dataset)
        if tuple(dataset.shape) != self.shape:
            raise ArchiveError(
                "the dataset changed its shape since the file was opened",
                file=self.path,
                inside=self.dataset,
                found=tuple(dataset.shape),
                expected=self.shape,
                mend="open the recordings again once the file is complete",
            )
        try:
            if self.axes[0] == "segment":
                return self._read_rows(dataset, start, stop)
            time = self.axes.index("time")
            block = dataset[(*[slice(None)] * time, slice(start, stop))]
        except OSError as error:
            raise ArchiveError(
                "samples cannot be read: the file is damaged here",
                file=self.path,
                inside=f"{self.dataset}[{start}:{stop}]",
                found=error,
                mend="restore the file from its source, or leave it out",
            ) from error
        return self._samples_first(block, self.axes)

    def _read_rows(self, dataset: Any, start: int, stop: int) -> NDArray[Any]:
        """Rows are segments: read those that hold [start, stop) and cut."""
        steps = self.shape[self.axes.index("time")]
        first, last = start // steps, -(-stop // steps)
        block = dataset[first:last]
        rows = np.moveaxis(block, self.axes.index("time"), 1)
        rest = tuple(axis for axis in self.axes if axis not in ("segment", "time"))
        flat = rows.reshape(-1, *rows.shape[2:])
        return self._samples_first(flat[start - first * steps : stop - first * steps], ("time", *rest))

    @staticmethod
    def _samples_first(block: NDArray[Any], axes: tuple[Axis, ...]) -> NDArray[Any]:
        order: list[Axis] = [axis for axis in ("time", "height", "width", "channel") if axis in axes]
        block = np.transpose(block, [axes.index(axis) for axis in order])
        return block if "channel" in axes else block[..., None]

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample: (C,) for signals, (H, W, C) for video."""
        sizes = dict(zip(self.axes, self.shape, strict=True))
        space = tuple(sizes[axis] for axis in ("height", "width") if axis in sizes)
        return (*space, sizes.get("channel", 1))

    @property
    def count(self) -> int:
        """Samples along time, rows of a segment axis laid end to end."""
        sizes = dict(zip(self.axes, self.shape, strict=True))
        return sizes["time"] * sizes.get("segment", 1)


@functools.lru_cache(maxsize=64)
def open_guarded(path: Path, process: int) -> GuardedFile:
    """The open file of this process; keyed by process id, so a child after a fork opens its own."""
    return GuardedFile(path)


@dataclass(frozen=True)
class Stream:
    """Samples as logged, on the sensor's own clock.

    Physical value = sample * scale + offset, in `unit`. `channels` names the last axis; it may be
    empty when the file does not say.
    """

    name: str
    modality: str
    unit: str
    segments: Segments
    source: SampleSource
    dtype: np.dtype[Any]
    scale: float = 1.0
    offset: float = 0.0
    channels: tuple[str, ...] = field(default=())

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Samples [start, stop) by index, (n, *sample_shape), in the logged dtype."""
        return self.source.read(start, stop)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample: (C,) for signals, (H, W, C) for video."""
        return self.source.sample_shape

    @property
    def start(self) -> int:
        """Time of the first sample, ns."""
        return int(self.segments.t0[0])

    @property
    def end(self) -> int:
        """One period after the last sample, ns."""
        return int(self.segments.ends[-1])

    @property
    def rate(self) -> float:
        """Median rate over the segments, Hz."""
        return float(np.median(self.segments.rate))


def check_segments(segments: Segments, samples: int, *, file: Path, inside: str) -> None:
    def fail(problem: str, found: object, expected: str) -> ArchiveError:
        return ArchiveError(problem, file=file, inside=inside, found=found, expected=expected)

    if len(segments) == 0:
        raise fail("the stream has no segment", 0, "at least one")
    check_rate(segments.rate, file=file, inside=inside)
    if (segments.count < 1).any() or (segments.offset < 0).any():
        raise fail(
            "a segment is empty or begins before the array",
            f"offset {segments.offset.min()}, count {segments.count.min()}",
            "offset >= 0 and count >= 1",
        )
    beyond = int((segments.offset + segments.count).max())
    if beyond > samples:
        raise fail("a segment reaches beyond the samples", f"{beyond} of {samples}", "within the array")
    if (segments.t0[1:] < segments.ends[:-1] - 1).any():
        raise fail("segments overlap in time", "t0 before the end of the one before", "in order")


def check_rate(rate: Any, *, file: Path, inside: str) -> None:
    rate = np.asarray(rate, dtype=np.float64)
    if not (np.isfinite(rate) & (rate > 0) & (rate <= RATE_LIMIT)).all():
        raise ArchiveError(
            "the rate is not usable",
            file=file,
            inside=inside,
            found=f"{rate.min()} to {rate.max()} Hz",
            expected="a finite rate above 0",
        )


def check_axes(axes: Sequence[str], shape: Sequence[int]) -> str | None:
    """Say what is wrong with an axis declaration for an array of this shape, or None."""
    if len(axes) != len(shape):
        return f"{len(axes)} axes are named for an array of {len(shape)} dimensions"
    if "time" not in axes or len(set(axes)) != len(axes):
        return "each axis must be named once, and one of them must be 'time'"
    if ("height" in axes) != ("width" in axes):
        return "'height' and 'width' go together"
    if "segment" in axes and axes[0] != "segment":
        return "'segment' must be the first axis"
    return None
