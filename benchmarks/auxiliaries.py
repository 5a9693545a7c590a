"""How well auxiliaries do in a finished benchmark, beside what the student gains: a row a method.

    python benchmarks/auxiliaries.py runs/utd-ablations [--reference lsskd] [--out FILE]

Reads cells and the logs of their runs (`cells/*/*/*/run`), and trains nothing. `class`: how often the
deepest fused auxiliary names the class of a labelled training window, however it is transformed. `told
apart`: how often the deepest auxiliary of a modality, and of the fused stages, knows of two transforms of a
window which is which (0.5 by guessing), the mean over pairs. Both in the first and in the last quarter of
the epochs. Accuracy and NLL are of the groups that were held out: means over cells; `gained` is the
difference to the reference over those cells that both have, and `ahead` in how many of them accuracy is
better and worse.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sensorkd.distillation.progress import END, PAIR
from sensorkd.evaluation.tables import text_table
from sensorkd.training.log import TrainingLog

FUSED = "fused"
# Of a label budget, a seed and a fold.
Key = tuple[str, int, int]
Cells = dict[Key, dict[str, Any]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="--out of a benchmark")
    parser.add_argument("--reference", default="lsskd", help="the row that the others are compared with")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    cells = cells_in(options.folder)
    if options.reference not in cells:
        parser.error(
            f"{options.folder} has no finished cell of {options.reference!r}; it has {sorted(cells)}"
        )
    figures = {label: figures_of(found, cells[options.reference]) for label, found in cells.items()}
    print(table(figures))
    if options.out:
        options.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


def cells_in(folder: Path) -> dict[str, Cells]:
    """By the row's name; those that have the log of a run."""
    found: dict[str, Cells] = defaultdict(dict)
    for path in sorted(folder.glob("cells/*/*/*/cell.json")):
        log = TrainingLog(path.parent / "run" / "metrics.jsonl").records()
        if not log:
            continue
        told = json.loads(path.read_text(encoding="utf-8"))
        key = (str(told["budget"]), told["seed"], told["fold"])
        metrics = told["metrics"]["+".join(told["inputs"])]
        found[told["label"]][key] = {**metrics, "auxiliaries": auxiliaries_of(log)}
    return dict(found)


def auxiliaries_of(log: Sequence[dict[str, Any]]) -> dict[str, tuple[float, float]]:
    """By answer, in the first and the last quarter; what a method does not learn is left out."""
    history = [record["auxiliaries"] for record in log if record.get("auxiliaries")]
    if not history:
        return {}
    quarter = max(1, round(END * len(history)))
    sides = history[:quarter], history[-quarter:]
    deepest = {name.partition("/")[0]: name for name in history[-1]}  # stages stand in order
    asked = {f"class, {FUSED}": (deepest[FUSED], "class")} if FUSED in deepest else {}
    asked |= {f"told apart, {place}": (name, PAIR) for place, name in deepest.items()}
    told = {answer: (_mean(sides[0], *what), _mean(sides[1], *what)) for answer, what in asked.items()}
    return {answer: both for answer, both in told.items() if not math.isnan(sum(both))}


def _mean(history: Sequence[dict[str, dict[str, float]]], name: str, kind: str) -> float:
    """Over epochs and, for pairs, over these."""
    values = [value for record in history for key, value in record.get(name, {}).items() if kind in key]
    return float(np.mean(values)) if values else math.nan


def figures_of(cells: Cells, reference: Cells) -> dict[str, Any]:
    shared = sorted(set(cells) & set(reference))
    means = {name: [cell[name] for cell in cells.values()] for name in ("accuracy", "nll")}
    gains = {name: np.array([cells[key][name] - reference[key][name] for key in shared]) for name in means}
    answers = list(dict.fromkeys(answer for cell in cells.values() for answer in cell["auxiliaries"]))
    known = {
        answer: [cell["auxiliaries"][answer] for cell in cells.values() if answer in cell["auxiliaries"]]
        for answer in answers
    }
    return {
        "cells": len(cells),
        **{name: float(np.mean(values)) for name, values in means.items()},
        "gained": {name: float(gain.mean()) for name, gain in gains.items()} if shared else {},
        "ahead": [int((gains["accuracy"] > 0).sum()), int((gains["accuracy"] < 0).sum()), len(shared)],
        "auxiliaries": {answer: np.mean(values, axis=0).tolist() for answer, values in known.items()},
    }


def table(figures: dict[str, dict[str, Any]]) -> str:
    answers = list(dict.fromkeys(answer for told in figures.values() for answer in told["auxiliaries"]))
    header = ["method", "cells", "accuracy", "gained", "ahead", "NLL", "gained", *answers]
    return text_table(header, [_row(label, told, answers) for label, told in figures.items()])


def _row(label: str, told: dict[str, Any], answers: Sequence[str]) -> list[str]:
    better, worse, cells = told["ahead"]
    gained = told["gained"]
    known = {answer: f"{early:.2f} to {late:.2f}" for answer, (early, late) in told["auxiliaries"].items()}
    return [
        label,
        str(told["cells"]),
        f"{told['accuracy']:.3f}",
        f"{gained['accuracy']:+.3f}" if gained else "",
        f"{better}:{worse} of {cells}",
        f"{told['nll']:.2f}",
        f"{gained['nll']:+.2f}" if gained else "",
        *(known.get(answer, "") for answer in answers),
    ]


if __name__ == "__main__":
    raise SystemExit(main())
