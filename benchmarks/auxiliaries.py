"""How well auxiliaries do in a finished benchmark, beside what the student gains: a row a method.

    python benchmarks/auxiliaries.py runs/utd-ablations [--reference lsskd] [--out FILE]

Reads cells and the logs of their runs (`cells/*/*/*/run`), and trains nothing. `class`: how often the
deepest fused auxiliary names the class of a labelled training window, however it is transformed. `told
apart`: how often the deepest auxiliary of a modality, and of the fused stages, knows of two transforms of a
window which is which (0.5 by guessing), the mean over pairs. Both are of the last quarter of the epochs.
Accuracy and NLL are of the groups that were held out: means over cells; `gained` is the difference to the
reference over those cells that both have, and `ahead` in how many of them accuracy is better and worse.
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


def auxiliaries_of(log: Sequence[dict[str, Any]]) -> dict[str, float]:
    """`class`, and of each modality how well transforms are told apart; what a method has not is left out."""
    history = [record["auxiliaries"] for record in log if record.get("auxiliaries")]
    if not history:
        return {}
    end = history[-max(1, round(END * len(history))) :]
    deepest = {name.partition("/")[0]: name for name in end[-1]}  # stages stand in order
    told = {place: mean_of(end, name, lambda key: PAIR in key) for place, name in deepest.items()}
    told["class"] = mean_of(end, deepest.get(FUSED, ""), lambda key: key == "class")
    return {place: value for place, value in told.items() if not math.isnan(value)}


def mean_of(history: Sequence[dict[str, dict[str, float]]], name: str, wanted: Any) -> float:
    values = [value for record in history for key, value in record.get(name, {}).items() if wanted(key)]
    return float(np.mean(values)) if values else math.nan


def figures_of(cells: Cells, reference: Cells) -> dict[str, Any]:
    shared = sorted(set(cells) & set(reference))
    gained = np.array([cells[key]["accuracy"] - reference[key]["accuracy"] for key in shared])
    places = list(dict.fromkeys(place for cell in cells.values() for place in cell["auxiliaries"]))
    return {
        "cells": len(cells),
        **{
            name: float(np.mean([cell[name] for cell in cells.values()]))
            for name in ("accuracy", "nll", "ece")
        },
        "gained": float(gained.mean()) if shared else None,
        "ahead": [int((gained > 0).sum()), int((gained < 0).sum()), len(shared)],
        "nll gained": float(np.mean([cells[key]["nll"] - reference[key]["nll"] for key in shared]))
        if shared
        else None,
        "auxiliaries": {
            place: float(
                np.mean([c["auxiliaries"][place] for c in cells.values() if place in c["auxiliaries"]])
            )
            for place in places
        },
    }


def table(figures: dict[str, dict[str, Any]]) -> str:
    places = list(dict.fromkeys(place for row in figures.values() for place in row["auxiliaries"]))
    apart = [place for place in places if place != "class"]
    header = ["method", "cells", "accuracy", "gained", "ahead", "NLL", "gained", "ECE", "class"]
    header += [f"told apart, {place}" for place in apart]
    return text_table(header, [_row(label, figures[label], apart) for label in figures])


def _row(label: str, told: dict[str, Any], apart: Sequence[str]) -> list[str]:
    better, worse, cells = told["ahead"]
    seen = told["auxiliaries"]
    return [
        label,
        str(told["cells"]),
        f"{told['accuracy']:.3f}",
        "" if told["gained"] is None else f"{told['gained']:+.3f}",
        f"{better}:{worse} of {cells}",
        f"{told['nll']:.2f}",
        "" if told["nll gained"] is None else f"{told['nll gained']:+.2f}",
        f"{told['ece']:.3f}",
        *(f"{seen[place]:.2f}" if place in seen else "" for place in ("class", *apart)),
    ]


if __name__ == "__main__":
    raise SystemExit(main())
