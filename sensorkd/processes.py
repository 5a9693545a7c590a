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
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from sensorkd.errors import SensorkdError

__all__ = ["PRELOADED", "ChildError", "ChildLimits", "in_children", "without_main"]

T = TypeVar("T")
R = TypeVar("R")

# Loaded once, by the server from which children fork: a child then starts in some 20 ms.
PRELOADED = [
    "sensorkd.recordings.reader",
    "sensorkd.recordings.logger_process",
    "sensorkd.recordings.salvage_stream",
    "sensorkd.windows.cache_build",
]
_STARTING = threading.Lock()


class ChildError(SensorkdError):
    """A child process crashed, hung, ran out of memory, or could not start."""

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
    begun: bool = False


@contextlib.contextmanager
def without_main(crossing: bytes) -> Iterator[None]:
    """While a process starts in this block, keep multiprocessing from running the caller's script in it too.

    It would do so in every child: a script without `if __name__ == "__main__":` begins its work once more
    there, and each child pays for what the script imports. crossing: pickle of what the child is given; if
    that names something of the script, the child needs the script, and nothing is hidden.
    """
    main: dict[str, Any] = vars(sys.modules["__main__"])
    # Also where nothing is hidden: another thread may be hiding it.
    with _STARTING:
        needed = b"__main__" in crossing or b"__mp_main__" in crossing
        names = [] if needed else [name for name in ("__spec__", "__file__") if name in main]
        kept: dict[str, Any] = {name: main[name] for name in names}
        main.update(dict.fromkeys(names))
        try:
            yield
        finally:
            main.update(kept)


def in_children(
    function: Callable[[T], R],
    items: Sequence[T],
    *,
    jobs: int = 1,
    limits: ChildLimits | None = None,
    told: Callable[[T], object] = str,
) -> Iterator[tuple[int, R | SensorkdError]]:
    """Yield (index of the item, result or error) as children end, not in order; at most `jobs` at once.

    Function, items and results cross processes, so they are picklable. Where they are of a script's own
    functions or classes, that script is a file and guards its start with `if __name__ == "__main__":`.
    A SensorkdError raised there is the item's result, and so is a ChildError for one that crashed or
    exceeded `limits`; `told` gives the file it names. Leaving the iteration early ends the children.

    Raises:
        ChildError: a child could not start, which is no fault of its item.
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
                kind, value = _heard(running[answer])
                if kind == "alive":
                    running[answer] = replace(running[answer], begun=True)
                    continue
                child = running.pop(answer)
                _end(child)
                yield child.index, _result(kind, value, limits, told(items[child.index]))
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
    crossing = pickle.dumps((function, items[index]))
    work = (crossing, theirs, limits.memory, environment)
    process = context.Process(target=_work, args=work, daemon=True)
    with without_main(crossing):
        process.start()
    theirs.close()  # so that the end of the child is the end of the pipe
    deadline = float("inf") if limits.seconds is None else time.monotonic() + limits.seconds
    return _Child(process, ours, index, deadline)


def _work(crossing: bytes, answer: Connection, memory: int | None, environment: dict[str, str]) -> None:
    """In the child: send ("alive", None), then what came of it, such as ("done", result)."""
    answer.send(("alive", None))
    os.environ.clear()
    os.environ.update(environment)
    # An interrupt is for the parent, which then ends its children.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        function, item = pickle.loads(crossing)
    except Exception as error:
        answer.send(("unstarted", repr(error)))
        return
    del crossing
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


def _heard(child: _Child) -> tuple[str, Any]:
    """What the child sent, or why it sent nothing."""
    try:
        if child.answer.poll():
            kind, value = child.answer.recv()
            return kind, value
        return ("late" if child.begun else "unstarted"), "no sign of life in time"
    except (EOFError, OSError):
        child.process.join()  # it is at its end: its exit code will say how
        how = _how(child.process.exitcode)
        return ("crash" if child.begun else "unstarted"), how


def _result(kind: str, value: Any, limits: ChildLimits, name: object) -> Any:
    if kind == "defect":
        raise value
    if kind == "unstarted":
        raise _not_started(value, name)
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


def _not_started(how: str, name: object) -> ChildError:
    return ChildError(
        "the child process could not start",
        file=name,
        found=how,
        expected="a child that begins its work; no file was read",
        mend="where a script hands over functions or classes of its own, make it a file that guards its "
        'start with `if __name__ == "__main__":`, or move them to a module; else see what was told on stderr',
    )


def _ended(kind: str, how: str, limits: ChildLimits, name: object) -> ChildError:
    if kind == "late":
        found, expected = "no answer", f"an answer within {limits.seconds:g} s"
        problem = "reading the file does not end: it is damaged, or larger than the time limit allows"
    elif kind == "memory":
        found, expected = "a demand for more memory", f"at most {limits.memory:,} bytes"
        problem = "reading the file takes more memory than is allowed"
    else:
        found, expected = how, "a reader that ends by itself"
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
