"""How much a random read unpacks, against what HDF5 was seen to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sensorkd.recordings import load_layout, open_recordings
from sensorkd.recordings.chunking import better_chunks, bytes_touched


def stream(folder: Path, layout_file: Any, shape: tuple[int, ...], axes: list[str], **storage: Any) -> Any:
    with h5py.File(folder / "lab.h5", "w") as file:
        file.create_dataset("data", data=np.ones(shape, np.int16), **storage)
    layout = load_layout(layout_file(axes=axes, rate=100.0))
    return open_recordings(folder / "lab.h5", layout)[0].streams["shake"]


def counted(shape: tuple[int, ...], chunks: tuple[int, ...], along: int, samples: int) -> float:
    """Mean bytes of the chunks that hold [start, start + samples), over every start."""
    row = np.prod(
        [-(-n // c) * c for axis, (n, c) in enumerate(zip(shape, chunks, strict=True)) if axis != along]
    )
    starts = np.arange(shape[along] - samples + 1)
    touched = (starts + samples - 1) // chunks[along] - starts // chunks[along] + 1
    return float(touched.mean() * chunks[along] * row * 2)


@pytest.mark.parametrize(
    ("shape", "axes", "chunks", "along"),
    [
        ((10_000, 3), ["time", "channel"], (400, 3), 0),
        ((10_000, 3), ["time", "channel"], (1000, 2), 0),
        ((3, 10_000), ["channel", "time"], (1, 500), 1),
        ((10_000, 3), ["time", "channel"], (10_000, 3), 0),
        ((900, 8, 6), ["time", "height", "width"], (10, 3, 6), 0),
    ],
)
def test_bytes_of_chunks_are_those_of_a_count_over_all_places(
    tmp_path: Path, layout_file: Any, shape: Any, axes: Any, chunks: Any, along: int
) -> None:
    found = stream(tmp_path, layout_file, shape, axes, chunks=chunks)
    for samples in (1, 7, 200):
        assert bytes_touched(found, samples) == pytest.approx(
            counted(shape, chunks, along, samples), rel=0.02
        )


def test_contiguous_samples_cost_their_own_bytes(tmp_path: Path, layout_file: Any) -> None:
    found = stream(tmp_path, layout_file, (10_000, 3), ["time", "channel"])
    assert bytes_touched(found, 200) == 200 * 3 * 2
    assert bytes_touched(found, 50_000) == 10_000 * 3 * 2


def test_rows_of_segments_are_read_whole(tmp_path: Path, layout_file: Any) -> None:
    path = tmp_path / "lab.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=np.ones((50, 100), np.int16), chunks=(5, 100))
        file.create_dataset("start", data=np.arange(50) * 10.0)
    told = layout_file(axes=["segment", "time"], rate=100.0, start={"dataset": "start", "unit": "s"})
    found = open_recordings(path, load_layout(told))[0].streams["shake"]
    # One row, or two where the run begins within one; a chunk holds five.
    assert bytes_touched(found, 1) == 5 * 100 * 2
    assert bytes_touched(found, 101) == pytest.approx((1 + 1 / 5) * 5 * 100 * 2)


def test_the_cure_is_chunks_of_four_seconds_and_at_most_a_mebibyte(tmp_path: Path, layout_file: Any) -> None:
    (tmp_path / "other").mkdir()
    found = stream(tmp_path / "other", layout_file, (3, 10_000), ["channel", "time"], chunks=(1, 10_000))
    assert better_chunks(found) == "h5repack -l /data:CHUNK=3x400"
    frames = stream(tmp_path, layout_file, (900, 80, 60), ["time", "height", "width"], chunks=(900, 8, 6))
    assert better_chunks(frames) == "h5repack -l /data:CHUNK=109x80x60"
