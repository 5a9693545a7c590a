"""Hands out batches in order while a thread gathers the next ones.

One thread is enough: gathering copies bytes without the interpreter's lock. Worker processes would copy
every batch twice more.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from sensorkd.training.batches import ArrayDataset, Batch, BatchSource, WindowSource, collate

__all__ = ["Waiting", "batches_of", "prefetched"]

AHEAD = 2
Memory = Mapping[str, NDArray[Any]]
Rows = Sequence[Sequence[int]]


def batches_of(windows: WindowSource, order: Rows) -> Iterator[Batch]:
    """The batches of rows in this order; close the iterator, or read it to its end.

    What is not in memory is gathered ahead by a thread. Its inputs are valid until the next batch is asked
    for, then their memory is used again.
    """
    if isinstance(windows, ArrayDataset):
        return _in_turn(windows, order) if windows.in_memory else prefetched(windows, order)
    return _in_turn(windows, order)


def _in_turn(windows: WindowSource, order: Rows) -> Iterator[Batch]:
    for rows in order:
        if isinstance(windows, BatchSource):
            yield collate(windows.__getitems__(rows))
        else:
            yield collate([windows[row] for row in rows])


class Waiting:
    """Batches, and the seconds for which whoever asks for them has waited; closes them at the end."""

    def __init__(self, batches: Iterator[Batch]) -> None:
        self._batches = batches
        self.seconds = 0.0

    def __enter__(self) -> Waiting:
        return self

    def __exit__(self, *_: object) -> None:
        if isinstance(self._batches, Generator):
            self._batches.close()

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        begun = time.perf_counter()
        try:
            return next(self._batches)
        finally:
            self.seconds += time.perf_counter() - begun


def prefetched(windows: ArrayDataset, order: Rows, *, ahead: int = AHEAD) -> Iterator[Batch]:
    """The batches of rows, gathered by a thread up to `ahead` of them before they are asked for.

    An error met while gathering is raised when its batch is due. The thread ends with the iterator: at the
    end, at an error, and when it is closed.
    """
    return _Prefetch(windows, order, ahead).batches()


class _Prefetch:
    """A thread, the memory it may fill (`free`), and the batches that are ready."""

    def __init__(self, windows: ArrayDataset, order: Rows, ahead: int) -> None:
        self._windows, self._order = windows, order
        longest = max(map(len, order), default=0)
        self._free: queue.Queue[Memory | None] = queue.Queue()
        # One that is used, and one that is being filled, beside those that are ready.
        for _ in range(min(len(order), ahead + 2)):
            self._free.put(windows.blank(longest))
        self._stop = threading.Event()
        self._ready: queue.Queue[tuple[Batch, Memory] | BaseException] = queue.Queue()

    def batches(self) -> Iterator[Batch]:
        thread = threading.Thread(target=self._gather, name="sensorkd-prefetch", daemon=True)
        thread.start()
        try:
            for _ in self._order:
                item = self._ready.get()
                if isinstance(item, BaseException):
                    raise item
                batch, memory = item
                yield batch
                self._free.put(memory)
        finally:
            self._stop.set()
            self._free.put(None)
            thread.join()

    def _gather(self) -> None:
        """In the thread: fill what is free, until all is done or nobody wants more."""
        try:
            for rows in self._order:
                memory = self._free.get()
                if memory is None or self._stop.is_set():
                    return
                part = {name: values[: len(rows)] for name, values in memory.items()}
                self._ready.put((self._windows.gather(rows, part), memory))
        except BaseException as error:
            self._ready.put(error)
