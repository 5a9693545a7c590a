"""Reads the windows of a run, from where its configuration says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sensorkd.encoding import InputEncoding
from sensorkd.errors import ArchiveError, WindowError
from sensorkd.processes import ChildLimits
from sensorkd.recordings import Recording
from sensorkd.runs.config import RunConfig
from sensorkd.runs.planned import Planned
from sensorkd.windows.arrays import Reading
from sensorkd.windows.health import sensor_health
from sensorkd.windows.plan import WindowPlan
from sensorkd.windows.read import WindowArrays, read_windows
from sensorkd.windows.reading import read_plan, window_bytes

__all__ = ["Progress", "check_memory", "read_arrays", "read_for", "read_training", "read_usable"]

MEMORY_LIMIT = 8 << 30

Progress = Callable[[int, int], None]


def read_for(
    config: RunConfig,
    recordings: Sequence[Recording],
    plan: WindowPlan,
    encodings: Mapping[str, InputEncoding],
    *,
    progress: Progress | None = None,
    on_note: Callable[[str], None] | None = None,
) -> Reading:
    """The windows of a plan that can be read, from where the configuration says: see `read_plan`."""
    # A hostile file may make its reader hang; a large one needs its time.
    limits = ChildLimits(seconds=60.0 + len(plan) + window_bytes(encodings) * len(plan) / 1e6, memory=4 << 30)
    settings = config.cache.settings(isolated=config.isolated, limits=limits)
    return read_plan(recordings, plan, encodings, settings, progress=progress, on_note=on_note)


def read_usable(
    planned: Planned,
    rows: NDArray[np.int64],
    config: RunConfig,
    progress: Progress | None = None,
    on_note: Callable[[str], None] | None = None,
) -> Reading:
    """Those of some windows that hold any input, and all required ones; `rows` of them in the plan.

    Whether samples are usable is known only when they are read.

    Raises:
        WindowError: there is none such.
    """
    (reading,) = _read_together(planned, [rows], config, progress, on_note)
    return reading


def read_training(
    planned: Planned,
    config: RunConfig,
    progress: Progress | None = None,
    on_note: Callable[[str], None] | None = None,
) -> tuple[Reading, Reading]:
    """The usable windows of the training groups, with and without a label: see `read_usable`.

    They are read at once: one cache serves every number of labels. `failed` is that of both.

    Raises:
        WindowError: there is none with a label. Without one, none may be.
    """
    parts = [planned.rows("train"), planned.unlabelled_rows()]
    labelled, unlabelled = _read_together(planned, parts, config, progress, on_note)
    return labelled, unlabelled


def _read_together(
    planned: Planned,
    parts: Sequence[NDArray[np.int64]],
    config: RunConfig,
    progress: Progress | None,
    on_note: Callable[[str], None] | None,
) -> list[Reading]:
    """One reading of the windows of all parts, taken apart again; the first part must not come out empty."""
    required = config.required
    # In the order of the plan, so that the cache is the same however they are parted.
    rows = parts[0] if len(parts) == 1 else np.sort(np.concatenate(parts))
    reading = read_for(
        config,
        planned.recordings,
        planned.plan.select(rows),
        planned.encodings,
        progress=progress,
        on_note=on_note,
    )
    windows = reading.windows
    usable = np.intersect1d(windows.with_inputs(required), np.flatnonzero(windows.presence.any(axis=1)))
    readings = []
    for part in parts:
        kept = usable[np.isin(rows[reading.rows[usable]], part)]
        mine = windows if len(kept) == len(windows) else windows.select(kept)
        readings.append(Reading(mine, rows[reading.rows[kept]], reading.failed))
    if len(parts[0]) and not len(readings[0].rows):
        health = sensor_health(windows, {name: item.min_coverage for name, item in planned.encodings.items()})
        raise WindowError(
            "no window holds any input" + (f", and all of {list(required)}" if required else ""),
            found="; ".join(
                [f"{name} {item.told()}" for name, item in health.items()]
                + [f"{error.file}: {error.problem}" for error in reading.failed[:3]]
            ),
            mend="correct `inputs`: spans, valid_range, full_scale, min_coverage, required",
        )
    return readings


def read_arrays(planned: Planned, rows: NDArray[np.int64], progress: Progress | None = None) -> WindowArrays:
    """Read some windows into memory.

    Raises:
        ArchiveError: they would not fit.
    """
    check_memory(planned.encodings, len(rows))
    return read_windows(planned.recordings, planned.plan.select(rows), planned.encodings, progress=progress)


def check_memory(encodings: Mapping[str, InputEncoding], windows: int) -> None:
    """Refuse so many windows as do not fit into memory.

    Raises:
        ArchiveError: they would not fit.
    """
    size = window_bytes(encodings)
    if size * windows > MEMORY_LIMIT:
        raise ArchiveError(
            "the windows do not fit into memory",
            found=f"{windows:,} windows of {size:,} bytes: {size * windows / 2**30:.1f} GiB",
            expected=f"at most {MEMORY_LIMIT / 2**30:.0f} GiB",
            mend="lengthen windows.hop, shorten spans, or name less data",
        )
