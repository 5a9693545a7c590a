"""What a reader of a benchmark's rows should know before he believes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sensorkd.evaluation.benchmark_budgets import labels_told
from sensorkd.evaluation.benchmark_code import UNKNOWN
from sensorkd.evaluation.benchmark_intervals import FEW_GROUPS
from sensorkd.evaluation.benchmark_plan import Plan
from sensorkd.evaluation.benchmark_results import ALL

__all__ = ["notes_on"]

# Seconds by those of the other method, from which on two times pass for equal.
EQUAL = (0.8, 1.25)
Row = Mapping[str, Any]


def notes_on(plan: Plan, groups: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """Notes on the rows of `results.json`, and on what was chosen for them."""
    return [
        *_on_intervals(groups, rows),
        *_on_code(rows),
        *_on_times(plan, rows),
        *_on_choices(plan, groups),
    ]


def _on_intervals(groups: Sequence[str], rows: Sequence[Row]) -> list[str]:
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
    return notes


def _on_code(rows: Sequence[Row]) -> list[str]:
    codes = {code for row in rows for code in row["code"]}
    notes = []
    if (versions := len(codes - {UNKNOWN})) > 1:
        notes.append(f"cells were run by {versions} versions of the code: `code` of a row in results.json")
    if codes == {UNKNOWN}:
        notes.append("which code ran the cells is not known: earlier versions did not tell")
    elif UNKNOWN in codes:
        some = sum(UNKNOWN in row["code"] for row in rows)
        notes.append(
            f"cells of {some} of {len(rows)} rows were run by earlier versions, which did not tell their "
            "code: `code` of a row in results.json"
        )
    return notes


def _on_times(plan: Plan, rows: Sequence[Row]) -> list[str]:
    """Where a method that was given the time of another took clearly more, or less."""
    seconds = {
        (row["method"], row["labels_per_class"]): row["seconds"] for row in rows if row["sensors"] == ALL
    }
    notes = []
    for (name, budget), took in seconds.items():
        other = plan.config.entry(name).equal_time_with
        if other is None or not seconds.get((other, budget)):
            continue
        share = took / seconds[other, budget]
        if not EQUAL[0] <= share <= EQUAL[1]:
            notes.append(
                f"not of equal time: {name}, {labels_told(budget)}, took {share:.2f} times the seconds of "
                f"{other}"
            )
    return notes


def _on_choices(plan: Plan, groups: Sequence[str]) -> list[str]:
    notes = []
    if plan.config.tune is not None and not plan.tuned:
        notes.append("not tuned: `tune` says what to try, and no `tuned` names what --tune has chosen")
    seen = sorted(set(plan.tuned_on) & set(groups))
    if seen:
        notes.append(f"overrides were chosen on groups that are judged here too: {seen}")
    return notes
