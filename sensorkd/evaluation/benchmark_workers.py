"""Processes that run one cell after another; one that crashes takes only its cell with it.

Unlike `processes.in_children`, a worker lives on: torch is loaded once, and windows of a fold are read once.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Literal

from sensorkd.errors import SensorkdError
from sensorkd.processes import without_main

__all__ = ["Outcome", "Workers"]

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True)
class Outcome:
    """What came of an item: a result, or text that says what went wrong."""

    item: Any
    kind: Literal["done", "failed", "crashed"]
    value: Any


@dataclass(frozen=True)
class _Worker:
    process: BaseProcess
    pipe: Connection


class Workers:
    """At most `jobs` processes of one thread each, started when there is work for them.

    function: called with an item in a worker; both are picklable. Leaving the context ends them at once:
    what they were at must stand that.
    """

    def __init__(self, function: Callable[[Any], Any], jobs: int) -> None:
        self._function, self._jobs = function, max(1, jobs)
        self._idle: list[_Worker] = []
        self._busy: dict[Connection, tuple[_Worker, Any]] = {}

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in [*self._idle, *(worker for worker, _ in self._busy.values())]:
            worker.process.kill()
            _end(worker)
        self._idle, self._busy = [], {}

    @property
    def free(self) -> bool:
        """Whether another item can be begun now."""
        return len(self._busy) < self._jobs

    @property
    def at_work(self) -> list[Any]:
        """Items that were begun and not told of."""
        return [item for _, item in self._busy.values()]

    def begin(self, item: Any) -> None:
        """Hand an item to a worker that is idle, or to a new one."""
        worker = self._idle.pop() if self._idle else _started(self._function)
        self._busy[worker.pipe] = (worker, item)
        with contextlib.suppress(OSError):  # it is gone: its outcome will tell
            worker.pipe.send(item)

    def outcomes(self) -> Iterator[Outcome]:
        """Wait until an item is done, and yield all that are."""
        for pipe in wait(list(self._busy)):
            assert isinstance(pipe, Connection)
            worker, item = self._busy.pop(pipe)
            try:
                kind, value = pipe.recv()
            except (EOFError, OSError):
                worker.process.join()
                yield Outcome(item, "crashed", _how(worker.process.exitcode))
                _end(worker)
                continue
            self._idle.append(worker)
            yield Outcome(item, kind, value)


def _started(function: Callable[[Any], Any]) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(function, theirs))
    # Libraries read these when they are loaded, which is before the child runs a line of ours.
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        with without_main(pickle.dumps(function)):
            process.start()
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
    theirs.close()
    return _Worker(process, ours)


def _work(function: Callable[[Any], Any], pipe: Connection) -> None:
    """In the worker: run what comes, until the pipe or the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is for the parent, which ends its workers
    threading.Thread(target=_die_with_parent, daemon=True).start()
    import torch

    torch.set_num_threads(1)
    while True:
        try:
            item = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            message = ("done", function(item))
        except SensorkdError as error:
            message = ("failed", str(error))
        except Exception:
            message = ("failed", traceback.format_exc())
        pipe.send(message)


def _die_with_parent() -> None:
    """A worker whose parent was killed must not write beside the one that goes on in its place."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _end(worker: _Worker) -> None:
    worker.pipe.close()
    worker.process.join()
    worker.process.close()


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return f"its process was ended by {signal.Signals(-code).name}"
    return f"its process ended with code {code}"
