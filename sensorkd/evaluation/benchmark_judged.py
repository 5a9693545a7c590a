"""What finished cells said of the windows they were judged by, put together by method, budget and sensors.

Axes: S seeds, G groups, K sums of a tally.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sensorkd.errors import RunError
from sensorkd.evaluation.benchmark_budgets import labels_told
from sensorkd.evaluation.benchmark_cell import WINDOWS
from sensorkd.evaluation.benchmark_plan import Cell, Plan
from sensorkd.evaluation.benchmark_results import ALL
from sensorkd.evaluation.benchmark_scores import tally

__all__ = ["JudgedRow", "Place", "judged_rows"]

Array = NDArray[np.float64]
Finished = tuple[Cell, Mapping[str, Any]]


class Place(NamedTuple):
    """A method at a budget, with some sensors."""

    method: str
    budget: str
    sensors: str

    def __str__(self) -> str:
        told = f"{self.method}, {labels_told(self.budget)}"
        return told if self.sensors == ALL else f"{told}, {self.sensors} sensors"


@dataclass(frozen=True)
class JudgedRow:
    """tallies: seed -> group -> (K,). windows: seed -> group -> digest of those that were judged, and of
    their labels. cells: seed -> what its cells tell.
    """

    tallies: dict[int, dict[str, Array]] = field(default_factory=dict)
    windows: dict[int, dict[str, str]] = field(default_factory=dict)
    cells: dict[int, list[Mapping[str, Any]]] = field(default_factory=dict)

    @property
    def seeds(self) -> list[int]:
        """Those whose folds are all finished."""
        return sorted(self.tallies)

    def groups(self, seeds: Sequence[int]) -> list[str]:
        """Groups that every one of the seeds was judged on."""
        return sorted(set.intersection(*(set(self.tallies[seed]) for seed in seeds))) if seeds else []

    def stacked(self, seeds: Sequence[int], groups: Sequence[str]) -> Array:
        """(S, G, K)."""
        return np.stack([np.stack([self.tallies[seed][name] for name in groups]) for seed in seeds])


def judged_rows(plan: Plan, cells: Sequence[Finished]) -> tuple[dict[Place, JudgedRow], list[str]]:
    """Rows of whole seeds only, in the order of the table; and what was left out for that."""
    classes = sorted({name for _, told in cells for name in told["classes"]})
    # Folds by place and seed: other sensors may have been asked for when some of them ran.
    counts = Counter((place, cell.seed) for cell, told in cells for place in _places(cell, told).values())
    found: dict[Place, JudgedRow] = {}
    for cell, told in cells:
        places = _places(cell, told)
        whole = [name for name in told["sensors"] if counts[places[name], cell.seed] == len(plan.folds)]
        for name, (tallies, windows) in (_read(cell, told, classes, whole) if whole else {}).items():
            row = found.setdefault(places[name], JudgedRow())
            row.tallies.setdefault(cell.seed, {}).update(tallies)
            row.windows.setdefault(cell.seed, {}).update(windows)
            row.cells.setdefault(cell.seed, []).append(told)
    notes = [
        f"left out, {count} of {len(plan.folds)} folds finished: {place}, seed {seed}"
        for (place, seed), count in counts.items()
        if count < len(plan.folds)
    ]
    order = [
        Place(entry.name, budget, sensors)
        for sensors in dict.fromkeys(place.sensors for place in found)
        for budget in plan.config.labels_per_class
        for entry in plan.config.methods
    ]
    return {place: found[place] for place in order if place in found}, notes


def _places(cell: Cell, told: Mapping[str, Any]) -> dict[str, Place]:
    """By subset of sensors."""
    every = "+".join(told["inputs"])
    return {name: Place(cell.label, cell.budget, ALL if name == every else name) for name in told["sensors"]}


def _read(
    cell: Cell, told: Mapping[str, Any], classes: Sequence[str], sensors: Sequence[str]
) -> dict[str, tuple[dict[str, Array], dict[str, str]]]:
    """Subset -> sums by group, and digests of the windows by group, from the log-probabilities kept."""
    columns = [classes.index(name) for name in told["classes"]]
    path = cell.folder / WINDOWS
    try:
        # Opened here: NumPy leaves a file that it cannot read open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            labels, numbers, ids = kept["labels"], kept["groups"], kept["id"]
            logp = {name: kept[f"logp{told['sensors'].index(name)}"] for name in sensors}
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise RunError(
            "what this cell said of its windows cannot be read",
            file=path,
            found=repr(error),
            mend=f"remove {cell.folder}, and run the benchmark again: no other cell is run anew",
        ) from error
    rows = {name: numbers == number for number, name in enumerate(told["groups"])}
    digests = {name: _digest(ids[here], labels[here], told["classes"]) for name, here in rows.items()}
    return {
        subset: (
            {name: tally(said[here], labels[here], columns, len(classes)) for name, here in rows.items()},
            digests,
        )
        for subset, said in logp.items()
    }


def _digest(ids: NDArray[np.uint64], labels: NDArray[np.int32], classes: Sequence[str]) -> str:
    told = sorted(f"{window} {classes[label]}" for window, label in zip(ids, labels, strict=True))
    return hashlib.blake2b("\n".join(told).encode(), digest_size=8).hexdigest()
