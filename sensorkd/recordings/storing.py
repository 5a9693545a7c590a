"""How samples, tables and text are laid down in an archive: everything under a checksum."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from sensorkd.recordings.schema import SEGMENT
from sensorkd.recordings.stream import Segments

__all__ = ["set_attributes", "store_samples", "store_table", "text_array"]

CHUNK_SECONDS = 4.0
CHUNK_BYTES = 1 << 20


def store_samples(group: h5py.Group, samples: NDArray[Any], rate: float, table: Segments) -> None:
    """Write the datasets `samples` and `segments` of a stream."""
    group.create_dataset(
        "samples",
        data=samples,
        chunks=_chunks(samples, rate),
        shuffle=True,
        compression="gzip",
        compression_opts=1,
        fletcher32=True,
    )
    rows = np.zeros(len(table), SEGMENT)
    for column in ("t0", "rate", "offset", "count"):
        rows[column] = getattr(table, column)
    store_table(group, "segments", rows)


def store_table(group: h5py.Group, name: str, rows: NDArray[Any]) -> None:
    """Write a small table in one chunk."""
    # Only chunks carry a checksum, and a table without rows has none.
    group.create_dataset(
        name, data=rows, chunks=(len(rows),) if len(rows) else None, fletcher32=len(rows) > 0
    )


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


def _chunks(samples: NDArray[Any], rate: float) -> tuple[int, ...]:
    """About four seconds, less where that exceeds a mebibyte; h5py's own guess cuts across time."""
    sample_bytes = max(1, samples[0].nbytes)
    steps = min(round(CHUNK_SECONDS * rate), CHUNK_BYTES // sample_bytes, len(samples))
    return (max(1, steps), *samples.shape[1:])
