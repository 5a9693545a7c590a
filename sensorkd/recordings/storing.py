"""How samples, tables and text are laid down in an archive: everything under a checksum."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from sensorkd.recordings.schema import SCHEMA, SEGMENT
from sensorkd.recordings.stream import Segments
from sensorkd.recordings.stream_format import StreamFormat

__all__ = [
    "GrowingStream",
    "begin_archive",
    "set_attributes",
    "store_format",
    "store_samples",
    "store_table",
    "text_array",
]

PACKED: dict[str, Any] = {"shuffle": True, "compression": "gzip", "compression_opts": 1, "fletcher32": True}
# Metadata lies together at the front. Spread over the file, as by default, parts of it come last, and a file
# that is cut short has lost the way to all of its samples.
METADATA_BYTES = 1 << 16
# A row of the table is written again as its run grows. What a kill could tear at that moment is one chunk.
TABLE_ROWS = 64


def begin_archive(path: Path) -> h5py.File:
    """Create a file to write an archive into."""
    # This version of the format (of 2016) has checksums over its metadata; h5py's default has none.
    file = h5py.File(path, "w", libver=("v110", "v110"), meta_block_size=METADATA_BYTES)
    set_attributes(file, schema=SCHEMA, kind="archive")
    return file


def store_format(group: h5py.Group, told: StreamFormat) -> None:
    """Write the attributes of a stream."""
    set_attributes(group, schema=SCHEMA, kind="stream", modality=told.modality, unit=told.unit)
    set_attributes(group, scale=told.scale, offset=told.offset)
    if told.channels:
        group.attrs["channels"] = text_array(list(told.channels))


def store_samples(group: h5py.Group, samples: NDArray[Any], told: StreamFormat, table: Segments) -> None:
    """Write the datasets `segments` and `samples` of a stream, in this order: so a cut file has the first."""
    rows = np.zeros(len(table), SEGMENT)
    for column in ("t0", "rate", "offset", "count"):
        rows[column] = getattr(table, column)
    store_table(group, "segments", rows)
    chunks = (min(told.chunk_samples, len(samples)), *told.sample_shape)
    group.create_dataset("samples", data=samples, chunks=chunks, **PACKED)


def store_table(group: h5py.Group, name: str, rows: NDArray[Any]) -> None:
    """Write a small table in one chunk."""
    # Only chunks carry a checksum, and a table without rows has none.
    group.create_dataset(
        name, data=rows, chunks=(len(rows),) if len(rows) else None, fletcher32=len(rows) > 0
    )


class GrowingStream:
    """A stream that is written block by block, of any lengths.

    Whole chunks are written as they fill, so that each is packed once; `flush` writes what is left. The
    table of segments never speaks of a sample that is not yet in the file.
    """

    def __init__(self, group: h5py.Group, told: StreamFormat) -> None:
        self.told = told
        store_format(group, told)
        self._chunk = told.chunk_samples
        self._samples = group.create_dataset(
            "samples",
            shape=(0, *told.sample_shape),
            maxshape=(None, *told.sample_shape),
            chunks=(self._chunk, *told.sample_shape),
            dtype=told.dtype,
            **PACKED,
        )
        self._table = group.create_dataset(
            "segments", shape=(0,), maxshape=(None,), chunks=(TABLE_ROWS,), dtype=SEGMENT, fletcher32=True
        )
        self._waiting: list[NDArray[Any]] = []
        self._rows: list[
            tuple[int, float, int, int]
        ] = []  # of the table; those before may not change any more
        self._rows_done = 0
        self.taken = 0
        self.written = 0

    def begin(self, t0: int, rate: float) -> None:
        """Begin a segment: what is appended next was taken from t0 on, in ns, at `rate` Hz."""
        self._rows.append((t0, rate, self.taken, 0))

    def correct(self, t0: int, rate: float) -> None:
        """Give the segment that is being written another start, in ns, and rate, in Hz."""
        _, _, offset, count = self._rows[-1]
        self._rows[-1] = (t0, rate, offset, count)

    def append(self, samples: NDArray[Any]) -> None:
        """Take samples (n, *sample_shape), n > 0, of the last segment that was begun."""
        t0, rate, offset, count = self._rows[-1]
        self._rows[-1] = (t0, rate, offset, count + len(samples))
        self._waiting.append(samples)
        self.taken += len(samples)
        self._write(self.taken // self._chunk * self._chunk)

    def flush(self) -> None:
        """Write everything taken, and hand it to the operating system."""
        self._write(self.taken)

    def _write(self, stop: int) -> None:
        if stop <= self.written:
            return
        block = np.concatenate(self._waiting) if len(self._waiting) > 1 else self._waiting[0]
        count = stop - self.written
        self._samples.resize(stop, axis=0)
        self._samples[self.written :] = block[:count]
        self._samples.flush()
        self._waiting = [block[count:]] if count < len(block) else []
        self.written = stop
        self._write_table()

    def _write_table(self) -> None:
        # After the samples: what the table tells is there, whenever somebody looks or a kill falls.
        told = [row for row in self._rows if row[2] < self.written and row[3]]
        rows = np.array(
            [(t0, rate, offset, min(count, self.written - offset)) for t0, rate, offset, count in told],
            SEGMENT,
        )
        self._table.resize(self._rows_done + len(rows), axis=0)
        self._table[self._rows_done :] = rows
        self._table.flush()
        # The last one written may grow, and the ones behind it are not written yet.
        self._rows_done += len(rows) - 1
        self._rows = self._rows[self._rows.index(told[-1]) :]


def set_attributes(node: h5py.Group, /, **attributes: Any) -> None:
    """Set attributes of a node, text with a fixed length."""
    for key, value in attributes.items():
        node.attrs[key] = text_array(value) if isinstance(value, str) else value


def text_array(text: str | list[str]) -> NDArray[Any]:
    """Text of fixed length, which lies in its node under a checksum.

    Text of variable length lies in a heap without one, and a flipped bit there can make HDF5 hang.
    """
    encoded = np.char.encode(np.array(text, dtype=np.str_), "utf-8")
    return encoded.astype(h5py.string_dtype("utf-8", max(1, encoded.dtype.itemsize)))
