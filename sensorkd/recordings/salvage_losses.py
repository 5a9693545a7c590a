"""Finds the samples of a damaged dataset that cannot be had, without ever taking padding for data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import h5py

from sensorkd.errors import ArchiveError
from sensorkd.recordings.salvage_report import Loss
from sensorkd.recordings.storage import READ_ERRORS, damaged_chunks, unwritten_ranges
from sensorkd.recordings.stream import Segments

__all__ = ["joined", "lost_ranges", "uncovered"]

BEYOND = "beyond the end of the file"
UNWRITTEN = "never written"
DAMAGED = "the chunk cannot be read: its bits were changed"
NO_TIME = "no segment says when it was taken"


def lost_ranges(dataset: h5py.Dataset, axis: int, *, end: int, file: Path, inside: str) -> list[Loss]:
    """Index ranges along `axis`, in order and apart, of which something cannot be had.

    Args:
        end: bytes that the file really has; it may have been filled up beyond. Everything else is read once.

    Raises:
        ArchiveError: it cannot be told where its chunks lie.
    """
    lost = _beyond(dataset, axis, end, file, inside)
    lost += [Loss(start, stop, UNWRITTEN) for start, stop in unwritten_ranges(dataset, axis)]
    size = dataset.shape[axis]
    for start, stop in _between(lost, size):
        lost += [Loss(*found, DAMAGED) for found in damaged_chunks(dataset, start, stop, axis)]
    return _apart(lost)


def _beyond(dataset: h5py.Dataset, axis: int, end: int, file: Path, inside: str) -> list[Loss]:
    shape, size = dataset.shape, dataset.shape[axis]
    if dataset.chunks:
        step = dataset.chunks[axis]
        places = sorted({place // step for place in _chunks_beyond(dataset, axis, end, file, inside)})
        return [Loss(place * step, min((place + 1) * step, size), BEYOND) for place in places]
    begin = dataset.id.get_offset()
    if begin is None or begin + dataset.id.get_storage_size() <= end:
        return []  # in the header of the dataset, or in the file as a whole
    if math.prod(shape[:axis]) != 1:
        return [Loss(0, size, BEYOND)]  # every index has values in the last rows
    row = math.prod(shape[axis + 1 :]) * dataset.id.get_type().get_size()
    return [Loss(max(0, (end - begin) // row), size, BEYOND)]


def _chunks_beyond(dataset: h5py.Dataset, axis: int, end: int, file: Path, inside: str) -> list[int]:
    """Where along the axis chunks begin whose bytes are not all in the file."""
    found: list[int] = []
    seen: set[tuple[int, ...]] = set()

    def look(chunk: h5py.h5d.StoreInfo) -> bool | None:
        # The index of older formats has no checksum, and where it is cut off it reads as zeros.
        if chunk.byte_offset <= 0 or chunk.size <= 0 or chunk.chunk_offset in seen:
            return True
        seen.add(chunk.chunk_offset)
        if chunk.byte_offset + chunk.size > end:
            found.append(chunk.chunk_offset[axis])
        return None

    try:
        stopped = dataset.id.chunk_iter(look)
    except READ_ERRORS as error:
        raise _no_index(file, inside, error) from error
    if stopped:
        raise _no_index(file, inside, "entries that name no chunk")
    return found


def _no_index(file: Path, inside: str, found: object) -> ArchiveError:
    return ArchiveError(
        "the index of the chunks cannot be read: where samples lie is not known",
        file=file,
        inside=inside,
        found=found,
        expected="an index that names every chunk once",
        mend="restore the file from its source; its samples are beyond help here",
    )


def _between(lost: Iterable[Loss], size: int) -> Iterator[tuple[int, int]]:
    """The ranges of [0, size) that are not lost."""
    at = 0
    for loss in sorted(lost, key=lambda loss: loss.start):
        if loss.start > at:
            yield at, loss.start
        at = max(at, loss.stop)
    if at < size:
        yield at, size


def _apart(lost: list[Loss]) -> list[Loss]:
    """In order, without overlap; neighbours of one reason are one."""
    found: list[Loss] = []
    for loss in sorted(lost, key=lambda loss: loss.start):
        last = found[-1] if found else None
        if last is not None and loss.start <= last.stop and loss.reason == last.reason:
            found[-1] = Loss(last.start, max(last.stop, loss.stop), loss.reason)
        elif last is None or loss.stop > last.stop:
            found.append(Loss(max(loss.start, last.stop) if last else loss.start, loss.stop, loss.reason))
    return found


def uncovered(segments: Segments, size: int) -> list[Loss]:
    """Samples that no segment holds."""
    held = [
        Loss(start, start + count, "") for start, count in zip(segments.offset, segments.count, strict=True)
    ]
    return [Loss(int(start), int(stop), NO_TIME) for start, stop in _between(held, size)]


def joined(lost: list[Loss], others: list[Loss], segments: Segments) -> list[Loss]:
    """Both, in order and apart, the first going before; with the times that segments know."""
    inner = _apart(lost)
    size = max((loss.stop for loss in others), default=0)
    rest = [
        Loss(max(start, loss.start), min(stop, loss.stop), loss.reason)
        for start, stop in _between(inner, size)
        for loss in others
        if start < loss.stop and loss.start < stop
    ]
    return [
        Loss(loss.start, loss.stop, loss.reason, tuple(segments.spans(loss.start, loss.stop)))
        for loss in _apart([*inner, *rest])
    ]
