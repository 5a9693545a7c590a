"""What the finished cells say together: rows of the table, and differences to the reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from sensorkd.errors import RunError
from sensorkd.evaluation.benchmark_code import UNKNOWN
from sensorkd.evaluation.benchmark_differences import Pair
from sensorkd.evaluation.benchmark_intervals import drawn_scores, interval, make_draws
from sensorkd.evaluation.benchmark_judged import JudgedRow, Place, judged_rows
from sensorkd.evaluation.benchmark_notes import notes_on
from sensorkd.evaluation.benchmark_plan import Cell, Plan
from sensorkd.evaluation.benchmark_portable import without_places
from sensorkd.evaluation.benchmark_results import ALL, Results
from sensorkd.evaluation.benchmark_scores import METRICS, scores, windows_in
from sensorkd.evaluation.benchmark_time import EqualTime
from sensorkd.windows.labels import counted

__all__ = ["summarise"]


def summarise(
    plan: Plan, cells: Sequence[tuple[Cell, Mapping[str, Any]]], *, reference: str | None = None
) -> Results:
    """Rows and differences of the seeds whose folds are all finished.

    Args:
        reference: label of the method that differences are taken to; default the benchmark's.

    Raises:
        RunError: nothing is finished.
    """
    judged, notes = judged_rows(plan, cells)
    if not judged:
        raise RunError(
            "no method has a seed with all folds finished",
            file=plan.out,
            found=f"{len(cells)} of {len(plan.cells)} cells finished",
            mend="run the benchmark without --report-only",
        )
    own = plan.config.compared_to
    reference = reference or own
    if reference != own:
        notes.append(f"differences are taken to {reference}, as was asked; the benchmark takes them to {own}")
    groups = sorted({name for row in judged.values() for of_seed in row.tallies.values() for name in of_seed})
    rows = [_row(place, row) for place, row in judged.items()]
    pairs = list(_pairs(judged, reference))
    notes += [
        f"no difference: {pair.place} was judged by other windows or labels than the reference, "
        f"{pair.unlike_told()}"
        for pair in pairs
        if pair.unlike
    ]
    notes += _unlike_without(judged, reference)
    notes += notes_on(plan, groups, rows)
    notes += _not_judged(cells)
    told_of = (line for _, told in cells for line in told.get("left_out", ()))  # earlier versions told none
    config = plan.config.model_dump(mode="json")
    return Results(
        name=plan.name,
        by=plan.by,
        reference=reference,
        folds=len(plan.folds),
        groups=tuple(groups),
        rows=rows,
        differences=[pair.difference() for pair in pairs if pair.groups and not pair.unlike],
        equal_time=EqualTime(plan).told(),
        notes=notes,
        left_out=list(dict.fromkeys([*plan.left_out, *told_of])),
        config=without_places({**config, "tuned": plan.tuned}),
    )


def _pairs(judged: Mapping[Place, JudgedRow], reference: str) -> Iterator[Pair]:
    """Every row with that of the reference, where there is one."""
    for place, row in judged.items():
        other = place._replace(method=reference)
        if place != other and other in judged:
            yield Pair(place, row, judged[other])


def _unlike_without(judged: Mapping[Place, JudgedRow], reference: str) -> list[str]:
    """Rows beside each other in the table that cannot be compared, where no reference row tells."""
    first: dict[tuple[str, str], Place] = {}
    notes = []
    for place, row in judged.items():
        if place._replace(method=reference) in judged:
            continue
        before = first.setdefault((place.budget, place.sensors), place)
        pair = Pair(place, row, judged[before])
        if pair.unlike:
            notes.append(
                f"not comparable: {place} was judged by other windows or labels than {before.method}, "
                f"{pair.unlike_told()}"
            )
    return notes


def _not_judged(cells: Sequence[tuple[Cell, Mapping[str, Any]]]) -> list[str]:
    """Windows that no row counts, fold by fold; earlier versions had none."""
    told = {cell.fold: strange for cell, item in cells if (strange := item.get("strange"))}
    return [
        f"not judged in fold {fold}, for no group that is trained on has their class: {counted(strange)}"
        for fold, strange in sorted(told.items())
    ]


def _row(place: Place, row: JudgedRow) -> dict[str, Any]:
    seeds = row.seeds
    groups = row.groups(seeds)
    tallies = row.stacked(seeds, groups)
    by_seed = scores(tallies.sum(axis=1))
    limits = interval(drawn_scores(tallies, make_draws(len(seeds), len(groups))))
    cells = [told for seed in seeds for told in sorted(row.cells[seed], key=lambda told: int(told["fold"]))]
    steps = [told["steps"] for told in cells if told["steps"] is not None]
    by_group = scores(tallies).mean(axis=0)
    return {
        "method": place.method,
        "labels_per_class": place.budget,
        "sensors": place.sensors,
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
        "code": sorted({code for told in cells for code in _code(told)}),
        "cells": [_cell(place, told) for told in cells],
    }


def _code(told: Mapping[str, Any]) -> list[str]:
    """Digests of the code that ran a cell; earlier versions told one, or none."""
    code = told.get("code", UNKNOWN)
    return [code] if isinstance(code, str) else list(code)


def _cell(place: Place, told: Mapping[str, Any]) -> dict[str, Any]:
    metrics = told["metrics"]["+".join(told["inputs"]) if place.sensors == ALL else place.sensors]
    return {
        "seed": told["seed"],
        "fold": told["fold"],
        **{name: metrics[name] for name in METRICS},
        # Earlier versions did not tell it.
        "cross_validation": told.get("cross_validation"),
    }
