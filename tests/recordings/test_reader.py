from __future__ import annotations

import multiprocessing
import os
import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sensorkd.errors import ArchiveError, SensorkdError
from sensorkd.recordings import Recording, open_recordings


def bytes_read() -> int:
    line = next(line for line in Path("/proc/self/io").read_text().splitlines() if line.startswith("rchar"))
    return int(line.split()[1])


def test_opening_reads_no_samples(write_archive: Any, shake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_archive({"acceleration": shake()})
    touched: list[str] = []
    honest = h5py.Dataset.__getitem__

    def counted(self: h5py.Dataset, *args: Any, **options: Any) -> Any:
        touched.append(self.name)
        return honest(self, *args, **options)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", counted)
    (recording,) = open_recordings(path)
    assert touched == ["/monday/streams/acceleration/segments"]
    recording.streams["acceleration"].read(3, 5)
    assert touched[1:] == ["/monday/streams/acceleration/samples"]


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="needs Linux's account of bytes read")
def test_opening_and_reading_a_moment_costs_little_of_a_large_file(write_archive: Any) -> None:
    noise = np.random.default_rng(0).integers(0, 2**15, (600_000, 3), dtype=np.int16)
    path = write_archive({"s": {"samples": noise, "rate": 1e4, "modality": "acceleration", "unit": "g"}})
    assert path.stat().st_size > 3_000_000
    before = bytes_read()
    (recording,) = open_recordings(path)
    opened = bytes_read()
    np.testing.assert_array_equal(recording.streams["s"].read(300_000, 300_100), noise[300_000:300_100])
    assert opened - before < 200_000
    assert bytes_read() - opened < 500_000


def test_a_gigantic_file_that_was_really_allocated_opens_without_being_read(
    tmp_path: Path, layout_file: Any
) -> None:
    # Contiguous and allocated early, so HDF5 vouches for every byte; on disk it is sparse.
    path = tmp_path / "week.h5"
    with h5py.File(path, "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = h5py.h5s.create_simple((10**9, 3))
        h5py.h5d.create(file.id, b"data", h5py.h5t.STD_I16LE, space, dcpl=properties)
    assert path.stat().st_size > 5 * 10**9
    (recording,) = open_recordings(path, layout_file())
    assert recording.streams["shake"].read(10**9 - 2, 10**9).tolist() == [[0, 0, 0]] * 2


def _first_value(recording: Recording) -> list[int]:
    return [int(value) for value in recording.streams["acceleration"].read(7, 8)[0]]


def test_a_recording_is_read_in_a_process_of_its_own(record: Any, shake: Any) -> None:
    recording = record({"acceleration": shake()})
    copy = pickle.loads(pickle.dumps(recording))
    assert _first_value(copy) == [7, -7]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_first_value, (recording,)) == [7, -7]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_recording_opened_before_a_fork_is_read_after_it_by_both(record: Any, shake: Any) -> None:
    recording = record({"acceleration": shake(seconds=200.0)})
    assert _first_value(recording) == [7, -7]  # opens the file in this process
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        good = all(
            recording.streams["acceleration"].read(index, index + 1)[0, 0] == index
            for index in range(0, 20_000, 97)
        )
        os.write(send, b"good" if good else b"bad")
        os._exit(0)
    mine = all(
        recording.streams["acceleration"].read(index, index + 1)[0, 0] == index
        for index in range(0, 20_000, 89)
    )
    os.waitpid(child, 0)
    assert os.read(receive, 10) == b"good"
    assert mine
    os.close(receive)
    os.close(send)


def test_a_file_that_was_replaced_is_never_read_from_the_old_one(
    write_archive: Any, shake: Any, tmp_path: Path
) -> None:
    path = write_archive({"acceleration": shake()})
    (old,) = open_recordings(path)
    assert _first_value(old) == [7, -7]
    path.unlink()
    write_archive({"acceleration": shake(samples=np.full((1000, 2), 5, np.int16))})
    (new,) = open_recordings(path)
    assert _first_value(new) == [5, 5]
    path.unlink()
    write_archive({"acceleration": shake(seconds=3.0)})
    with pytest.raises(ArchiveError, match=r"changed its shape(.|\n)*\(300, 2\)(.|\n)*\(1000, 2\)"):
        _first_value(new)
    path.unlink()
    with pytest.raises(ArchiveError, match="no such file"):
        _first_value(new)


def test_a_flipped_bit_in_a_chunk_is_told_and_the_rest_is_read(write_archive: Any, shake: Any) -> None:
    path = write_archive({"acceleration": shake()})
    with h5py.File(path) as file:
        chunk = file["monday/streams/acceleration/samples"].id.get_chunk_info(1)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 4
    path.write_bytes(content)
    (recording,) = open_recordings(path)
    stream = recording.streams["acceleration"]
    assert stream.read(0, 400)[:, 0].tolist() == list(range(400))
    with pytest.raises(ArchiveError, match=r"damaged here(.|\n)*to mend") as caught:
        stream.read(399, 401)
    assert caught.value.inside == "/monday/streams/acceleration/samples[399:401]"


def test_ids_hold_the_path_below_the_folder_that_was_opened(
    write_archive: Any, heat: Any, tmp_path: Path
) -> None:
    write_archive({"t": heat()}, name="plant/a.h5", recordings=("mon", "tue"))
    write_archive({"t": heat()}, name="plant/east/a.h5")
    assert [item.id for item in open_recordings(tmp_path / "plant")] == [
        "a.h5::mon",
        "a.h5::tue",
        "east/a.h5::monday",
    ]
    paths = [tmp_path / "plant" / "east" / "a.h5", tmp_path / "plant" / "a.h5"]
    assert [item.id for item in open_recordings(paths)] == ["a.h5::monday", "a.h5::mon", "a.h5::tue"]


def test_one_id_from_two_files_is_an_error_naming_both(
    write_archive: Any, heat: Any, tmp_path: Path, refused: Any
) -> None:
    first = write_archive({"t": heat()}, name="east/a.h5")
    second = write_archive({"t": heat()}, name="west/a.h5")
    with refused(second, "'a.h5::monday'", str(first), "common folder"):
        open_recordings([first, second])


def test_what_h5py_raises_on_damage_becomes_an_archive_error(
    write_archive: Any, heat: Any, refused: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_archive({"t": heat()})
    for raised in (RuntimeError("B-tree"), KeyError("address"), OSError("overflow"), ValueError("shape")):

        def broken(*args: Any, raised: Exception = raised) -> Any:
            raise raised

        monkeypatch.setattr("sensorkd.recordings.reader.read_archive", broken)
        with refused(path, "structure is damaged", type(raised).__name__):
            open_recordings(path)


def test_a_dangling_link_and_a_pipe_are_errors_of_their_own(
    write_archive: Any, heat: Any, tmp_path: Path
) -> None:
    write_archive({"t": heat()}, name="plant/a.h5")
    (tmp_path / "plant" / "m01.h5").symlink_to("gone.h5")
    os.mkfifo(tmp_path / "plant" / "pipe.h5")
    (tmp_path / "plant" / "turns.h5").symlink_to("turns.h5")
    errors: list[SensorkdError] = []
    assert [item.id for item in open_recordings(tmp_path / "plant", on_error=errors.append)] == [
        "a.h5::monday"
    ]
    assert [(Path(str(error.file)).name, error.problem) for error in errors] == [
        (name, "not a regular file") for name in ("m01.h5", "pipe.h5", "turns.h5")
    ]
    assert all(error.found and error.expected and error.mend for error in errors)
    assert "a link to gone.h5, which leads nowhere" in str(errors[0])
    with pytest.raises(ArchiveError, match="a pipe"):
        open_recordings(tmp_path / "plant" / "pipe.h5")


def test_folders_behind_links_and_with_the_name_of_an_archive_are_searched(
    write_archive: Any, heat: Any, tmp_path: Path
) -> None:
    write_archive({"t": heat()}, name="disk/a.h5")
    write_archive({"t": heat()}, name="plant/day.h5/b.h5")
    (tmp_path / "plant" / "archive").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "back").symlink_to(tmp_path / "plant")
    ids = [item.id for item in open_recordings(tmp_path / "plant")]
    assert ids == ["archive/a.h5::monday", "day.h5/b.h5::monday"]


def test_a_file_with_several_names_is_opened_once_by_the_name_that_is_no_link(
    write_archive: Any, heat: Any, tmp_path: Path
) -> None:
    write_archive({"t": heat()}, name="plant/2025/a.h5")
    (tmp_path / "plant" / "0-newest.h5").symlink_to("2025/a.h5")
    (tmp_path / "plant" / "0-current").symlink_to("2025")
    assert [item.id for item in open_recordings(tmp_path / "plant")] == ["2025/a.h5::monday"]


@pytest.mark.parametrize("store", [".store/8f3a", ".store/8f3a.h5", "store/8f3a"])
def test_links_into_a_store_beside_them_name_its_files(
    write_archive: Any, heat: Any, tmp_path: Path, store: str
) -> None:
    write_archive({"t": heat()}, name=f"plant/{store}")
    (tmp_path / "plant" / "m01.h5").symlink_to(store)
    assert [item.id for item in open_recordings(tmp_path / "plant")] == ["m01.h5::monday"]


def test_a_folder_with_nothing_but_an_unfinished_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.h5.part").write_bytes(b"x")
    with pytest.raises(ArchiveError, match=r"no archives(.|\n)*a\.h5\.part(.|\n)*start it there again"):
        open_recordings(tmp_path)
