"""Runs a function over items in child processes, one child an item: what happens there stays there.

HDF5 and codecs are native code. On a damaged or hostile file they may crash, hang or eat all memory, and
nothing in Python can catch that. A child that ends so is that item's error; the others go on.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from sensorkd.errors import SensorkdError

__all__ = ["ChildError", "ChildLimits", "in_children"]

T = TypeVar("T")
R = TypeVar("R")

# Loaded once, by the server from which children fork: a child then starts in some 20 ms.
PRELOADED = [
    "sensorkd.recordings.reader",
    "sensorkd.recordings.logger_process",
    "sensorkd.recordings.salvage_stream",
    "sensorkd.windows.cache_build",
]


class ChildError(SensorkdError):
    """A child process crashed, hung or ran out of memory."""

    exit_code = 1


@dataclass(frozen=True)
class ChildLimits:
    """What a child may use for one item: seconds of the clock, and bytes of memory beyond its start."""

    seconds: float | None = None
    memory: int | None = None


@dataclass(frozen=True)
class _Child:
    process: BaseProcess
    answer: Connection
    index: int
    deadline: float


def in_children(
    function: Callable[[T], R],
    items: Sequence[T],
    *,
    jobs: int = 1,
    limits: ChildLimits | None = None,
    told: Callable[[T], object] = str,
) -> Iterator[tuple[int, R | SensorkdError]]:
    """Yield (index of the item, result or error) as children end, not in order; at most `jobs` at once.

    Function, items and results cross processes, so they are picklable, and a script that calls this
    guards its own start with `if __name__ == "__main__":`. A SensorkdError raised there is the item's
    result, and so is a ChildError for one that crashed or exceeded `limits`; `told` gives the file it
    names. Leaving the iteration early ends the children.

    Raises:
        Exception: whatever else `function` raises: a defect, not a bad item.
    """
    limits = limits or ChildLimits()
    running: dict[Connection, _Child] = {}
    waiting = list(range(len(items)))[::-1]
    try:
        while running or waiting:
            while waiting and len(running) < max(1, jobs):
                child = _start(function, items, waiting.pop(), limits)
                running[child.answer] = child
            soonest = min(child.deadline for child in running.values())
            ready = wait(list(running), timeout=max(0.0, min(soonest - time.monotonic(), 3600.0)))
            late = [answer for answer, child in running.items() if child.deadline <= time.monotonic()]
            for answer in [*ready, *(item for item in late if item not in ready)]:
                assert isinstance(answer, Connection)
                child = running.pop(answer)
                yield child.index, _result(child, limits, told(items[child.index]))
    finally:
        for child in running.values():
            _end(child)


def _start(function: Callable[[T], R], items: Sequence[T], index: int, limits: ChildLimits) -> _Child:
    # Not fork: threads of NumPy or torch may hold a lock at that moment, for ever in the child.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    ours, theirs = context.Pipe(duplex=False)
    # The server's own is that of the moment in which it was started.
    environment = dict(os.environ)
    work = (function, items[index], theirs, limits.memory, environment)
    process = context.Process(target=_work, args=work, daemon=True)
    process.start()
    theirs.close()  # so that the end of the child is the end of the pipe
    deadline = float("inf") if limits.seconds is None else time.monotonic() + limits.seconds
    return _Child(process, ours, index, deadline)


def _work(
    function: Callable[[T], R],
    item: T,
    answer: Connection,
    memory: int | None,
    environment: dict[str, str],
) -> None:
    """In the child: send ("done", result), ("error", SensorkdError) or ("defect", exception)."""
    os.environ.clear()
    os.environ.update(environment)
    # An interrupt is for the parent, which then ends its children.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    message: tuple[str, Any]
    try:
        if memory is not None:
            _limit_memory(memory)
        message = ("done", function(item))
    except SensorkdError as error:
        message = ("error", error)
    except MemoryError:
        message = ("memory", None)
    except Exception as error:
        message = ("defect", _sendable(error))
    answer.send(message)
    answer.close()


def _sendable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(repr(error))
    return error


def _limit_memory(extra: int) -> None:
    """Forbid the process more address space than it has and `extra` bytes; only Linux can."""
    try:
        import resource
        from pathlib import Path

        pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
        limit = pages * resource.getpagesize() + extra
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
    except (ImportError, OSError, ValueError):
        return


def _result(child: _Child, limits: ChildLimits, name: object) -> Any:
    """What the child sent, or why it sent nothing; the child is gone afterwards."""
    try:
        if child.answer.poll():
            kind, value = child.answer.recv()
        else:
            kind, value = "late", None
    except (EOFError, OSError):
        child.process.join()  # it is at its end: its exit code will say how
        kind, value = "crash", child.process.exitcode
    _end(child)
    if kind == "defect":
        raise value
    if kind in ("done", "error"):
        return value
    return _ended(kind, value, limits, name)


def _end(child: _Child) -> None:
    with contextlib.suppress(OSError):
        child.answer.close()
    child.process.join(0.0 if child.process.is_alive() else None)
    if child.process.is_alive():
        child.process.kill()
        child.process.join()
    child.process.close()


def _ended(kind: str, code: int | None, limits: ChildLimits, name: object) -> ChildError:
    if kind == "late":
        found, expected = "no answer", f"an answer within {limits.seconds:g} s"
        problem = "reading the file does not end: it is damaged, or larger than the time limit allows"
    elif kind == "memory":
        found, expected = "a demand for more memory", f"at most {limits.memory:,} bytes"
        problem = "reading the file takes more memory than is allowed"
    else:
        found, expected = _how(code), "a reader that ends by itself"
        problem = "reading the file crashed its reader: it is damaged, or made to do so"
    return ChildError(
        problem,
        file=name,
        found=found,
        expected=expected,
        mend="restore the file from its source, or leave it out; nothing else was touched",
    )


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        try:
            return f"the reader was ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"the reader was ended by signal {-code}"
    return f"the reader ended with code {code} and no answer"
