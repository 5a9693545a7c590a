"""What the finished cells say together: rows of the table, and differences to the reference."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd._version import __version__
from sensorkd.errors import RunError
from sensorkd.evaluation.benchmark_cell import WINDOWS
from sensorkd.evaluation.benchmark_intervals import ahead, drawn_scores, interval, make_draws
from sensorkd.evaluation.benchmark_plan import Cell, Plan, labels_told
from sensorkd.evaluation.benchmark_scores import METRICS, scores, tally, windows_in
from sensorkd.evaluation.benchmark_time import EqualTime

__all__ = ["Results", "summarise", "write_results"]

ALL = "all"
FEW_GROUPS = 10
Array = NDArray[np.float64]
# A method at a budget, with some sensors.
Place = tuple[str, str, str]


@dataclass(frozen=True)
class Results:
    """rows: one a method, budget and subset of sensors. differences: of each to the reference, likewise."""

    name: str
    by: str
    reference: str
    folds: int
    groups: tuple[str, ...]
    rows: list[dict[str, Any]]
    differences: list[dict[str, Any]]
    equal_time: list[dict[str, Any]]
    notes: list[str]
    config: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "benchmark": self.name,
            "sensorkd": __version__,
            "by": self.by,
            "reference": self.reference,
            "folds": self.folds,
            "groups": list(self.groups),
            "rows": self.rows,
            "differences": self.differences,
            "equal_time": self.equal_time,
            "notes": self.notes,
            "config": dict(self.config),
        }


@dataclass(frozen=True)
class _Judged:
    """tallies: seed -> group -> vector. cells: seed -> what its cells tell."""

    tallies: dict[int, dict[str, Array]]
    cells: dict[int, list[Mapping[str, Any]]]


def summarise(plan: Plan, cells: Sequence[tuple[Cell, Mapping[str, Any]]]) -> Results:
    """Rows and differences of the seeds whose folds are all finished.

    Raises:
        RunError: nothing is finished.
    """
    judged, notes = _judged(plan, cells)
    if not judged:
        raise RunError(
            "no method has a seed with all folds finished",
            file=plan.out,
            found=f"{len(cells)} of {len(plan.cells)} cells finished",
            mend="run the benchmark without --report-only",
        )
    groups = sorted(
        {name for item in judged.values() for of_seed in item.tallies.values() for name in of_seed}
    )
    places = [
        (entry.name, budget, sensors)
        for sensors in dict.fromkeys(place[2] for place in judged)
        for budget in plan.config.labels_per_class
        for entry in plan.config.methods
        if (entry.name, budget, sensors) in judged
    ]
    reference = plan.config.compared_to
    differences = [
        _difference(place, judged[place], judged[other])
        for place in places
        if place[0] != reference and (other := (reference, *place[1:])) in judged
    ]
    notes += _notes(plan, groups)
    times = list(EqualTime(plan).ratios().values())
    config = plan.config.model_dump(mode="json") | {
        "tuned": {key: dict(item) for key, item in plan.tuned.items()}
    }
    return Results(
        plan.name,
        plan.by,
        reference,
        len(plan.folds),
        tuple(groups),
        [_row(place, judged[place]) for place in places],
        [item for item in differences if item],
        times,
        notes,
        config,
    )


def _judged(
    plan: Plan, cells: Sequence[tuple[Cell, Mapping[str, Any]]]
) -> tuple[dict[Place, _Judged], list[str]]:
    """Tallies by place, of whole seeds only; and what was left out for that."""
    classes = sorted({name for _, told in cells for name in told["classes"]})
    found: dict[Place, _Judged] = {}
    counts: dict[tuple[str, str, int], int] = {}
    for cell, _ in cells:
        key = (cell.label, cell.budget, cell.seed)
        counts[key] = counts.get(key, 0) + 1
    for cell, told in cells:
        if counts[cell.label, cell.budget, cell.seed] < len(plan.folds):
            continue
        for sensors, by_group in _tallies(cell, told, classes).items():
            name = ALL if sensors == "+".join(told["inputs"]) else sensors
            place = found.setdefault((cell.label, cell.budget, name), _Judged({}, {}))
            place.tallies.setdefault(cell.seed, {}).update(by_group)
            place.cells.setdefault(cell.seed, []).append(told)
    notes = [
        f"left out, {count} of {len(plan.folds)} folds finished: {label}, {labels_told(budget)}, seed {seed}"
        for (label, budget, seed), count in counts.items()
        if count < len(plan.folds)
    ]
    return found, notes


def _tallies(cell: Cell, told: Mapping[str, Any], classes: Sequence[str]) -> dict[str, dict[str, Array]]:
    """Subset -> group -> sums, from the log-probabilities that were kept."""
    columns = [classes.index(name) for name in told["classes"]]
    with np.load(cell.folder / WINDOWS, allow_pickle=False) as kept:
        labels, numbers = kept["labels"], kept["groups"]
        found: dict[str, dict[str, Array]] = {}
        for index, sensors in enumerate(told["sensors"]):
            logp = kept[f"logp{index}"]
            found[sensors] = {
                name: tally(logp[numbers == number], labels[numbers == number], columns, len(classes))
                for number, name in enumerate(told["groups"])
            }
    return found


def _stacked(judged: _Judged, seeds: Sequence[int], groups: Sequence[str]) -> Array:
    """(S, G, K)."""
    return np.stack([np.stack([judged.tallies[seed][name] for name in groups]) for seed in seeds])


def _groups(judged: _Judged, seeds: Sequence[int]) -> list[str]:
    """Groups that every one of the seeds was judged on."""
    shared = set.intersection(*(set(judged.tallies[seed]) for seed in seeds))
    return sorted(shared)


def _row(place: Place, judged: _Judged) -> dict[str, Any]:
    seeds = sorted(judged.tallies)
    groups = _groups(judged, seeds)
    tallies = _stacked(judged, seeds, groups)
    by_seed = scores(tallies.sum(axis=1))
    limits = interval(drawn_scores(tallies, make_draws(len(seeds), len(groups))))
    cells = [told for seed in seeds for told in judged.cells[seed]]
    steps = [told["steps"] for told in cells if told["steps"] is not None]
    by_group = scores(tallies).mean(axis=0)
    return {
        "method": place[0],
        "labels_per_class": place[1],
        "sensors": place[2],
        **{
            name: {
                "mean": float(by_seed[:, index].mean()),
                "interval": limits[index],
                "by_seed": by_seed[:, index].tolist(),
                "by_group": dict(zip(groups, by_group[:, index].tolist(), strict=True)),
            }
            for index, name in enumerate(METRICS)
        },
        "seeds": seeds,
        "groups": len(groups),
        "windows": int(windows_in(tallies[0]).sum()),
        "seconds": float(np.mean([told["seconds"] for told in cells])),
        "steps": round(float(np.mean(steps))) if steps else None,
        "parameters": cells[0]["parameters"],
        "macs": cells[0]["macs"],
    }


def _difference(place: Place, own: _Judged, other: _Judged) -> dict[str, Any] | None:
    """A method less the reference, on the seeds and groups that both have; None where there are none."""
    seeds = sorted(set(own.tallies) & set(other.tallies))
    groups = sorted(set(_groups(own, seeds)) & set(_groups(other, seeds))) if seeds else []
    if not groups:
        return None
    first, second = _stacked(own, seeds, groups), _stacked(other, seeds, groups)
    draws = make_draws(len(seeds), len(groups))
    limits = interval(drawn_scores(first, draws) - drawn_scores(second, draws))
    means = (scores(first.sum(axis=1)) - scores(second.sum(axis=1))).mean(axis=0)
    better = ahead(first, second)
    return {
        "method": place[0],
        "labels_per_class": place[1],
        "sensors": place[2],
        **{
            name: {"mean": float(means[index]), "interval": limits[index], "ahead": better[name]}
            for index, name in enumerate(METRICS)
        },
        "of": len(seeds) * len(groups),
        "seeds": seeds,
        "groups": len(groups),
    }


def _notes(plan: Plan, groups: Sequence[str]) -> list[str]:
    notes = []
    if len(groups) < FEW_GROUPS:
        notes.append(
            f"with {len(groups)} groups the intervals are coarse: they cannot know of groups unlike these"
        )
    if len(plan.config.seeds) == 1:
        notes.append("with one seed the intervals are over groups alone")
    seen = sorted(set(plan.tuned_on) & set(groups))
    if seen:
        notes.append(f"overrides were chosen on groups that are judged here too: {seen}")
    return notes


def write_results(results: Results, out: Path) -> None:
    """Write `results.json`, and `results.csv` with one row a method, budget and subset of sensors."""
    out.mkdir(parents=True, exist_ok=True)
    part = out / f".results.{os.getpid()}.part"
    part.write_text(json.dumps(results.to_json(), indent=1), encoding="utf-8")
    part.replace(out / "results.json")
    with part.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        sides = ("mean", "low", "high")
        writer.writerow(
            ["method", "labels_per_class", "sensors"]
            + [f"{name}_{side}" for name in METRICS for side in sides]
            + ["seconds", "steps", "seeds", "groups", "windows", "parameters", "macs"]
        )
        for row in results.rows:
            figures = [value for name in METRICS for value in (row[name]["mean"], *row[name]["interval"])]
            last = [row["seconds"], row["steps"], len(row["seeds"]), row["groups"], row["windows"]]
            last += [row["parameters"], row["macs"]]
            writer.writerow([row["method"], row["labels_per_class"], row["sensors"], *figures, *last])
    part.replace(out / "results.csv")
