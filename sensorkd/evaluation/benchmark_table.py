"""The results of a benchmark as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sensorkd.evaluation.benchmark_budgets import labels_told
from sensorkd.evaluation.benchmark_intervals import FEW_GROUPS
from sensorkd.evaluation.benchmark_results import ALL, Results
from sensorkd.evaluation.tables import text_table

__all__ = ["results_text"]


def results_text(results: Results) -> str:
    """The table, differences to the reference, times that were made equal, and notes.

    Where groups are few, differences also by Student's t over them.
    """
    parts = [_table(results)]
    if any(item["sensors"] == ALL for item in results.differences):
        parts.append(_differences(results))
    if any(_of_few_groups(item) for item in results.differences):
        parts.append(_over_groups(results))
    lines = [
        f"{item['method']}, {labels_told(item['labels_per_class'])}: {item['steps']} steps take the time of "
        f"{item['with']}, of which a step takes {item['ratio']:.2f} times as long"
        for item in results.equal_time
    ]
    groups = f"{len(results.groups)} groups by {results.by} in {results.folds} folds"
    lines.append(f"{groups}; intervals: 95 % of a bootstrap over groups and seeds")
    left_out = [f"left out: {line}" for line in results.left_out]
    return "\n\n".join([*parts, "\n".join([*lines, *results.notes, *left_out])])


def _table(results: Results) -> str:
    header = [
        "method",
        "labels",
        "sensors",
        "accuracy",
        "95 %",
        "macro-F1",
        "95 %",
        "NLL",
        "95 %",
        "ECE",
        "seeds",
    ]
    rows = [
        [
            row["method"],
            row["labels_per_class"],
            row["sensors"],
            *_with_interval(row["accuracy"], "{:.3f}"),
            *_with_interval(row["macro_f1"], "{:.3f}"),
            *_with_interval(row["nll"], "{:.2f}"),
            f"{row['ece']['mean']:.3f}",
            len(row["seeds"]),
            "" if row["steps"] is None else row["steps"],
            f"{row['seconds']:.0f}",
        ]
        for row in results.rows
    ]
    return text_table([*header, "steps", "s a fold"], rows)


def _differences(results: Results) -> str:
    less = f"less {results.reference}"
    header = [less, "labels", "accuracy", "95 %", "macro-F1", "95 %", "ahead", "NLL", "95 %", "ahead"]
    rows = [
        [
            item["method"],
            item["labels_per_class"],
            *_with_interval(item["accuracy"], "{:+.3f}"),
            *_with_interval(item["macro_f1"], "{:+.3f}"),
            _ahead(item, "macro_f1"),
            *_with_interval(item["nll"], "{:+.2f}"),
            _ahead(item, "nll"),
        ]
        for item in results.differences
        if item["sensors"] == ALL
    ]
    told = (
        "all sensors, paired by seed, group and draw; ahead: in how many of seeds x groups it is better, "
        "and worse"
    )
    return f"{text_table(header, rows)}\n{told}"


def _of_few_groups(item: Mapping[str, Any]) -> bool:
    return bool(item["sensors"] == ALL and 1 < item["groups"] < FEW_GROUPS)


def _over_groups(results: Results) -> str:
    """Differences as so few groups tell them: percentiles of a bootstrap are too narrow there."""
    header = [f"less {results.reference}, by Student's t over groups", "labels", "groups"]
    header += [text for name in ("accuracy", "macro-F1", "NLL") for text in (name, "95 %")]
    rows = [
        [
            item["method"],
            item["labels_per_class"],
            item["groups"],
            *_over(item["accuracy"], "{:+.3f}"),
            *_over(item["macro_f1"], "{:+.3f}"),
            *_over(item["nll"], "{:+.2f}"),
        ]
        for item in results.differences
        if _of_few_groups(item)
    ]
    return text_table(header, rows)


def _over(figure: Mapping[str, Any], how: str) -> tuple[str, str]:
    return _with_interval({"mean": figure["mean_of_groups"], "interval": figure["students_t"]}, how)


def _ahead(item: Mapping[str, Any], metric: str) -> str:
    return f"{item[metric]['ahead']}:{item[metric]['behind']} of {item['of']}"


def _with_interval(figure: Mapping[str, Any], how: str) -> tuple[str, str]:
    low, high = figure["interval"]
    return how.format(figure["mean"]), f"{how.format(low)} to {how.format(high)}"
