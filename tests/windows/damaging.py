"""Ways to damage a file at a known place."""

from __future__ import annotations

from pathlib import Path

import h5py


def flip_in_chunk(path: Path, dataset: str, *, index: int) -> None:
    """Flip a bit in the middle of a chunk of a dataset."""
    with h5py.File(path) as file:
        chunk = file[dataset].id.get_chunk_info(index)
    with path.open("r+b") as handle:
        handle.seek(chunk.byte_offset + chunk.size // 2)
        byte = handle.read(1)[0]
        handle.seek(-1, 1)
        handle.write(bytes([byte ^ 16]))
