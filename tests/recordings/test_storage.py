from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sensorkd.recordings import storage
from sensorkd.recordings.guard import GuardedFile

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


def test_a_huge_chunk_is_refused(tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "MAX_CHUNK_BYTES", 1 << 20)
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        rng = np.random.default_rng(0)
        file.create_dataset("data", data=rng.integers(0, 255, (3 << 20,), "u1"), chunks=(2 << 20,))
    with refused(path, "chunk", "2,097,152 bytes", "1,048,576 bytes", inside="/data"):
        judge(path)


def test_the_chunk_cap_is_a_gibibyte() -> None:
    assert storage.MAX_CHUNK_BYTES == 2**30


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
