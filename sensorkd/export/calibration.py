"""The windows that an int8 model takes its ranges from, and those it is judged by.

Both are of the dev groups, which were not trained on, or else of the training groups; never of the test
groups, since layers are chosen by them. No window does both, unless there are no more labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd.errors import GateError
from sensorkd.runs.data import plan_run
from sensorkd.runs.planned import Planned
from sensorkd.runs.run import Run
from sensorkd.windows.failures import Failures
from sensorkd.windows.read import WindowArrays, read_readable

__all__ = ["Calibration", "calibration_of", "check_ranges", "labels_among", "spread"]

RANGE_WINDOWS, JUDGED_WINDOWS = 128, 256


@dataclass(frozen=True)
class Calibration:
    """ranges, judged: windows. labels: of those judged, by number of the run's classes, -1 unknown. side: the
    groups they are of.
    """

    side: str
    ranges: WindowArrays
    judged: WindowArrays
    labels: NDArray[np.int64]


def calibration_of(run: Run) -> Calibration:
    """Windows spread evenly over the dev groups, else over the training groups.

    Those that are judged have labels.

    Raises:
        GateError: there are none that could give ranges.
    """
    planned = plan_run(run.config, split=run.split)
    side = "dev" if len(planned.rows("dev")) > 1 else "train"
    rows = planned.split.rows(planned.groups, side)
    chosen = spread(rows, min(RANGE_WINDOWS, len(rows) // 2))
    labelled = planned.rows(side)
    others = np.setdiff1d(labelled, chosen)
    judged = spread(others if len(others) else labelled, JUDGED_WINDOWS)
    ranges, _ = _read(planned, run, chosen)
    ranges = ranges.select(np.flatnonzero(all_finite(ranges.inputs, len(ranges))))
    windows, kept = _read(planned, run, judged)
    check_ranges(ranges.inputs, len(ranges))
    return Calibration(side, ranges, windows, labels_among(planned, run.classes, judged[kept]))


def spread(rows: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """At most so many of some rows, evenly apart."""
    if len(rows) <= limit:
        return rows
    some: NDArray[np.int64] = rows[np.unique(np.linspace(0, len(rows) - 1, limit).astype(int))]
    return some


def all_finite(inputs: Mapping[str, NDArray[Any]], count: int) -> NDArray[np.bool_]:
    """(W,) whether all samples of a window are numbers."""
    good = np.ones(count, bool)
    for values in inputs.values():
        if values.dtype.kind == "f":
            good &= np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
    return good


def check_ranges(inputs: Mapping[str, NDArray[Any]], count: int) -> None:
    """Refuse windows from which no range could be trusted.

    Raises:
        GateError: there are none, or some hold samples that are no number.
    """
    broken = int((~all_finite(inputs, count)).sum())
    if not count or broken:
        raise GateError(
            "these windows cannot give an int8 model its ranges",
            found=f"{broken} of {count} windows hold NaN or infinity" if count else "no window",
            expected="windows of numbers throughout, one at least",
            mend="export without --int8, or train and export with archives that hold such windows",
        )


def _read(planned: Planned, run: Run, rows: NDArray[np.int64]) -> tuple[WindowArrays, NDArray[np.int64]]:
    """Windows of the plan, and which of `rows` could be read."""
    plan = planned.plan.select(rows)
    windows, kept = read_readable(planned.recordings, plan, run.encodings, failures=Failures())
    return windows, kept


def labels_among(planned: Planned, classes: Sequence[str], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Labels by number of the run's classes: archives may have changed since it was trained."""
    known = [classes.index(name) if name in classes else -1 for name in planned.classes]
    return np.array([-1 if label < 0 else known[label] for label in planned.labels[rows]], np.int64)
