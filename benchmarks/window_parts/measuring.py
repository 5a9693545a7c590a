"""Memory of a process of its own, and tables of what was measured."""

from __future__ import annotations

import multiprocessing
import resource
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any


def peak() -> int:
    """Bytes of memory this process has had at most, files that are mapped included."""
    try:
        # Not ru_maxrss, which begins with that of the process it was started from.
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def alone(function: Callable[[Any], dict[str, float]], item: Any) -> dict[str, float]:
    """In a process of its own, so that its memory is its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, item).result()


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    from sensorkd.evaluation.tables import text_table

    return text_table(header, rows)


def tell(title: str, told: Mapping[str, Mapping[str, float]]) -> None:
    keys = list(next(iter(told.values())))
    rows = [[name, *[f"{values[key]:,.4g}" for key in keys]] for name, values in told.items()]
    print(table([title, *keys], rows), end="\n\n", flush=True)
