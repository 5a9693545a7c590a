"""Reads a stream from end to end in blocks of bounded size, around what is damaged."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd import timeline
from sensorkd.recordings import Stream
from sensorkd.recordings.open_files import open_guarded
from sensorkd.recordings.source import DamagedSamplesError

__all__ = ["BLOCK_BYTES", "Block", "Damage", "read_blocks", "time_of"]

BLOCK_BYTES = 1 << 22


@dataclass(frozen=True)
class Block:
    """Samples (n, ...) of a stream, from index `start` on."""

    start: int
    samples: NDArray[Any]


@dataclass(frozen=True)
class Damage:
    """Samples [start, stop) that cannot be read, and what HDF5 says of it."""

    start: int
    stop: int
    told: str


def read_blocks(stream: Stream, block_bytes: int = BLOCK_BYTES) -> Iterator[Block | Damage]:
    """Every sample that lies in a segment, once, in the order of the array, around what is damaged.

    A block is at most `block_bytes`, or one chunk where that is larger.
    """
    chunk = _chunk_steps(stream)
    sample_bytes = max(1, math.prod(stream.sample_shape) * stream.dtype.itemsize)
    steps = max(1, block_bytes // sample_bytes // chunk) * chunk
    for first, last in _ranges(stream):
        start = first
        while start < last:
            stop = min(last, (start // steps + 1) * steps)
            yield from _read(stream, start, stop)
            start = stop


def _read(stream: Stream, start: int, stop: int) -> Iterator[Block | Damage]:
    try:
        samples = stream.read(start, stop)
    except DamagedSamplesError as error:
        told = str(error.__cause__ or error.found)
        for first, last in [*error.ranges, (stop, stop)]:
            if start < first:
                yield Block(start, stream.read(start, first))
            if first < last:
                yield Damage(first, last, told)
            start = last
        return
    yield Block(start, samples)


def _chunk_steps(stream: Stream) -> int:
    """Samples along time that are stored together; 1 for contiguous storage."""
    source = stream.source
    chunks = open_guarded(source.path).dataset(source.dataset).chunks
    if chunks is None:
        return 1
    if source.axes[0] == "segment":
        return int(chunks[0]) * source.shape[source.axes.index("time")]
    return int(chunks[source.axes.index("time")])


def _ranges(stream: Stream) -> list[tuple[int, int]]:
    """Index ranges that segments cover, those that touch joined."""
    order = np.argsort(stream.segments.offset, kind="stable")
    first = stream.segments.offset[order]
    last = first + stream.segments.count[order]
    covered = np.maximum.accumulate(last)
    begins = np.flatnonzero(np.append(True, first[1:] > covered[:-1]))
    ends = np.append(begins[1:], len(first)) - 1
    return [(int(first[begin]), int(covered[end])) for begin, end in zip(begins, ends, strict=True)]


def time_of(stream: Stream, index: int) -> int:
    """When the sample of an index was taken, ns; of one between segments, the end of the one before."""
    segments = stream.segments
    order = np.argsort(segments.offset, kind="stable")
    row = order[max(0, int(np.searchsorted(segments.offset[order], index, side="right")) - 1)]
    inside = min(index - int(segments.offset[row]), int(segments.count[row]))
    return int(timeline.sample_times(int(segments.t0[row]), float(segments.rate[row]), max(0, inside)))
