"""One sensor on one clock: a table of segments over one array that is read only where asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd import timeline
from sensorkd.errors import ArchiveError
from sensorkd.recordings.source import Axis, DamagedSamplesError, SampleSource, check_axes

__all__ = [
    "Axis",
    "SampleSource",
    "Segments",
    "StampReport",
    "Stream",
    "check_axes",
    "check_rate",
    "check_segments",
    "written_segments",
]

# From once in 30 years to the resolution of the clock.
RATE_LIMITS = (1e-9, 1e9)
TIME_LIMIT = 9e18


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

    def without(self, ranges: Sequence[tuple[int, int]]) -> Segments:
        """The same runs with samples [start, stop), by index in the array, cut out of them.

        ranges: in order, without overlap. What is left may be no segment at all.

        >>> Segments.uniform(t0=0, rate=1.0, count=10).without([(3, 5)]).count.tolist()
        [3, 5]
        """
        if not len(ranges):
            return self
        edges = np.array(ranges, dtype=np.int64)
        kept_from = np.append(0, edges[:, 1])
        kept_to = np.append(edges[:, 0], np.iinfo(np.int64).max)
        stop = self.offset + self.count
        first = np.searchsorted(kept_to, self.offset, side="right")
        pieces = np.maximum(np.searchsorted(kept_from, stop, side="left") - first, 0)
        row = np.repeat(np.arange(len(self)), pieces)
        piece = np.arange(len(row)) - np.repeat(np.cumsum(pieces) - pieces, pieces) + first[row]
        low = np.maximum(self.offset[row], kept_from[piece])
        count = np.minimum(stop[row], kept_to[piece]) - low
        filled = count > 0
        row, low, count = row[filled], low[filled], count[filled]
        t0 = timeline.sample_times(self.t0[row], self.rate[row], low - self.offset[row])
        return Segments(t0=t0, rate=self.rate[row], offset=low, count=count)

    def spans(self, start: int, stop: int) -> list[tuple[int, int]]:
        """When samples [start, stop), by index in the array, were taken: [t0, t1) in ns, a run each."""
        low = np.maximum(self.offset, start)
        high = np.minimum(self.offset + self.count, stop)
        rows = np.flatnonzero(low < high)
        begun, ended = (
            timeline.sample_times(self.t0[rows], self.rate[rows], edge[rows] - self.offset[rows])
            for edge in (low, high)
        )
        return list(zip(begun.tolist(), ended.tolist(), strict=True))


@dataclass(frozen=True)
class StampReport:
    """What was found in the time stamps of a stream when it was opened.

    duplicates: samples logged twice, of which one is dropped. reordered: samples that came late and were
    sorted into place. jitter, worst: standard deviation and largest distance, s, of the stamps from the
    straight line through those of their segment. jumps: segments that begin because the clock was set.
    gaps: segments that begin because samples are missing. cut: samples left out because their stamps come
    again after the clock was set back. rate: Hz, as all of the stamps say. Bursts with one stamp each are
    counted as one, and have neither jitter nor rate.
    """

    duplicates: int = 0
    reordered: int = 0
    jitter: float = 0.0
    worst: float = 0.0
    jumps: int = 0
    gaps: int = 0
    cut: int = 0
    rate: float | None = None


@dataclass(frozen=True)
class Stream:
    """Samples as logged, on the sensor's own clock.

    Physical value = sample * scale + offset, in `unit`. `channels` names the last axis; it may be
    empty when the file does not say. nominal_rate: Hz, what the file claims; it is compared with the true
    one and never used. stamps: what was found in the time stamps, where there are some.
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
    nominal_rate: float | None = None
    stamps: StampReport | None = None

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Samples [start, stop) by index, (n, *sample_shape), in the logged dtype.

        Raises:
            DamagedSamplesError: some cannot be read; says which, and the time they cover.
        """
        try:
            return self.source.read(start, stop)
        except DamagedSamplesError as error:
            raise self._dated(error) from error.__cause__

    def _dated(self, error: DamagedSamplesError) -> DamagedSamplesError:
        """The error with the time that is lost."""
        spans = [span for first, last in error.ranges for span in self.segments.spans(first, last)]
        told = ", ".join(
            f"{t0 / timeline.SECOND:.3f} s to {t1 / timeline.SECOND:.3f} s" for t0, t1 in spans[:4]
        )
        more = " ..." if len(spans) > 4 else ""
        dated = DamagedSamplesError(
            error.problem,
            file=error.file,
            inside=error.inside,
            found=f"the time lost is {told or 'of no segment'}{more}; {error.found}",
            expected=error.expected,
            mend=error.mend,
        )
        dated.ranges = error.ranges
        return dated

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


def written_segments(segments: Segments, source: SampleSource, dataset: Any) -> Segments:
    """The segments without what was never written, which would read as zeros: it is a gap.

    Raises:
        ArchiveError: nothing was written.
    """
    unwritten = source.unwritten(dataset)
    written = segments.without(unwritten)
    if not len(written):
        raise ArchiveError(
            "nothing was ever written here: it would read as zeros",
            file=source.path,
            inside=source.dataset,
            found=f"no chunk for any of {int(segments.count.sum())} samples",
            expected="stored samples",
            mend="remove the stream, or restore the file",
        )
    return written


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
