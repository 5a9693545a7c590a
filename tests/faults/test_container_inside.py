"""What goes wrong with what a file holds: each fault is made for real, and the message is read."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sensorkd.recordings import RecordingWriter, open_recordings
from sensorkd.timeline import SECOND
from tests.faults.lab import lab, made, made_with_filter

Refused = Callable[..., Any]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lab.h5"


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A file of this computer that no archive may reach, in raw bytes that are also samples."""
    path = tmp_path / "secret.h5"
    with h5py.File(path, "w") as file:
        file["data"] = np.arange(200, dtype=np.int16).reshape(100, 2)
    return path


def test_fault_09_a_missing_filter_is_named_when_the_file_is_opened(
    path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_with_filter(path, 32015)
    with refused(path, "not allowed", "zstd (id 32015)", "SENSORKD_ALLOW=32015", inside="/data"):
        open_recordings(path, lab())
    monkeypatch.setenv("SENSORKD_ALLOW", "zstd")
    if not h5py.h5z.filter_avail(32015):
        with refused(path, "not installed", "zstd (id 32015)", "hdf5plugin", inside="/data"):
            open_recordings(path, lab())


def pointing_at(path: Path, other: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("data", (100, 2), "i2", external=[(str(other), 0, 400)])


def test_fault_10_external_storage_is_refused_and_not_a_byte_read(
    path: Path, other: Path, refused: Refused
) -> None:
    pointing_at(path, other)
    with h5py.File(path) as file:  # h5py itself reads it in silence
        assert file["data"][:2].tobytes() == b"\x89HDF\r\n\x1a\n"
    os.utime(other, ns=(1, 1))
    with refused(path, "external storage", "secret.h5", "any file of this computer", inside="/data"):
        open_recordings(path, lab())
    assert other.stat().st_atime_ns == 1


def test_fault_11_nothing_is_opened_for_writing_so_the_other_file_is_untouched(
    path: Path, other: Path, refused: Refused
) -> None:
    pointing_at(path, other)
    before = other.read_bytes()
    with refused(path, "external storage"):
        open_recordings(path, lab())
    with refused(path, "exists already", "none is overwritten"):
        RecordingWriter(path)
    assert other.read_bytes() == before


@pytest.mark.parametrize("samples", ["outside", "deep/outside/data", "deep/soft/data"])
def test_fault_12_an_external_link_is_refused_at_the_end_and_in_the_middle_of_a_path(
    path: Path, other: Path, refused: Refused, samples: str
) -> None:
    with h5py.File(path, "w") as file:
        file["outside"] = h5py.ExternalLink(other.name, "/data")
        file["deep/outside"] = h5py.ExternalLink(other.name, "/")
        file["deep/soft"] = h5py.SoftLink("/deep/outside")
    with h5py.File(path) as file:  # h5py itself follows it in silence
        assert file[samples].shape == (100, 2)
    with refused(path, "external link", "secret.h5:/"):
        open_recordings(path, lab(samples))


def test_fault_12_a_soft_link_inside_the_file_is_followed_to_a_depth(path: Path, refused: Refused) -> None:
    with h5py.File(made(path), "r+") as file:
        for number in range(10):
            file[f"link{number}"] = h5py.SoftLink(f"/link{number - 1}" if number else "/data")
    assert open_recordings(path, lab("link7"))[0].streams["shake"].read(1, 2).tolist() == [[2, 3]]
    with refused(path, "without an end", "at most 8"):
        open_recordings(path, lab("link8"))


def test_fault_13_loops_and_cycles_are_refused(
    path: Path, write_archive: Any, heat: Any, refused: Refused
) -> None:
    with h5py.File(path, "w") as file:
        file["a"], file["b"] = h5py.SoftLink("/b"), h5py.SoftLink("/a")
    with refused(path, "without an end", inside="/a"):
        open_recordings(path, lab("a"))
    archive = write_archive({"t": heat()})
    with h5py.File(archive, "r+") as file:
        file["monday/streams/t/back"] = file["monday"]
    with refused(archive, "cycle", inside="/monday/streams/t/back"):
        open_recordings(archive)


@pytest.mark.parametrize("present", [True, False])
def test_fault_14_a_virtual_dataset_is_refused_never_zeros(
    path: Path, other: Path, refused: Refused, present: bool
) -> None:
    sources = h5py.VirtualLayout((100, 2), "i2")
    sources[:] = h5py.VirtualSource(other.name, "data", (100, 2))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("data", sources)
    if not present:
        other.unlink()
    with refused(path, "virtual dataset", "secret.h5", inside="/data"):
        open_recordings(path, lab())


def test_fault_16_chunks_never_written_are_a_gap_not_zeros(path: Path) -> None:
    with h5py.File(path, "w") as file:
        data = file.create_dataset("data", (1000, 2), "i2", chunks=(100, 2))
        data[:300], data[500:] = 1, 2
    stream = open_recordings(path, lab())[0].streams["shake"]
    assert stream.segments.offset.tolist() == [0, 500]
    assert stream.segments.count.tolist() == [300, 500]
    assert stream.segments.t0.tolist() == [0, 10 * SECOND]


def test_fault_17_a_bomb_is_refused_by_its_chunk(path: Path, refused: Refused) -> None:
    with h5py.File(path, "w") as file:
        data = file.create_dataset("data", (2**30, 2), "i2", chunks=(2**30 - 1, 2), compression="gzip")
        data.id.write_direct_chunk((0, 0), bytes(4_200_000))  # zeros pack to about a thousandth
    with refused(path, "chunk is too large", "4,294,967,292 bytes", "268,435,456 bytes", inside="/data"):
        open_recordings(path, lab())


def test_fault_17_a_small_chunk_that_unpacks_without_an_end_is_refused(path: Path, refused: Refused) -> None:
    made(path, chunks=(100, 2), compression="gzip")
    with h5py.File(path, "r+") as file:
        file["data"].id.write_direct_chunk((500, 0), zlib.compress(bytes(1 << 24)))
    with h5py.File(path) as file:  # HDF5 itself unpacks all 16 MiB for a chunk of 400 bytes
        assert not file["data"][500:600].any()
    with refused(path, "a size that it cannot have", "(500, 0)", "holds 400", inside="/data"):
        open_recordings(path, lab())


@pytest.mark.parametrize(("code", "name"), [(32001, "blosc"), (32008, "bitshuffle")])
def test_fault_18_a_codec_that_crashes_on_damage_is_never_called(
    path: Path, refused: Refused, code: int, name: str
) -> None:
    made_with_filter(path, code)
    with h5py.File(path, "r+") as file:
        file["data"].id.write_direct_chunk((0, 0), b"\xff" * 300)
    with refused(path, "filter", f"{name} (id {code})", inside="/data"):
        open_recordings(path, lab())


def test_fault_19_what_is_missing_is_answered_with_what_is_there(path: Path, refused: Refused) -> None:
    with refused(made(path), "nothing here", "beside it: data", "did you mean 'data'", inside="/date"):
        open_recordings(path, lab("date"))


def reference(file: h5py.File) -> h5py.Dataset:
    return file.create_dataset("data", data=[[file.ref]], dtype=h5py.ref_dtype)


KINDS: list[tuple[Callable[[h5py.File], Any], str]] = [
    (reference, "references to other objects"),
    (lambda file: file.create_dataset("data", (9, 2), h5py.enum_dtype({"OFF": 0, "ON": 1}))[:], "(OFF, ON)"),
    (lambda file: file.create_dataset("data", data=np.zeros((9, 2), "V4")), "|V4"),
    (lambda file: file.create_dataset("data", data=np.zeros((9, 2), "c8")), "complex64"),
    (lambda file: file.create_dataset("data", data=np.zeros((9, 2), "?")), "bool"),
    (lambda file: file.create_dataset("data", data=np.zeros((9, 2), [("x", "f4")])), "[('x', '<f4')]"),
    (lambda file: file.create_dataset("data", data=[["a", "b"]]), "dtype object"),
    (lambda file: file.create_dataset("data", data=np.zeros(9)), "1 dimensions"),
    (lambda file: file.create_group("data"), "a group"),
]


@pytest.mark.parametrize(("make", "told"), KINDS)
def test_fault_20_what_cannot_be_samples_is_told_with_what_is_expected(
    path: Path, refused: Refused, make: Callable[[h5py.File], Any], told: str
) -> None:
    with h5py.File(path, "w") as file:
        made = make(file)
        if isinstance(made, np.ndarray):
            file["data"][:] = 1
    with refused(path, told, inside="/data"):
        open_recordings(path, lab())


def test_fault_20_only_what_the_layout_names_is_judged(path: Path, other: Path) -> None:
    made(path)
    with h5py.File(path, "r+") as file:
        file.create_dataset("notes", (3,), h5py.vlen_dtype("u1"))[0] = [1, 2]
        file.create_dataset("elsewhere", (9,), "u1", external=[(str(other), 0, 9)])
        file["link"] = h5py.ExternalLink(other.name, "/data")
    assert open_recordings(path, lab())[0].streams["shake"].read(0, 1).tolist() == [[0, 1]]
