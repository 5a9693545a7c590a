"""Leave-one-subject-out on UTD-MHAD: depth video + acceleration + gyroscope, 27 classes.

    python benchmarks/utd_mhad.py --out runs/utd [--methods ce lsskd] [training.steps=500 ...]

Trains one student a subject and method at a fixed budget, judges its last averaged weights on the subject
it never saw, and pools the windows. Finished folds are not run again. Intervals are 95 % percentiles of a
bootstrap over subjects: with five of them they are coarse, and that is what is known.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from sensorkd.evaluation.evaluate import evaluate_run
from sensorkd.evaluation.tables import text_table
from sensorkd.models.cost import cost_of
from sensorkd.runs import Run, RunConfig, load_config, train_run
from sensorkd.runs.build import example_inputs
from sensorkd.training.metrics import classification_metrics

CONFIG = Path(__file__).parents[1] / "examples" / "configs" / "utd_mhad.yaml"
SUBJECTS = ("1", "2", "3", "5", "7")
METHODS = ("ce", "lsskd")
DRAWS = 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for runs and results.json")
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--subjects", nargs="+", default=list(SUBJECTS))
    parser.add_argument("overrides", nargs="*", help="configuration overrides")
    options, extra = parser.parse_known_args()
    overrides = [*options.overrides, *extra]
    options.out.mkdir(parents=True, exist_ok=True)
    results = {
        method: [run_fold(method, subject, options.out, overrides) for subject in options.subjects]
        for method in options.methods
    }
    summary = {method: pooled(folds) for method, folds in results.items()}
    (options.out / "results.json").write_text(json.dumps(summary, indent=1), encoding="utf-8")
    print(table(summary))


def run_fold(method: str, subject: str, out: Path, overrides: list[str]) -> dict[str, Any]:
    """Train and judge one fold, or read what it gave before."""
    folder = out / f"{method}-without-{subject}"
    done = folder / "fold.json"
    if done.exists():
        return dict(json.loads(done.read_text(encoding="utf-8")))
    config = load_config(
        CONFIG, [*overrides, f"method.name={method}", f'split.test=["{subject}"]', f"out={folder}"]
    )
    started = time.monotonic()
    run = train_run(config, resume=(folder / "last.safetensors").exists())
    fold = judge(run, config, subject, time.monotonic() - started)
    done.write_text(json.dumps(fold), encoding="utf-8")
    print(
        f"{method} without {subject}: {fold['metrics']['accuracy']:.3f} in {fold['seconds']:.0f} s",
        flush=True,
    )
    return fold


def judge(run: Run, config: RunConfig, subject: str, seconds: float) -> dict[str, Any]:
    result = evaluate_run(run)
    cost = cost_of(run.student(), example_inputs(run.encodings))
    return {
        "subject": subject,
        "steps": config.training.total_steps,
        "seconds": seconds,
        "macs": cost.macs,
        "parameters": cost.parameters,
        "metrics": result.overall.to_json(),
        "subsets": {name: metrics.accuracy for name, metrics in result.subsets.items()},
        "logits": result.logits.tolist(),
        "labels": result.labels.tolist(),
    }


def pooled(folds: list[dict[str, Any]]) -> dict[str, Any]:
    """All folds' windows together, and a bootstrap over subjects."""
    labels = [np.array(fold["labels"]) for fold in folds]
    metrics = classification_metrics(
        np.concatenate([np.array(fold["logits"]) for fold in folds]), np.concatenate(labels)
    )
    windows = np.array([len(label) for label in labels])
    subsets = {}
    for name in folds[0]["subsets"]:
        right = np.array([fold["subsets"][name] for fold in folds]) * windows
        subsets[name] = {"accuracy": float(right.sum() / windows.sum()), "interval": interval(right, windows)}
    return {
        **{key: value for key, value in metrics.to_json().items() if key != "confusion"},
        "interval": interval(np.array([fold["metrics"]["accuracy"] for fold in folds]) * windows, windows),
        "by_subject": {fold["subject"]: fold["metrics"]["accuracy"] for fold in folds},
        "subsets": subsets,
        "steps": folds[0]["steps"],
        "seconds_a_fold": float(np.mean([fold["seconds"] for fold in folds])),
        "parameters": folds[0]["parameters"],
        "macs": folds[0]["macs"],
    }


def interval(right: np.ndarray, windows: np.ndarray) -> list[float]:
    """95 % of the pooled accuracy when subjects are drawn with replacement."""
    draws = np.random.default_rng(0).integers(0, len(windows), (DRAWS, len(windows)))
    accuracy = right[draws].sum(axis=1) / windows[draws].sum(axis=1)
    return np.percentile(accuracy, [2.5, 97.5]).tolist()


def table(summary: dict[str, dict[str, Any]]) -> str:
    rows = []
    for method, result in summary.items():
        low, high = result["interval"]
        rows.append(
            [method, "all", f"{result['accuracy']:.3f}", f"{low:.3f} to {high:.3f}"]
            + [f"{result[key]:.3f}" for key in ("macro_f1", "nll", "ece")]
            + [f"{result['seconds_a_fold']:.0f}"]
        )
        for name, subset in result["subsets"].items():
            low, high = subset["interval"]
            rows.append(
                [method, name, f"{subset['accuracy']:.3f}", f"{low:.3f} to {high:.3f}", "", "", "", ""]
            )
    header = ["method", "sensors", "accuracy", "95 % (subjects)", "macro-F1", "NLL", "ECE", "s a fold"]
    return text_table(header, rows)


if __name__ == "__main__":
    main()
