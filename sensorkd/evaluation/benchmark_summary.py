"""What the finished cells say together: rows of the table, and differences to the reference."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd.errors import RunError
from sensorkd.evaluation.benchmark_budgets import labels_told
from sensorkd.evaluation.benchmark_cell import WINDOWS
from sensorkd.evaluation.benchmark_intervals import compared, drawn_scores, interval, make_draws
from sensorkd.evaluation.benchmark_plan import Cell, Plan
from sensorkd.evaluation.benchmark_results import ALL, Results
from sensorkd.evaluation.benchmark_scores import METRICS, scores, tally, windows_in
from sensorkd.evaluation.benchmark_time import EqualTime

__all__ = ["summarise"]

FEW_GROUPS = 10
UNKNOWN = "unknown"
Array = NDArray[np.float64]
# A method at a budget, with some sensors.
Place = tuple[str, str, str]


@dataclass(frozen=True)
class _Judged:
    """tallies: seed -> group -> vector. windows: seed -> group -> digest of those that were judged, and of
    their labels. cells: seed -> what its cells tell.
    """

    tallies: dict[int, dict[str, Array]]
    windows: dict[int, dict[str, str]]
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
    rows = [_row(place, judged[place]) for place in places]
    notes += [item for item in differences if isinstance(item, str)]
    notes += _notes(plan, groups, rows)
    told_of = (line for _, told in cells for line in told.get("left_out", ()))  # earlier versions told none
    left_out = list(dict.fromkeys([*plan.left_out, *told_of]))
    config = plan.config.model_dump(mode="json") | {
        "tuned": {key: dict(item) for key, item in plan.tuned.items()}
    }
    return Results(
        plan.name,
        plan.by,
        reference,
        len(plan.folds),
        tuple(groups),
        rows,
        [item for item in differences if isinstance(item, dict)],
        EqualTime(plan).told(),
        notes,
        left_out,
        config,
    )


def _judged(
    plan: Plan, cells: Sequence[tuple[Cell, Mapping[str, Any]]]
) -> tuple[dict[Place, _Judged], list[str]]:
    """Tallies by place, of whole seeds only; and what was left out for that."""
    classes = sorted({name for _, told in cells for name in told["classes"]})
    # Folds by place and seed: other sensors may have been asked for when some of them ran.
    counts = Counter((place, cell.seed) for cell, told in cells for place in _places(cell, told).values())
    found: dict[Place, _Judged] = {}
    for cell, told in cells:
        places = _places(cell, told)
        whole = [name for name in told["sensors"] if counts[places[name], cell.seed] == len(plan.folds)]
        for name, (tallies, windows) in (_read(cell, told, classes, whole) if whole else {}).items():
            judged = found.setdefault(places[name], _Judged({}, {}, {}))
            judged.tallies.setdefault(cell.seed, {}).update(tallies)
            judged.windows.setdefault(cell.seed, {}).update(windows)
            judged.cells.setdefault(cell.seed, []).append(told)
    notes = [
        f"left out, {count} of {len(plan.folds)} folds finished: {label}, {labels_told(budget)}, "
        f"{sensors} sensors, seed {seed}".replace(", all sensors", "")
        for ((label, budget, sensors), seed), count in counts.items()
        if count < len(plan.folds)
    ]
    return found, notes


def _places(cell: Cell, told: Mapping[str, Any]) -> dict[str, Place]:
    """By subset of sensors."""
    every = "+".join(told["inputs"])
    return {name: (cell.label, cell.budget, ALL if name == every else name) for name in told["sensors"]}


def _read(
    cell: Cell, told: Mapping[str, Any], classes: Sequence[str], sensors: Sequence[str]
) -> dict[str, tuple[dict[str, Array], dict[str, str]]]:
    """Subset -> sums by group, and digests of the windows by group, from the log-probabilities kept."""
    columns = [classes.index(name) for name in told["classes"]]
    with np.load(cell.folder / WINDOWS, allow_pickle=False) as kept:
        labels, numbers, names = kept["labels"], kept["groups"], kept["id"]
        rows = {name: numbers == number for number, name in enumerate(told["groups"])}
        digests = {name: _digest(names[here], labels[here], told["classes"]) for name, here in rows.items()}
        logp = {name: kept[f"logp{told['sensors'].index(name)}"] for name in sensors}
    return {
        subset: (
            {name: tally(said[here], labels[here], columns, len(classes)) for name, here in rows.items()},
            digests,
        )
        for subset, said in logp.items()
    }


def _digest(names: NDArray[np.uint64], labels: NDArray[np.int32], classes: Sequence[str]) -> str:
    told = sorted(f"{name} {classes[label]}" for name, label in zip(names, labels, strict=True))
    return hashlib.blake2b("\n".join(told).encode(), digest_size=8).hexdigest()


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
        # Earlier versions told none.
        "code": sorted({told.get("code", UNKNOWN) for told in cells}),
    }


def _difference(place: Place, own: _Judged, other: _Judged) -> dict[str, Any] | str | None:
    """A method less the reference, on the seeds and groups that both have; None where there are none.

    Text, for a note, where they were judged on other windows: nothing is paired then.
    """
    seeds = sorted(set(own.tallies) & set(other.tallies))
    groups = sorted(set(_groups(own, seeds)) & set(_groups(other, seeds))) if seeds else []
    if not groups:
        return None
    unlike = [name for name in groups if any(own.windows[s][name] != other.windows[s][name] for s in seeds)]
    if unlike:
        where = ", ".join(unlike[:3]) + (" ..." if len(unlike) > 3 else "")
        return (
            f"no difference: {place[0]}, {labels_told(place[1])}, {place[2]} sensors was judged by other "
            f"windows or labels than the reference, in {len(unlike)} of {len(groups)} groups: {where}"
        )
    first, second = _stacked(own, seeds, groups), _stacked(other, seeds, groups)
    draws = make_draws(len(seeds), len(groups))
    limits = interval(drawn_scores(first, draws) - drawn_scores(second, draws))
    means = (scores(first.sum(axis=1)) - scores(second.sum(axis=1))).mean(axis=0)
    better = compared(first, second)
    figures = {
        name: {"mean": float(means[index]), "interval": limits[index], "ahead": ahead, "behind": behind}
        for index, (name, (ahead, behind)) in enumerate(better.items())
    }
    return {
        "method": place[0],
        "labels_per_class": place[1],
        "sensors": place[2],
        **figures,
        "of": len(seeds) * len(groups),
        "seeds": seeds,
        "groups": len(groups),
    }


def _notes(plan: Plan, groups: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    notes = []
    if len(groups) < FEW_GROUPS:
        notes.append(
            f"with {len(groups)} groups the intervals are coarse: they cannot know of groups unlike these"
        )
    if single := sum(len(row["seeds"]) == 1 for row in rows):
        whose = "" if single == len(rows) else f" of {single} rows"
        notes.append(f"with one seed the intervals{whose} are over groups alone")
    if any(row["groups"] * len(row["seeds"]) == 1 for row in rows):
        notes.append("one group with one seed has no interval: what stands there is the figure itself")
    if (versions := len({code for row in rows for code in row["code"]})) > 1:
        notes.append(f"cells were run by {versions} versions of the code: `code` of a row in results.json")
    if plan.config.tune is not None and not plan.tuned:
        notes.append("not tuned: `tune` says what to try, and no `tuned` names what --tune has chosen")
    seen = sorted(set(plan.tuned_on) & set(groups))
    if seen:
        notes.append(f"overrides were chosen on groups that are judged here too: {seen}")
    return notes
