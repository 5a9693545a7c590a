"""Where the windows of a plan are read from: memory, a sealed cache, or the archives themselves."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from sensorkd.encoding import InputEncoding
from sensorkd.recordings import Recording
from sensorkd.windows.arrays import Reading
from sensorkd.windows.cache import CacheSettings, cached_windows
from sensorkd.windows.direct import direct_windows
from sensorkd.windows.failures import Failures
from sensorkd.windows.mapped import CacheError
from sensorkd.windows.plan import WindowPlan
from sensorkd.windows.read import read_readable

__all__ = ["ReadingMode", "ReadingSettings", "available_memory", "read_plan", "window_bytes"]

ReadingMode = Literal["auto", "memory", "cache", "direct"]


@dataclass(frozen=True)
class ReadingSettings:
    """mode: `auto` reads into memory what fits there, else makes a cache, else reads from the archives.

    memory: bytes of windows that may be held there; never more than half of what is available. isolated:
    archives are read in child processes only, so always into a cache.
    """

    cache: CacheSettings
    mode: ReadingMode = "auto"
    memory: int = 8 << 30
    isolated: bool = False


def window_bytes(encodings: Mapping[str, InputEncoding]) -> int:
    """Bytes of the samples of one window."""
    return sum(np.dtype(e.dtype).itemsize * math.prod(e.shape) for e in encodings.values())


def available_memory() -> int | None:
    """Bytes that can be taken without swapping, where the system tells; of a container, what it may take."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        told = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text("ascii"))
        return min(told, limit - int(Path("/sys/fs/cgroup/memory.current").read_text("ascii")))
    except (OSError, ValueError):
        return told


def read_plan(
    recordings: Sequence[Recording],
    plan: WindowPlan,
    encodings: Mapping[str, InputEncoding],
    settings: ReadingSettings,
    *,
    progress: Callable[[int, int], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> Reading:
    """The windows of a plan that can be read; bit for bit the same wherever from.

    A file that cannot be read is one error in `failed`, and the others go on.

    Raises:
        CacheError: a cache is needed, and there is no room for it or it cannot be written.
    """
    mode = _chosen(settings, window_bytes(encodings) * len(plan))
    if mode == "memory":
        failures = Failures()
        arrays, rows = read_readable(recordings, plan, encodings, failures=failures, progress=progress)
        return Reading(arrays.lazily(), rows, tuple(failures.errors))
    if mode == "direct":
        return direct_windows(recordings, plan, encodings, settings.cache, progress=progress, on_note=on_note)
    try:
        return cached_windows(recordings, plan, encodings, settings.cache, progress=progress, on_note=on_note)
    except CacheError as error:
        if settings.mode != "auto" or settings.isolated:
            raise
        if on_note is not None:
            on_note(f"{error}\n  done: windows are read from the archives, again in every epoch")
    return direct_windows(recordings, plan, encodings, settings.cache, progress=progress, on_note=on_note)


def _chosen(settings: ReadingSettings, needed: int) -> ReadingMode:
    if settings.isolated:
        return "cache"
    if settings.mode != "auto":
        return settings.mode
    available = available_memory()
    fits = needed <= settings.memory and (available is None or needed <= available // 2)
    return "memory" if fits else "cache"
