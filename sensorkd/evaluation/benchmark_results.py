"""The results of a benchmark, and the files that keep them."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sensorkd._version import __version__
from sensorkd.evaluation.benchmark_scores import METRICS

__all__ = ["ALL", "Results", "write_results"]

# Sensors of a row that has them all.
ALL = "all"


@dataclass(frozen=True)
class Results:
    """rows: one a method, budget and subset of sensors. differences: of each to the reference, likewise.

    left_out: what was wrong with files that could not be opened or read.
    """

    name: str
    by: str
    reference: str
    folds: int
    groups: tuple[str, ...]
    rows: list[dict[str, Any]]
    differences: list[dict[str, Any]]
    equal_time: list[dict[str, Any]]
    notes: list[str]
    left_out: list[str]
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
            "left_out": self.left_out,
            "config": dict(self.config),
        }


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
