"""One sensor on one clock: a table of segments over one array that is read only where asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sensorkd import timeline
from sensorkd.errors import ArchiveError
from sensorkd.recordings.open_files import open_guarded

__all__ = ["Axis", "SampleSource", "Segments", "Stream"]

# From once in 30 years to the resolution of the clock.
RATE_LIMITS = (1e-9, 1e9)
TIME_LIMIT = 9e18

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
        return timeline.sample_times(self.t0, self.rate, self.count)


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
        dataset = open_guarded(self.path).dataset(self.dataset)
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
    """Refuse segments that are empty, reach beyond the samples, overlap, or leave what int64 ns can hold.

    Raises:
        ArchiveError: naming the first segment that is wrong.
    """

    def check(good: NDArray[np.bool_], problem: str, expected: str, *columns: str) -> None:
        for row in np.flatnonzero(~good):
            told = ", ".join(f"{name} {getattr(segments, name)[row]}" for name in columns)
            raise ArchiveError(
                problem,
                file=file,
                inside=inside,
                found=f"segment {row}: {told}",
                expected=expected,
                mend="correct the segments, or the start times and rate they come from",
            )

    if len(segments) == 0:
        problem, mend = "the stream has no segment", "write one row a run without a gap, or no stream"
        raise ArchiveError(problem, file=file, inside=inside, found="0 rows", expected="1 or more", mend=mend)
    check_rate(segments.rate, file=file, inside=inside)
    begun = (segments.count >= 1) & (segments.offset >= 0)
    check(
        begun, "a segment is empty or begins before the array", "offset >= 0, count >= 1", "offset", "count"
    )
    # Not offset + count, which may wrap round.
    inner = (segments.count <= samples) & (segments.offset <= samples - segments.count)
    check(inner, "a segment reaches beyond the samples", f"{samples} samples in all", "offset", "count")
    latest = segments.t0 + segments.count / segments.rate * timeline.SECOND
    countable = (np.abs(latest) < TIME_LIMIT) & (np.abs(segments.t0.astype(np.float64)) < TIME_LIMIT)
    check(countable, "a segment lies outside the times that can be counted", "years 1685 to 2255", "t0")
    # Stamps jitter: a segment may begin half a sample before the period of the last one is over.
    slack = np.ceil(0.5 * timeline.SECOND / segments.rate[:-1]).astype(np.int64)
    apart = np.append(True, segments.t0[1:] >= segments.ends[:-1] - slack)
    check(apart, "segments overlap in time", "t0 at or after the end of the segment before", "t0")


def check_rate(rate: Any, *, file: Path, inside: str) -> None:
    """Refuse rates that are no rates.

    Raises:
        ArchiveError: with the lowest and the highest.
    """
    rate = np.asarray(rate, dtype=np.float64)
    if not (np.isfinite(rate) & (rate >= RATE_LIMITS[0]) & (rate <= RATE_LIMITS[1])).all():
        raise ArchiveError(
            "the rate is not usable",
            file=file,
            inside=inside,
            found=f"{rate.min()} to {rate.max()} Hz" if rate.ndim and len(rate) > 1 else f"{rate.min()} Hz",
            expected=f"a finite rate above 0: {RATE_LIMITS[0]:g} to {RATE_LIMITS[1]:g} Hz",
            mend="correct the rate in the file, or name it in the layout",
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
