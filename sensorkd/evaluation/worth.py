"""What each sensor is worth: accuracy with and without it, and what it costs in bytes, work and time."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sensorkd.errors import ConfigError
from sensorkd.evaluation.evaluate import Evaluation
from sensorkd.evaluation.tables import text_table
from sensorkd.export.footprint import Footprint, footprint_of
from sensorkd.runs.run import Run
from sensorkd.training.metrics import Metrics

__all__ = ["SensorWorth", "sensor_worth", "worth_table"]


@dataclass(frozen=True)
class SensorWorth:
    """One subset of the sensors. told: `all`, `without a` or `a alone`. metrics: with only those, on the
    windows that were judged. footprint: of the student for them alone; None where there can be none.
    """

    told: str
    sensors: tuple[str, ...]
    metrics: Metrics
    footprint: Footprint | None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        metrics = {key: value for key, value in self.metrics.to_json().items() if key != "confusion"}
        footprint = None if self.footprint is None else self.footprint.to_json()
        return {"told": self.told, "sensors": list(self.sensors), **metrics, "footprint": footprint}


def sensor_worth(run: Run, evaluation: Evaluation) -> list[SensorWorth]:
    """All sensors, then each one left out, then each one alone.

    Accuracies are those of the whole student with the others absent, which is what the smaller one says.
    """
    names = tuple(run.encodings)
    found = []
    for told, subset in _subsets(names):
        try:
            footprint = footprint_of(run, subset)
        except ConfigError:  # windows end with the bursts of one that is left out
            footprint = None
        found.append(SensorWorth(told, subset, evaluation.subsets["+".join(subset)], footprint))
    return found


def _subsets(names: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Each once, with what it is called; of two sensors, leaving one out leaves the other alone.

    >>> [told for told, _ in _subsets(["a", "b", "c"])]
    ['all', 'without c', 'without b', 'without a', 'a alone', 'b alone', 'c alone']
    """
    found: list[tuple[str, tuple[str, ...]]] = [("all", tuple(names))]
    if len(names) > 2:
        for kept in itertools.combinations(names, len(names) - 1):
            (left_out,) = set(names) - set(kept)
            found.append((f"without {left_out}", kept))
    if len(names) > 1:
        found += [(f"{name} alone", (name,)) for name in names]
    return found


def worth_table(rows: Sequence[SensorWorth]) -> str:
    """One row a subset."""
    header = ["sensors", "accuracy", "macro-F1", "NLL", "bytes", "MACs", "p50 ms", "p99 ms"]
    table = []
    for row in rows:
        cost, m = row.footprint, row.metrics
        costs = ["-"] * 4
        if cost is not None:
            costs = [
                f"{cost.onnx_bytes:,}",
                f"{cost.macs:,}",
                f"{cost.onnx_p50_ms:.2f}",
                f"{cost.onnx_p99_ms:.2f}",
            ]
        table.append([row.told, f"{m.accuracy:.3f}", f"{m.macro_f1:.3f}", f"{m.nll:.3f}", *costs])
    return text_table(header, table)
