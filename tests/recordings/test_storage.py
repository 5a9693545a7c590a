from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sensorkd.recordings.guard import GuardedFile
from sensorkd.recordings.storage import damaged_chunks, unwritten_ranges

Refused = Callable[..., Any]


def judge(path: Path) -> None:
    with GuardedFile(path) as file:
        file.dataset("/data")


def test_external_storage_is_refused_and_the_other_file_is_untouched(
    tmp_path: Path, refused: Refused
) -> None:
    other = tmp_path / "passwords"
    other.write_bytes(b"root:x:0:0 " * 10)
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("data", (100,), "u1", external=[(str(other), 0, 100)])
    with h5py.File(path) as file:  # h5py itself reads it in silence
        assert bytes(file["data"][:6]) == b"root:x"
    with refused(path, "external storage", "passwords", inside="/data"):
        judge(path)
    assert other.read_bytes() == b"root:x:0:0 " * 10


@pytest.mark.parametrize("present", [True, False])
def test_a_virtual_dataset_is_refused_whether_its_source_is_there_or_not(
    tmp_path: Path, refused: Refused, present: bool
) -> None:
    with h5py.File(tmp_path / "source.h5", "w") as file:
        file["data"] = np.arange(10)
    path = tmp_path / "a.h5"
    sources = h5py.VirtualLayout((10,), "i8")
    sources[:] = h5py.VirtualSource("source.h5", "data", (10,))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("data", sources)
    if not present:
        (tmp_path / "source.h5").unlink()
        with h5py.File(path) as file:  # h5py itself gives zeros
            assert not file["data"][()].any()
    with refused(path, "virtual dataset", "source.h5", inside="/data"):
        judge(path)


@pytest.mark.parametrize("chunks", [None, (100, 3)])
def test_samples_that_were_never_written_are_refused_not_read_as_zeros(
    tmp_path: Path, refused: Refused, chunks: tuple[int, ...] | None
) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("data", (1000, 3), "f4", chunks=chunks)
    with refused(path, "nothing was ever written", "(1000, 3)", inside="/data"):
        judge(path)


def test_an_empty_table_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("data", (0, 3), "f4")
    judge(path)


def test_a_file_full_of_zeros_compresses_well_and_is_no_bomb(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset(
            "data", (1 << 24, 5), "u1", chunks=(1 << 20, 5), compression="gzip", shuffle=True
        )
        for start in range(0, 1 << 24, 1 << 20):
            data[start : start + (1 << 20)] = 0
    judge(path)


def noise(path: Path, **options: Any) -> Path:
    """Writes /data: 3 MiB that cannot be packed."""
    with h5py.File(path, "w") as file:
        rng = np.random.default_rng(0)
        file.create_dataset("data", data=rng.integers(0, 255, (3 << 20,), "u1"), **options)
    return path


def test_a_huge_chunk_is_refused_unless_it_is_allowed(
    tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = noise(tmp_path / "a.h5", chunks=(2 << 20,))
    judge(path)
    monkeypatch.setenv("SENSORKD_ALLOW", "chunk=1MiB")
    with refused(path, "chunk", "2,097,152 bytes", "1,048,576 bytes", "chunk=1GiB", inside="/data"):
        judge(path)
    monkeypatch.setenv("SENSORKD_ALLOW", "chunk=2MiB")
    judge(path)


def test_a_dataset_packed_twice_over_is_a_bomb(
    tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((1 << 24,))
        properties.set_deflate(9)
        properties.set_deflate(9)
        space = h5py.h5s.create_simple((1 << 27,))
        data = h5py.Dataset(h5py.h5d.create(file.id, b"data", h5py.h5t.STD_U8LE, space, dcpl=properties))
        for start in range(0, 1 << 27, 1 << 24):
            data[start : start + (1 << 24)] = 0
    with refused(path, "out of proportion", "134,217,728 bytes declared", inside="/data"):
        judge(path)
    monkeypatch.setenv("SENSORKD_ALLOW", "ratio=1000000")
    judge(path)


@pytest.mark.parametrize(
    ("options", "stored"),
    [
        ({}, b"x" * 99),
        ({}, b"x" * 101),
        ({"shuffle": True}, b"x" * 4),
        ({"fletcher32": True}, b"x"),  # HDF5 2.0 crashes on this one
        ({"fletcher32": True, "compression": "gzip"}, b"xyz"),  # and on this one
        ({"compression": "gzip"}, b"x" * 5000),
    ],
)
def test_a_chunk_of_a_size_that_it_cannot_have_is_refused(
    tmp_path: Path, refused: Refused, options: dict[str, Any], stored: bytes
) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("data", data=np.arange(1000, dtype="u1"), chunks=(100,), **options)
        data.id.write_direct_chunk((300,), stored)
    with refused(path, "a size that it cannot have", f"{len(stored):,} bytes", "(300,)", inside="/data"):
        judge(path)


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("options", [{}, {"shuffle": True}, {"fletcher32": True}, {"compression": "gzip"}])
def test_chunks_of_noise_and_chunks_left_unpacked_are_as_they_should_be(
    tmp_path: Path, options: dict[str, Any], libver: str
) -> None:
    judge(noise(tmp_path / "a.h5", chunks=(1000,), **options))
    with h5py.File(tmp_path / "b.h5", "w", libver=libver) as file:
        data = file.create_dataset("data", (950,), "i4", chunks=(100,), maxshape=(None,), **options)
        data[:] = 1
        every = (1 << len(options)) - 1 if "fletcher32" not in options else 0
        data.id.write_direct_chunk((300,), bytes(400 if every else data.id.get_chunk_info(3).size), every)
    judge(tmp_path / "b.h5")


def written(path: Path, shape: tuple[int, ...], chunks: Any, *places: Any, **options: Any) -> h5py.Dataset:
    with h5py.File(path, "w", libver="latest") as file:
        data = file.create_dataset("data", shape, "i2", chunks=chunks, **options)
        for place in places:
            data[place] = 1
    return h5py.File(path)["data"]


def test_what_was_never_written_is_told_in_order_and_merged(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    assert unwritten_ranges(written(path, (95, 2), (10, 2), np.s_[30:40], np.s_[80:]), 0) == [
        (0, 30),
        (40, 80),
    ]
    assert unwritten_ranges(written(path, (95, 2), (10, 2), np.s_[0:41]), 0) == [(50, 95)]
    assert unwritten_ranges(written(path, (95, 2), (10, 1), np.s_[:, 0], np.s_[:50, 1]), 0) == [(50, 95)]
    assert unwritten_ranges(written(path, (3, 95), (1, 10), np.s_[:2], np.s_[2, :20]), 1) == [(20, 95)]
    assert unwritten_ranges(written(path, (3, 95), (1, 10), np.s_[:2], np.s_[2, :20]), 0) == [(2, 3)]
    assert unwritten_ranges(written(path, (95, 2), (10, 2)), 0) == [(0, 95)]


def test_nothing_is_missing_from_what_is_whole_contiguous_or_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    assert unwritten_ranges(written(path, (95, 2), (10, 2), np.s_[:]), 0) == []
    assert unwritten_ranges(written(path, (95, 2), None, np.s_[:10]), 0) == []
    assert unwritten_ranges(written(path, (0, 2), (10, 2), maxshape=(None, 2)), 0) == []


def test_looking_for_what_is_missing_takes_time_in_proportion(tmp_path: Path) -> None:
    data = written(tmp_path / "a.h5", (200_000,), (10,), np.s_[:100_000], np.s_[100_010:])
    began = time.process_time()
    assert unwritten_ranges(data, 0) == [(100_000, 100_010)]
    assert time.process_time() - began < 2.0  # 20,000 chunks: about 0.02 s; asking by number, 10 s


@pytest.mark.parametrize(("axis", "shape", "chunks"), [(0, (100, 2), (10, 2)), (1, (2, 100), (1, 10))])
def test_damaged_chunks_are_found_along_an_axis(
    tmp_path: Path, axis: int, shape: tuple[int, int], chunks: tuple[int, int]
) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        values = np.arange(200, dtype="i2").reshape(shape)
        places = file.create_dataset("data", data=values, chunks=chunks, fletcher32=True).id
        first = {2: None, 3: None, 7: None}
        for number in first:
            start = (10 * number, 0) if axis == 0 else (1, 10 * number)
            first[number] = places.get_chunk_info_by_coord(start).byte_offset
    content = bytearray(path.read_bytes())
    for place in first.values():
        content[place] ^= 1
    path.write_bytes(content)
    with h5py.File(path) as file:
        assert damaged_chunks(file["data"], 0, 100, axis) == [(20, 40), (70, 80)]
        assert damaged_chunks(file["data"], 35, 79, axis) == [(30, 40), (70, 80)]
        assert damaged_chunks(file["data"], 40, 70, axis) == []


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "gzip", "shuffle": True, "fletcher32": True},
        {"compression": "lzf"},
        {"scaleoffset": 0},
        {},
    ],
)
def test_filters_of_hdf5_itself_are_allowed(tmp_path: Path, options: dict[str, Any]) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=np.arange(1000), **options)
    judge(path)


def test_a_foreign_filter_is_refused_by_its_number(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        space = h5py.h5s.create_simple((1000,))
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((100,))
        # Optional, so that HDF5 without bitshuffle writes the chunks plainly; the flag stays in the file.
        properties.set_filter(32008, h5py.h5z.FLAG_OPTIONAL, (0, 2))
        made = h5py.h5d.create(file.id, b"data", h5py.h5t.STD_I16LE, space, dcpl=properties)
        h5py.Dataset(made)[:] = 1
    with refused(path, "filter", "32008", "gzip", inside="/data"):
        judge(path)


def vlen(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file.create_dataset("data", (3,), h5py.vlen_dtype("u1"))[0] = [1, 2]
        file["text"] = ["a", "bc"]
        kind = np.dtype([("a", "i4"), ("b", h5py.vlen_dtype("u1"))])
        file.create_dataset("table", (3,), kind)[0] = (1, np.array([1], "u1"))
    return path


def test_sequences_of_variable_length_are_refused_unless_allowed_and_text_is_fine(
    tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = vlen(tmp_path / "a.h5")
    with refused(path, "variable length", "SENSORKD_ALLOW=vlen", inside="/data"):
        judge(path)
    with GuardedFile(path) as file:
        assert file.dataset("/text")[1] == b"bc"
        with refused(path, "column 'b' holds sequences of variable length", inside="/table"):
            file.dataset("/table")
    monkeypatch.setenv("SENSORKD_ALLOW", "vlen")
    with GuardedFile(path) as file:
        assert file.dataset("/data")[0].tolist() == [1, 2]
        file.dataset("/table")


def test_a_time_type_that_nothing_can_read_is_told(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        h5py.h5d.create(file.id, b"data", h5py.h5t.UNIX_D32LE, h5py.h5s.create_simple((3,)))
    with refused(path, "HDF5's own type for times", inside="/data"):
        judge(path)
