"""How often each sensor was there, and what was wrong where it was not: counts for every report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd.quality import FAULTS
from sensorkd.windows.arrays import WindowSet

__all__ = ["SensorHealth", "sensor_health"]


@dataclass(frozen=True)
class SensorHealth:
    """One input over some windows.

    present: windows in which it is used. not_logged: windows of which too little was logged. faulty: windows
    that were logged well enough and yet are absent, for the faults of their samples. faults: fault ->
    windows with any such sample, used or not.
    """

    windows: int
    present: int
    not_logged: int
    faulty: int
    faults: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "windows": self.windows,
            "present": self.present,
            "not_logged": self.not_logged,
            "faulty": self.faulty,
            "faults": dict(self.faults),
        }

    def told(self) -> str:
        """For people, in a line."""
        text = f"present in {self.present} of {self.windows} windows"
        parts = [f"not logged in {self.not_logged}"] if self.not_logged else []
        parts += [f"faulty in {self.faulty}"] if self.faulty else []
        seen = ", ".join(f"{name} {count}" for name, count in self.faults.items() if count)
        parts += [f"windows with samples {seen}"] if seen else []
        return "; ".join([text, *parts])


def sensor_health(
    arrays: WindowSet, min_coverage: Mapping[str, float], rows: NDArray[np.int64] | None = None
) -> dict[str, SensorHealth]:
    """Health of every input over windows, or over some `rows` of them; min_coverage: by input."""
    chosen = slice(None) if rows is None else rows
    found = {}
    for column, name in enumerate(arrays.inputs):
        present = arrays.presence[chosen, column] > 0
        logged = arrays.coverage[chosen, column] >= min_coverage[name] - 1e-6
        seen = (arrays.faults[chosen, column] > 0).sum(axis=0)
        found[name] = SensorHealth(
            windows=len(present),
            present=int(present.sum()),
            not_logged=int((~logged).sum()),
            faulty=int((logged & ~present).sum()),
            faults={fault: int(count) for fault, count in zip(FAULTS, seen, strict=True)},
        )
    return found
