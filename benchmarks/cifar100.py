"""Methods x label budgets x seeds on a fifth of CIFAR-100, with the same steps for all; resumable.

    python benchmarks/cifar100.py --jobs 2 --out runs/cifar100_small
    python benchmarks/cifar100.py --table --out runs/cifar100_small

A method may be followed by a factor of its steps: `ce*4` takes about as long as `lsskd`. `kd`, `sskd` and
`hsakd` train a teacher first, the configuration's `teacher_student`, for every cell and as long as the cell;
its seconds are among theirs. Cells that are finished are read, those that were cut off go on. Accuracy, NLL
and ECE are means over seeds with 95 % intervals of Student's t; differences to `ce` are paired by seed, which
draws labels and weights alike. Numbers of a method in the configuration are of that method and no other.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t

from sensorkd.errors import RunError
from sensorkd.evaluation.benchmark_workers import Workers
from sensorkd.images.config import ImageRunConfig
from sensorkd.images.config_file import load_image_config
from sensorkd.images.run import finished_run, run_images
from sensorkd.training.device import slow_precision

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "examples" / "images" / "cifar100_small.yaml"
METHODS = ("ce", "label_smoothing", "ps_kd", "sad", "lsskd")
METRICS = ("accuracy", "nll", "ece", "seconds")
Figure = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """One run of the grid. method: a name, or NAME*FACTOR of the steps."""

    method: str
    share: float
    seed: int

    def configured(self, config: str, overrides: Sequence[str], out: Path) -> ImageRunConfig:
        name, _, factor = self.method.partition("*")
        folder = out / f"{self.method.replace('*', '_x')}-{self.share:g}-{self.seed}"
        changes = [f"labels_share={self.share}", f"seed={self.seed}", f"out={folder}"]
        if load_image_config(config).method.name != name:
            overrides = [f"method={{name: {name}}}", *overrides]
        made = load_image_config(config, [*overrides, *changes])
        return made.lengthened(float(factor)) if factor else made


def run_all(configs: Sequence[ImageRunConfig], jobs: int) -> list[str]:
    """Run what is not finished; returns what failed."""
    failed, left = [], list(configs)
    with Workers(run_images, jobs) as workers:
        while left or workers.at_work:
            while left and workers.free:
                workers.begin(left.pop(0))
            for outcome in workers.outcomes():
                told = (
                    outcome.value if outcome.kind != "done" else f"accuracy {outcome.value['accuracy']:.4f}"
                )
                print(f"{Path(outcome.item.out).name}: {outcome.kind}: {told}", flush=True)
                failed += [] if outcome.kind == "done" else [outcome.item.out]
    return failed


def finished(cells: dict[Cell, ImageRunConfig]) -> dict[Cell, dict[str, Any]]:
    """Results by cell, of those that are there; a folder with another run is told of, and passed over."""
    found = {}
    for cell, config in cells.items():
        try:
            result = finished_run(config)
        except RunError as error:
            print(error, file=sys.stderr)
            continue
        if result is not None:
            found[cell] = result
    return found


def figure(values: Sequence[float]) -> Figure:
    """Mean, half of the 95 % interval of Student's t, which a single seed does not have, and every value."""
    count = len(values)
    half = None
    if count > 1:
        half = float(t.ppf(0.975, count - 1) * np.std(values, ddof=1) / math.sqrt(count))
    return {"mean": float(np.mean(values)), "half": half, "by_seed": list(values)}


def summary(results: dict[Cell, dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for every method and budget, with differences to `ce` over the seeds that both have."""
    rows = []
    for share in sorted({cell.share for cell in results}):
        for method in dict.fromkeys(cell.method for cell in results):
            mine = {c.seed: r for c, r in results.items() if (c.method, c.share) == (method, share)}
            plain = {c.seed: r for c, r in results.items() if (c.method, c.share) == ("ce", share)}
            both = sorted(mine.keys() & plain.keys())
            row: dict[str, Any] = {"labels_share": share, "method": method, "seeds": sorted(mine)}
            for name in METRICS if mine else ():
                row[name] = figure([mine[seed][name] for seed in sorted(mine)])
                if both and method != "ce":
                    row[f"{name}_to_ce"] = figure([mine[seed][name] - plain[seed][name] for seed in both])
            rows += [row] if mine else []
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [
        "| labels | method | accuracy | NLL | ECE | seconds | accuracy to ce | NLL to ce |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        seconds = f"{row['seconds']['mean']:.0f}"
        told = [_told(row.get(name)) for name in ("accuracy", "nll", "ece")]
        differences = [_told(row.get(f"{name}_to_ce"), "+") for name in ("accuracy", "nll")]
        shown = [f"{row['labels_share']:.0%}", row["method"], *told, seconds, *differences]
        lines.append(f"| {' | '.join(shown)} |")
    return "\n".join(lines)


def _told(value: Figure | None, sign: str = "") -> str:
    if value is None:
        return ""
    half = value["half"]
    return f"{value['mean']:{sign}.4f}" + ("" if half is None else f" ± {half:.4f}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.add_argument("--config", default=str(CONFIG))
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--shares", nargs="+", type=float, default=(0.25, 1.0))
    parser.add_argument("--seeds", nargs="+", type=int, default=(0, 1, 2))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--table", action="store_true", help="print what is there, and run nothing")
    parser.add_argument("--out", type=Path, default=Path("runs/cifar100_small"))
    parser.add_argument("--results", type=Path, help="write the figures as JSON")
    asked = parser.parse_args(arguments)
    # Seeds outside, so that what is there at any time is a whole comparison.
    cells = {
        cell: cell.configured(asked.config, asked.overrides, asked.out)
        for seed in asked.seeds
        for share in asked.shares
        for method in asked.methods
        for cell in [Cell(method, share, seed)]
    }
    if not asked.table and (slow := slow_precision(next(iter(cells.values())).training)):
        print(f"note: {slow}", file=sys.stderr)
    failed = [] if asked.table else run_all(list(cells.values()), asked.jobs)
    rows = summary(finished(cells))
    print(table(rows))
    if asked.results is not None:
        asked.results.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
