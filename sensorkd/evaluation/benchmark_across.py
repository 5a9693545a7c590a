"""Several benchmarks side by side: how far each method is ahead of the reference on each data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sensorkd.evaluation.benchmark_results import ALL
from sensorkd.evaluation.tables import text_table

__all__ = ["across_text", "side_by_side"]

METRIC = "macro_f1"
Row = dict[str, Any]


def side_by_side(results: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """A row a method: its macro-F1, all sensors, less that of the reference, wherever both were run.

    Args:
        results: those of each benchmark, as `Results.to_json` tells them; one that has none is passed over.

    Returns:
        method; places: benchmark, reference, labels a class, the difference and its interval; mean of the
        differences, in how many places the method is ahead, and of how many.
    """
    places: dict[str, list[Row]] = {}
    for name, told in results.items():
        for item in told.get("differences", ()):
            if item["sensors"] == ALL:
                place = {"benchmark": name, "reference": told["reference"]}
                figure = {key: item[METRIC][key] for key in ("mean", "interval")}
                places.setdefault(item["method"], []).append(
                    {**place, "labels_per_class": item["labels_per_class"], **figure}
                )
    return [
        {
            "method": method,
            "places": found,
            "mean": float(np.mean([place["mean"] for place in found])),
            "ahead": sum(place["mean"] > 0 for place in found),
            "of": len(found),
        }
        for method, found in places.items()
    ]


def across_text(rows: Sequence[Row], benchmarks: Sequence[str]) -> str:
    """A column a benchmark and budget, benchmarks in this order; `*` where the interval leaves 0 out."""
    found = dict.fromkeys(_column(place) for row in rows for place in row["places"])
    columns = sorted(found, key=lambda column: benchmarks.index(column[0]))
    table = []
    for row in rows:
        cells = {_column(place): _told(place) for place in row["places"]}
        told = [cells.get(column, "") for column in columns]
        table.append([row["method"], *told, f"{row['mean']:+.3f} ", f"{row['ahead']} of {row['of']}"])
    header = ["", *(f"{name}, {budget} " for name, budget in columns), "mean ", "ahead"]
    references = sorted({place["reference"] for row in rows for place in row["places"]})
    return (
        f"macro-F1 less that of {' or '.join(references)}, by data set and labels a class; *: the "
        f"interval leaves 0 out\n\n{text_table(header, table)}"
    )


def _column(place: Mapping[str, Any]) -> tuple[str, str]:
    return place["benchmark"], place["labels_per_class"]


def _told(place: Mapping[str, Any]) -> str:
    low, high = place["interval"]
    return f"{place['mean']:+.3f}" + ("*" if low > 0 or high < 0 else " ")
