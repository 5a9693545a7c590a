"""What a random read costs by the way a dataset is cut into chunks, from its metadata alone.

HDF5 unpacks whole chunks: a short window of a dataset with long ones costs many times its own bytes.
"""

from __future__ import annotations

import math

import numpy as np

from sensorkd.recordings.open_files import open_guarded
from sensorkd.recordings.stream import Stream

__all__ = ["better_chunks", "bytes_touched"]

CHUNK_SECONDS = 4.0
CHUNK_BYTES = 1 << 20


def bytes_touched(stream: Stream, samples: int) -> float:
    """Mean bytes that are unpacked to read `samples` consecutive samples from a random place.

    Chunks count whole, as they are before compression; a contiguous dataset costs the samples' own bytes,
    or whole rows where rows are segments.

    Raises:
        ArchiveError: the file cannot be opened.
    """
    axes, shape = stream.source.axes, stream.source.shape
    chunks = open_guarded(stream.source.path).dataset(stream.source.dataset).chunks
    samples = min(samples, stream.source.count)
    along = 0 if axes[0] == "segment" else axes.index("time")
    if chunks is None:
        # Contiguous: what is read is what is asked for; rows of segments are read whole.
        chunks = tuple(1 if axis == along else size for axis, size in enumerate(shape))
    per_index = stream.source.count / shape[along]
    indices = 1 + (samples - 1) / per_index if per_index > 1 else float(samples)
    touched = min(1 + (indices - 1) / chunks[along], math.ceil(shape[along] / chunks[along]))
    others = (
        chunk * math.ceil(size / chunk)
        for axis, (chunk, size) in enumerate(zip(chunks, shape, strict=True))
        if axis != along
    )
    return float(touched * chunks[along] * math.prod(others) * np.dtype(stream.dtype).itemsize)


def better_chunks(stream: Stream) -> str:
    """The option of h5repack that cuts a stream's dataset into chunks of about four seconds."""
    axes, shape = stream.source.axes, stream.source.shape
    per_sample = math.prod(stream.sample_shape) * np.dtype(stream.dtype).itemsize
    steps = max(1, min(round(CHUNK_SECONDS * stream.rate), CHUNK_BYTES // per_sample))
    lengths = {"time": min(steps, shape[axes.index("time")]), "segment": 1}
    chunk = "x".join(str(lengths.get(axis, size)) for axis, size in zip(axes, shape, strict=True))
    return f"h5repack -l {stream.source.dataset}:CHUNK={chunk}"
