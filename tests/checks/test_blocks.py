from __future__ import annotations

from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
import pytest

from sensorkd.checks.blocks import Block, Damage, read_blocks, time_of
from sensorkd.recordings import Recording, Segments, Stream, open_recordings
from sensorkd.timeline import SECOND

Record = Callable[..., Recording]


def indices(stream: Stream, **options: Any) -> tuple[list[int], list[tuple[int, int]]]:
    """Which samples were read, and which ranges could not be."""
    read: list[int] = []
    damaged = []
    for block in read_blocks(stream, **options):
        if isinstance(block, Damage):
            damaged.append((block.start, block.stop))
        else:
            assert block.samples[:, 0].tolist() == list(range(block.start, block.start + len(block.samples)))
            read += block.samples[:, 0].tolist()
    return read, damaged


@pytest.mark.parametrize("block_bytes", [1, 5000, 1 << 22])
def test_every_sample_is_read_once_and_in_order(record: Record, shake: Any, block_bytes: int) -> None:
    stream = record({"shake": shake(seconds=30.0)}).streams["shake"]
    assert indices(stream, block_bytes=block_bytes) == (list(range(3000)), [])


def test_a_block_is_no_longer_than_asked_or_one_chunk(record: Record, shake: Any) -> None:
    stream = record({"shake": shake(seconds=30.0)}).streams["shake"]  # chunks of 400 samples of 4 bytes
    sizes = [len(block.samples) for block in read_blocks(stream, 3300) if isinstance(block, Block)]
    assert max(sizes) == 800
    assert {len(block.samples) for block in read_blocks(stream, 1) if isinstance(block, Block)} == {400, 200}


def test_samples_that_no_segment_holds_are_passed_over(record: Record, shake: Any) -> None:
    segments = Segments(
        t0=np.array([0, 5 * SECOND, 9 * SECOND]),
        rate=np.full(3, 100.0),
        offset=np.array([10, 100, 150]),
        count=np.array([20, 50, 30]),
    )
    stream = record({"shake": shake(segments=segments)}).streams["shake"]
    assert indices(stream)[0] == [*range(10, 30), *range(100, 180)]
    assert time_of(stream, 10) == 0
    assert time_of(stream, 101) == 5 * SECOND + SECOND // 100
    assert time_of(stream, 160) == 9 * SECOND + SECOND // 10
    assert time_of(stream, 60) == SECOND // 5  # the end of the segment before


def test_around_a_damaged_chunk_all_is_read(write_archive: Any, shake: Any) -> None:
    path = write_archive({"shake": shake(seconds=30.0)})
    with h5py.File(path) as file:
        chunks = file["monday/streams/shake/samples"].id
        places = [chunks.get_chunk_info(index).byte_offset for index in (2, 3)]
    content = bytearray(path.read_bytes())
    for place in places:
        content[place + 20] ^= 1
    path.write_bytes(content)
    read, damaged = indices(open_recordings(path)[0].streams["shake"])
    assert read == [*range(800), *range(1600, 3000)]
    assert {index for first, last in damaged for index in range(first, last)} == set(range(800, 1600))
