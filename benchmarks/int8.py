"""What int8 loses on groups never seen: every group held out in turn, trained, exported with int8, judged.

    python benchmarks/int8.py examples/configs/utd_mhad.yaml --work runs/int8-utd [--out FILE] [KEY=VALUE...]

The gate of `export` decides by windows of the training groups; here what passed it is judged by the group
that neither training nor calibration saw, with all its sensors and under every subset of them. Runs and
bundles that lie in --work serve again. Losses are means over groups with 95 % intervals of Student's t; below
0, int8 is better. "pooled" takes the windows of all groups together, as one ECE of many windows means
more than a mean of small ones.

Exit code 1 when int8 loses more than 0.5 points of accuracy or 0.01 ECE with all sensors, pooled.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats

from sensorkd.edge import EdgeBundle, EdgePredictor
from sensorkd.evaluation.run_windows import RunWindows, windows_for
from sensorkd.evaluation.tables import text_table
from sensorkd.export.gate import presences
from sensorkd.export.seal import export_run
from sensorkd.runs import Run, load_config, train_run
from sensorkd.runs.data import plan_run
from sensorkd.training.metrics import classification_metrics

METRICS = ("accuracy", "nll", "ece")
LIMITS = {"accuracy": 0.005, "ece": 0.01}
ALL, EVERY = "all sensors", "every subset"


@dataclass(frozen=True)
class Judged:
    """One group. labels: (W,). logits: what is judged -> precision -> (S * W, N)."""

    labels: Any
    logits: dict[str, dict[str, Any]]
    float_layers: tuple[str, ...]


def main() -> int:
    options = arguments()
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    config = load_config(options.config, options.overrides)
    planned = plan_run(config)
    names = sorted(
        {group for group, label in zip(planned.groups, planned.labels.tolist(), strict=True) if label >= 0}
    )
    judged = {}
    for name in names:
        judged[name] = group_judged(options, name)
        print(f"{name}: {len(judged[name].labels)} windows", file=sys.stderr, flush=True)
    found = {what: losses(judged, what) for what in (ALL, EVERY)}
    found["float layers"] = {name: list(item.float_layers) for name, item in judged.items()}
    report(found)
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    pooled = found[ALL]["pooled"]
    return 0 if all(pooled[name]["lost"] <= limit for name, limit in LIMITS.items()) else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--work", type=Path, required=True, help="folder of the runs and bundles")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    return parser.parse_intermixed_args()


def group_judged(options: argparse.Namespace, group: str) -> Judged:
    """Train without the group, export, and judge its windows in both precisions."""
    folder, bundle = options.work / f"without-{group}", options.work / f"bundle-{group}"
    changes = [*options.overrides, f"split.test={json.dumps([group])}", f"out={folder}"]
    finished = (folder / "averaged.safetensors").exists()
    run = Run.load(folder) if finished else train_run(load_config(options.config, changes))
    if not bundle.exists():
        export_run(run, bundle, int8=True)
    opened, windows = EdgeBundle.open(bundle), windows_for(run)
    known = np.flatnonzero(windows.labels >= 0)
    logits: dict[str, dict[str, Any]] = {ALL: {}, EVERY: {}}
    for precision in ("fp32", "int8"):
        said = said_of(EdgePredictor(opened, precision=precision), windows, known)
        logits[ALL][precision], logits[EVERY][precision] = said[0], np.concatenate(said)
    assert opened.description.int8 is not None
    return Judged(windows.labels[known], logits, opened.description.int8.float_layers)


def said_of(predictor: EdgePredictor, windows: RunWindows, rows: Any) -> list[Any]:
    """(W, N) logits under every subset of the sensors, all of them first; a window at a time."""
    variants = presences(windows.arrays.presence[rows])
    said: list[list[Any]] = [[] for _ in variants]
    for place, row in enumerate(rows.tolist()):
        inputs = {name: np.asarray(values[row : row + 1]) for name, values in windows.arrays.inputs.items()}
        for number, here in enumerate(variants):
            said[number].append(predictor.predict(inputs, here[place : place + 1]).logits[0])
    return [np.array(item) for item in said]


def losses(judged: dict[str, Judged], what: str) -> dict[str, Any]:
    """Metric -> float, int8 and what is lost: of each group, in the mean over them, and pooled."""
    groups = {name: figures([item], what) for name, item in judged.items()}
    mean = {}
    for metric in METRICS:
        lost = [item[metric]["lost"] for item in groups.values()]
        half = stats.t.ppf(0.975, len(lost) - 1) * np.std(lost, ddof=1) / np.sqrt(len(lost))
        mean[metric] = {"lost": float(np.mean(lost)), "half": float(half)}
    return {"groups": groups, "mean": mean, "pooled": figures(list(judged.values()), what)}


def figures(judged: Sequence[Judged], what: str) -> dict[str, dict[str, float]]:
    """Metric -> `fp32`, `int8` and `lost`, of the windows of some groups together."""
    found = {}
    for precision in ("fp32", "int8"):
        logits = np.concatenate([item.logits[what][precision] for item in judged])
        labels = np.concatenate(
            [np.tile(item.labels, len(item.logits[what][precision]) // len(item.labels)) for item in judged]
        )
        found[precision] = classification_metrics(logits, labels)
    told = {}
    for metric in METRICS:
        before, after = (float(getattr(found[precision], metric)) for precision in ("fp32", "int8"))
        lost = before - after if metric == "accuracy" else after - before
        told[metric] = {"fp32": before, "int8": after, "lost": lost}
    return told


def report(found: dict[str, Any]) -> None:
    header = ["", *(f"{metric} {what}" for metric in METRICS for what in ("fp32", "int8", "lost"))]
    for what in (ALL, EVERY):
        rows = [
            [name, *(f"{item[metric][key]:.4f}" for metric in METRICS for key in ("fp32", "int8", "lost"))]
            for name, item in [*found[what]["groups"].items(), ("pooled", found[what]["pooled"])]
        ]
        print(f"\n{what}\n{text_table(header, rows)}")
        mean = (
            f"{metric} {item['lost']:+.4f} +- {item['half']:.4f}"
            for metric, item in found[what]["mean"].items()
        )
        print(f"lost, mean over groups: {', '.join(mean)}")
    left = {name: layers for name, layers in found["float layers"].items() if layers}
    print(
        "\nlayers left in float:", "; ".join(f"{name}: {', '.join(v)}" for name, v in left.items()) or "none"
    )


if __name__ == "__main__":
    sys.exit(main())
