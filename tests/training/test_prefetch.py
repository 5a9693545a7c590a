"""Batches gathered ahead by a thread: the same ones, in the same order, and no thread is left behind."""

from __future__ import annotations

import multiprocessing
import pickle
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from sensorkd.training.batches import ArrayDataset, collate
from sensorkd.training.checkpoint import load_tensors
from sensorkd.training.loop import train
from sensorkd.training.prefetch import Waiting, batches_of, prefetched

COUNT = 20


class Slow:
    """Samples that are not in memory; a window may be one that cannot be read."""

    def __init__(self, values: np.ndarray, *, bad: int | None = None, seconds: float = 0.0) -> None:
        self.values, self.bad, self.seconds, self.gathered = values, bad, seconds, 0

    shape = property(lambda self: self.values.shape)
    dtype = property(lambda self: self.values.dtype)

    def __len__(self) -> int:
        return len(self.values)

    def gather(self, rows: np.ndarray, out: np.ndarray) -> None:
        time.sleep(self.seconds)
        if self.bad is not None and self.bad in rows:
            raise OSError("this window cannot be read")
        self.gathered += 1
        out[:] = self.values[rows]


def values() -> np.ndarray:
    return np.arange(COUNT * 3, dtype=np.int16).reshape(COUNT, 3, 1)


def dataset(x: Any) -> ArrayDataset:
    ids = np.arange(COUNT, dtype=np.uint64)
    return ArrayDataset({"x": x}, np.ones((COUNT, 1)), np.arange(COUNT) % 3, window_id=ids)


def order(seed: int = 0, batches: int = 30) -> list[list[int]]:
    return np.random.default_rng(seed).integers(0, COUNT, (batches, 4)).tolist()


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "prefetch" in thread.name]


@pytest.mark.parametrize("ahead", [0, 1, 2, 9])
def test_batches_come_in_order_whatever_is_gathered_ahead(ahead: int) -> None:
    rows = [*order(), [7]]  # the last one is shorter
    found = [
        {name: part.clone() for name, part in batch.items()}
        for batch in prefetched(dataset(Slow(values())), rows, ahead=ahead)
    ]
    for batch, chosen, plain in zip(found, rows, batches_of(dataset(values()), rows), strict=True):
        assert batch["window_id"].tolist() == chosen
        assert batch.keys() == plain.keys()
        assert all(torch.equal(batch[name], plain[name]) for name in plain)
    assert threads() == []


def test_a_batch_stays_as_it_is_until_the_next_is_asked_for() -> None:
    batches = prefetched(dataset(Slow(values())), order())
    for rows, batch in zip(order(), batches, strict=True):
        time.sleep(0.002)  # the thread has gone ahead as far as it may
        np.testing.assert_array_equal(batch["x"].numpy(), values()[rows])


def test_an_error_is_raised_when_its_batch_is_due_and_the_thread_ends() -> None:
    rows = [[0, 1], [2, 3], [4, 13], [5, 6]]
    batches = prefetched(dataset(Slow(values(), bad=13)), rows)
    assert [next(batches)["window_id"].tolist() for _ in range(2)] == rows[:2]
    with pytest.raises(OSError, match="cannot be read"):
        next(batches)
    assert threads() == []
    assert list(batches) == []


def test_no_thread_is_left_by_who_stops_early() -> None:
    slow = Slow(values(), seconds=0.01)
    with pytest.raises(KeyboardInterrupt), Waiting(batches_of(dataset(slow), order())) as batches:
        for _ in batches:
            raise KeyboardInterrupt
    assert threads() == []
    assert slow.gathered < 8


def test_what_is_in_memory_needs_no_thread() -> None:
    for _ in batches_of(dataset(values()), order()):
        assert threads() == []
    for _ in batches_of(dataset(Slow(values())), order()):
        assert threads() == ["sensorkd-prefetch"]
        break


def test_the_time_for_which_batches_were_waited_for_is_told() -> None:
    with Waiting(prefetched(dataset(Slow(values(), seconds=0.02)), order(batches=5), ahead=0)) as batches:
        assert len(list(batches)) == 5
    assert 0.08 < batches.seconds < 20


def test_training_from_samples_that_are_not_in_memory_is_the_same_bit_for_bit(
    make_layered: Any, make_windows: Any, make_recipe: Any, tmp_path: Path
) -> None:
    plain, lazy = make_windows(), make_windows()
    lazy._inputs = {name: Slow(array) for name, array in lazy._inputs.items()}
    assert (plain.in_memory, lazy.in_memory) == (True, False)
    for name, windows in (("plain", plain), ("lazy", lazy)):
        train(make_layered(), windows, make_recipe("lsskd"), tmp_path / name, dev=windows)
    first, second = (load_tensors(tmp_path / name / "averaged.safetensors")[0] for name in ("plain", "lazy"))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert threads() == []


def test_some_windows_of_a_dataset_share_its_samples() -> None:
    some = dataset(values()).select(np.array([5, 3, 8])).select(np.array([2, 0]))
    assert len(some) == 2
    assert some.labels.tolist() == [8 % 3, 5 % 3]
    np.testing.assert_array_equal(some[:]["x"].numpy(), values()[[8, 5]])
    np.testing.assert_array_equal(some[-1]["x"].numpy(), values()[5])
    for bad in (2, -3):
        with pytest.raises(IndexError):
            some[bad]
    with pytest.raises(IndexError):
        some.__getitems__([0, 2])


def total(windows: ArrayDataset) -> int:
    return int(windows[:]["x"].sum())


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_dataset_crosses_processes(method: str) -> None:
    windows = dataset(Slow(values()))
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply(total, (windows,)) == int(values().sum())
    assert total(pickle.loads(pickle.dumps(windows))) == int(values().sum())


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_data_loader_gives_the_same_batches_with_any_number_of_workers(workers: int) -> None:
    loader = DataLoader(
        dataset(Slow(values())),
        batch_size=6,
        collate_fn=collate,
        num_workers=workers,
        multiprocessing_context="forkserver" if workers else None,
    )
    found = torch.cat([batch["x"].clone() for batch in loader])
    np.testing.assert_array_equal(found.numpy(), values())
