"""Checks of how samples are stored: chunks never written, no checksum, chunks that make windows slow."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from sensorkd import timeline
from sensorkd.checks.blocks import time_of
from sensorkd.checks.finding import Check, Finding, Place, counted, when
from sensorkd.recordings import Recording, Stream
from sensorkd.recordings.chunking import bytes_touched
from sensorkd.recordings.open_files import open_guarded
from sensorkd.recordings.storage import unwritten_ranges

__all__ = ["CHECKS", "check_storage"]

NEVER_WRITTEN = Check(
    id="never-written",
    importance="warning",
    title="chunks were declared and never written",
    reason="HDF5 reads them as zeros, which look like a machine at rest. sensorkd reads them as a gap.",
    cure="restore the file from its source; the gap stays where there is none",
)
NO_CHECKSUM = Check(
    id="no-checksum",
    importance="hint",
    title="samples are stored without a checksum",
    reason="A flipped bit is read as a value like any other.",
    cure="h5repack -f FLET copies a file with checksums; archives that sensorkd writes have them",
)
CUT_CHUNKS = Check(
    id="cut-chunks",
    importance="hint",
    title="chunks cut across channels or pictures, as the automatic ones of h5py do",
    reason="A window then needs several chunks where one would do.",
    cure="rewrite with chunks of some seconds by all channels (h5repack -l CHUNK=...)",
)
SLOW_WINDOWS = Check(
    id="slow-windows",
    importance="hint",
    title="reading a window unpacks far more than the window",
    reason="Training that reads windows at random waits for the disk and for decompression.",
    cure="train from the cache, or rewrite with chunks of a few seconds (h5repack -l CHUNK=...)",
)
CHECKS = (NEVER_WRITTEN, NO_CHECKSUM, CUT_CHUNKS, SLOW_WINDOWS)

WINDOW_SECONDS = 2.0
# Less than this is unpacked in a moment, whatever share of it is used.
SMALL_BYTES = 1 << 21
SLOW_RATIO = 16.0


def check_storage(recording: Recording) -> Iterator[Finding]:
    """Findings of all streams of a recording, from their metadata."""
    for name, stream in recording.streams.items():
        dataset = open_guarded(stream.source.path).dataset(stream.source.dataset)
        place = Place.of(recording, name)
        yield from _never_written(recording, stream, dataset, place)
        if not dataset.fletcher32:
            how = f"chunks {dataset.chunks}" if dataset.chunks else "contiguous"
            yield NO_CHECKSUM.at(place, found=f"{how}, no checksum", expected="fletcher32")
        rest = [
            (chunk, size)
            for axis, chunk, size in zip(
                stream.source.axes, dataset.chunks or dataset.shape, dataset.shape, strict=True
            )
            if axis not in ("segment", "time")
        ]
        if any(chunk < size for chunk, size in rest):
            found = f"chunks {dataset.chunks} of shape {dataset.shape}"
            yield CUT_CHUNKS.at(place, found=found, expected="every channel and pixel in each chunk")
        yield from _slow_windows(stream, place)


def _never_written(recording: Recording, stream: Stream, dataset: Any, place: Place) -> Iterator[Finding]:
    axes, shape = stream.source.axes, stream.source.shape
    axis = 0 if axes[0] == "segment" else axes.index("time")
    steps = shape[axes.index("time")] if axes[0] == "segment" else 1
    ranges = [(first * steps, last * steps) for first, last in unwritten_ranges(dataset, axis)]
    if not ranges:
        return
    lost = sum(last - first for first, last in ranges)
    yield NEVER_WRITTEN.at(
        place,
        found=f"{lost:,} of {stream.source.count:,} samples in {counted(len(ranges), 'place')}, the first "
        f"after {when(recording, time_of(stream, ranges[0][0]))}",
        expected="stored samples",
        value=lost / stream.rate,
        unit="s",
        size=lost / stream.source.count,
    )


def _slow_windows(stream: Stream, place: Place) -> Iterator[Finding]:
    steps = min(timeline.steps_in(round(WINDOW_SECONDS * timeline.SECOND), stream.rate), stream.source.count)
    wanted = steps * math.prod(stream.sample_shape) * stream.dtype.itemsize
    unpacked = bytes_touched(stream, steps)
    if unpacked > max(SMALL_BYTES, SLOW_RATIO * wanted):
        yield SLOW_WINDOWS.at(
            place,
            found=f"{unpacked / 1e6:.3g} MB unpacked for {WINDOW_SECONDS:g} s of {wanted / 1e6:.3g} MB",
            expected=f"at most {SLOW_RATIO:g} times as much as the window",
            value=unpacked / wanted,
            unit="times",
            size=unpacked / wanted,
        )
