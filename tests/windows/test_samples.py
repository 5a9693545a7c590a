from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from sensorkd.windows.mapped import CacheError, MappedSamples, checksum, map_array
from sensorkd.windows.samples import LazySamples, SomeRows, gather

VALUES = np.arange(5 * 3 * 2, dtype=np.int16).reshape(5, 3, 2)


def mapped(folder: Path) -> MappedSamples:
    path = folder / "input0.raw"
    path.write_bytes(VALUES.tobytes())
    return MappedSamples(path, "<i2", VALUES.shape, np.array([checksum(item) for item in VALUES], np.uint32))


@pytest.mark.parametrize("lazy", [False, True])
def test_rows_are_gathered_into_memory_that_is_there(tmp_path: Path, lazy: bool) -> None:
    out = np.full((3, 3, 2), -1, np.int16)
    gather(mapped(tmp_path) if lazy else VALUES, np.array([4, 0, 4]), out)
    np.testing.assert_array_equal(out, VALUES[[4, 0, 4]])
    for bad in (-1, 5):
        with pytest.raises(IndexError):
            gather(mapped(tmp_path) if lazy else VALUES, np.array([bad]), out[:1])


def test_some_rows_are_an_array_of_which_nothing_was_copied(tmp_path: Path) -> None:
    some = SomeRows(SomeRows(mapped(tmp_path), np.array([3, 1, 0, 4])), np.array([3, 0]))
    assert (some.shape, some.dtype, len(some)) == ((2, 3, 2), np.int16, 2)
    np.testing.assert_array_equal(some, VALUES[[4, 3]])
    np.testing.assert_array_equal(some[1], VALUES[3])
    np.testing.assert_array_equal(some[np.array([True, False])], VALUES[[4]])
    np.testing.assert_array_equal(np.asarray(some, dtype=np.float32), VALUES[[4, 3]].astype(np.float32))
    np.testing.assert_array_equal(SomeRows(VALUES, np.array([2]))[:], VALUES[[2]])


def test_mapped_samples_are_plain_arrays_that_cannot_be_written(tmp_path: Path) -> None:
    array = map_array(mapped(tmp_path).path, "<i2", VALUES.shape)
    assert type(array) is np.ndarray
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


def test_mapped_samples_are_pickled_as_the_name_of_their_file(tmp_path: Path) -> None:
    samples: LazySamples = mapped(tmp_path)
    packed = pickle.dumps(SomeRows(samples, np.array([2, 1])))
    assert VALUES[2].tobytes() not in packed
    np.testing.assert_array_equal(pickle.loads(packed), VALUES[[2, 1]])


@pytest.mark.parametrize("bit", [0, 7, 8 * (VALUES.nbytes // 2), 8 * VALUES.nbytes - 1])
def test_a_flipped_bit_is_told_when_its_window_is_first_read(tmp_path: Path, bit: int) -> None:
    samples = mapped(tmp_path)
    content = bytearray(samples.path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    samples.path.write_bytes(content)
    row = bit // 8 // VALUES[0].nbytes
    others = np.delete(np.arange(5), row)
    np.testing.assert_array_equal(samples[others], VALUES[others])
    with pytest.raises(CacheError, match="not what was written") as caught:
        samples[row]
    assert caught.value.inside == f"window {row}" and f"remove the folder {tmp_path}" in str(caught.value)


def test_a_file_that_is_cut_is_not_mapped(tmp_path: Path) -> None:
    samples = mapped(tmp_path)
    samples.path.write_bytes(VALUES.tobytes()[:-1])
    with pytest.raises(CacheError, match="59 bytes") as caught:
        map_array(samples.path, "<i2", VALUES.shape)
    assert caught.value.expected == "60 bytes"
