"""Where the samples of a stream lie in an HDF5 file, and how any part of them is read from there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sensorkd.errors import ArchiveError
from sensorkd.recordings.open_files import open_guarded
from sensorkd.recordings.storage import READ_ERRORS, damaged_chunks, unwritten_ranges

__all__ = ["Axis", "DamagedSamplesError", "SampleSource", "check_axes"]

Axis = Literal["segment", "time", "height", "width", "channel"]
Ranges = list[tuple[int, int]]
# Samples that lie no farther apart than this in the dataset are read in one go.
SPARSE = 16


class DamagedSamplesError(ArchiveError):
    """Samples that were asked for cannot be read.

    ranges: the samples in the same chunks, which are lost too: [start, stop) by index in the stream.
    """

    ranges: Ranges


@dataclass(frozen=True)
class SampleSource:
    """Where the samples of a stream lie: a dataset of an HDF5 file and the meaning of its axes.

    order: (n,) index along the dataset's time axis of each sample of the stream, where time stamps repeat
    or are out of order; None: as they lie. Holds no open file, so it is picklable and safe to hand to
    another process.
    """

    path: Path
    dataset: str
    axes: tuple[Axis, ...]
    shape: tuple[int, ...]
    # Not compared: arrays have no truth value. The dataset and its stamps decide it.
    order: NDArray[np.int64] | None = field(default=None, compare=False, repr=False)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Samples [start, stop) as (n, *sample_shape): time first, channel last.

        Raises:
            DamagedSamplesError: some of them cannot be read.
            ArchiveError: the file is not what it was when it was opened.
        """
        if self.order is not None:
            return self.take(self.order[start:stop])
        try:
            return self._read_along(start, stop)
        except READ_ERRORS as error:
            raise self._damaged(error, start, stop) from error

    def take(self, index: NDArray[np.int64]) -> NDArray[Any]:
        """Samples by index along the dataset's time axis, in any order, (n, *sample_shape).

        Raises:
            DamagedSamplesError, ArchiveError: see `read`.
        """
        if not len(index):
            return self._read_along(0, 0)
        ascending = np.argsort(index, kind="stable")
        near = np.flatnonzero(np.diff(index[ascending]) > SPARSE) + 1
        samples: NDArray[Any] | None = None
        for part in np.split(ascending, near):
            low, high = int(index[part[0]]), int(index[part[-1]]) + 1
            try:
                block = self._read_along(low, high)
            except READ_ERRORS as error:
                raise self._damaged(error, low, high) from error
            if samples is None:
                samples = np.empty((len(index), *block.shape[1:]), dtype=block.dtype)
            samples[part] = block[index[part] - low]
        assert samples is not None
        return samples

    def _dataset(self) -> Any:
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
        return dataset

    def _read_along(self, start: int, stop: int) -> NDArray[Any]:
        """Samples [start, stop) as they lie in the dataset, rows of a segment axis laid end to end."""
        dataset, time = self._dataset(), self.axes.index("time")
        if self.axes[0] == "segment":
            return self._read_rows(dataset, start, stop)
        return self._samples_first(dataset[(*[slice(None)] * time, slice(start, stop))], self.axes)

    def _read_rows(self, dataset: Any, start: int, stop: int) -> NDArray[Any]:
        """Rows are segments: read those that hold [start, stop) and cut."""
        steps = self.shape[self.axes.index("time")]
        first, last = start // steps, -(-stop // steps)
        block = dataset[first:last]
        rows = np.moveaxis(block, self.axes.index("time"), 1)
        rest = tuple(axis for axis in self.axes if axis not in ("segment", "time"))
        flat = rows.reshape(-1, *rows.shape[2:])
        return self._samples_first(flat[start - first * steps : stop - first * steps], ("time", *rest))

    def _damaged(self, error: Exception, start: int, stop: int) -> DamagedSamplesError:
        lost = self._lost(start, stop)
        told = ", ".join(f"[{first}:{last}]" for first, last in lost[:4])
        damaged = DamagedSamplesError(
            "samples cannot be read: the file is damaged here",
            file=self.path,
            inside=f"{self.dataset}[{start}:{stop}]",
            found=f"chunks of samples {told or 'unknown'}{' ...' if len(lost) > 4 else ''}: {error}",
            expected="chunks that fit their checksums and filters",
            mend="restore the file from its source, leave it out, or salvage what can be read",
        )
        damaged.ranges = lost
        return damaged

    def _lost(self, start: int, stop: int) -> Ranges:
        """Samples, by index in the stream, in damaged chunks that hold some of [start, stop) as they lie."""
        dataset, time = self._dataset(), self.axes.index("time")
        if self.axes[0] != "segment":
            return self.positions_of(damaged_chunks(dataset, start, stop, time))
        steps = self.shape[time]
        rows = damaged_chunks(dataset, start // steps, -(-stop // steps), 0)
        return [(first * steps, last * steps) for first, last in rows]

    def unwritten(self, dataset: Any) -> Ranges:
        """Samples, by index in the stream, of which some chunk was never written: they read as fill value.

        Of rows of a segment axis these are the steps that are missing anywhere, in all rows that miss some.
        """
        time = self.axes.index("time")
        along = unwritten_ranges(dataset, time)
        if self.axes[0] != "segment" or not along:
            return self.positions_of(along)
        steps, rows = self.shape[time], unwritten_ranges(dataset, 0)
        if along == [(0, steps)]:
            return [(first * steps, last * steps) for first, last in rows]
        return [
            (row * steps + low, row * steps + high)
            for first, last in rows
            for row in range(first, last)
            for low, high in along
        ]

    def positions_of(self, ranges: Ranges) -> Ranges:
        """Index ranges in the stream of the samples that lie in these ranges of the dataset's time axis."""
        if self.order is None or not ranges:
            return ranges
        edges = np.array(ranges, dtype=np.int64).reshape(-1)
        within = np.searchsorted(edges, self.order, side="right") % 2 == 1
        turns = np.flatnonzero(np.diff(np.concatenate([[False], within, [False]]).astype(np.int8)))
        return list(zip(turns[::2].tolist(), turns[1::2].tolist(), strict=True))

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
        """Samples of the stream; rows of a segment axis count end to end."""
        if self.order is not None:
            return len(self.order)
        sizes = dict(zip(self.axes, self.shape, strict=True))
        return sizes["time"] * sizes.get("segment", 1)


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
