"""Methods on groups they never saw: every group, or fold of groups, is left out once.

    python benchmarks/by_group.py examples/configs/femto.yaml [training.steps=400 ...] --out runs/femto-groups
        [--methods ce lsskd trees] [--folds N] [--seeds 0 1 2] [--jobs 2]

Trains one student a fold, method and seed at a fixed budget, and `trees` (extremely randomised trees on
hand-made features) for every subset of sensors on the very same windows. Each window is judged once a seed,
by a model that saw nothing of its group; macro-F1 and accuracy are of all windows together. Intervals are
95 % percentiles of a bootstrap over groups, of the mean over seeds. Finished folds are not run again.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from sensorkd.evaluation.evaluate import evaluate_run, sensor_subsets
from sensorkd.evaluation.tables import text_table
from sensorkd.evaluation.trees import Trees
from sensorkd.runs import RunConfig, load_config, train_run
from sensorkd.runs.data import open_data, plan_run, read_arrays
from sensorkd.training.metrics import classification_metrics
from sensorkd.windows.splits import fold_of_groups

DRAWS = 2_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("overrides", nargs="*", help="of the configuration, key=value")
    parser.add_argument("--out", type=Path, required=True, help="folder for runs and results.json")
    parser.add_argument("--methods", nargs="+", default=["ce", "lsskd", "trees"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--folds", type=int, default=0, help="0: leave one group out")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    overrides = options.overrides
    options.out.mkdir(parents=True, exist_ok=True)
    config = load_config(options.config, [*overrides, f"out={options.out / 'plan'}"])
    by, sides = config.split.by, held_out_sides(config, options.folds)
    jobs = [
        joblib.delayed(run_fold)(options, overrides, method, seed, number, {"by": by, "test": groups})
        for seed in options.seeds
        for number, groups in enumerate(sides)
        for method in options.methods
    ]
    folds = joblib.Parallel(n_jobs=options.jobs)(jobs)
    result = {
        "config": options.config.name,
        "overrides": overrides,
        "seeds": options.seeds,
        "folds": len(sides),
        "groups": sum(map(len, sides)),
        "rows": [row for method in options.methods for row in rows_of(folds, method)],
        "differences": differences(folds, options.methods),
    }
    (options.out / "results.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    print(told(result))


def held_out_sides(config: RunConfig, folds: int) -> list[list[str]]:
    """Groups of each fold; the same for every method and seed."""
    recordings, _ = open_data(config.data, config.layout, config.labels)
    by = config.split.by
    names = sorted({item.id if by == "recording" else item.identity[by] for item in recordings})
    if not folds:
        return [[name] for name in names]
    return [list(fold_of_groups(names, folds=folds, fold=number)) for number in range(folds)]


def run_fold(
    options: argparse.Namespace,
    overrides: list[str],
    method: str,
    seed: int,
    number: int,
    split: dict[str, Any],
) -> dict[str, Any]:
    """Train and judge one fold, or read what it gave before."""
    folder = options.out / f"{method}-seed{seed}-fold{number:02d}"
    done = folder / "fold.json"
    if done.exists():
        return dict(json.loads(done.read_text(encoding="utf-8")))
    named = "ce" if method == "trees" else method
    changes = [f"split={json.dumps(split)}", f"method.name={named}", f"seed={seed}", f"out={folder}"]
    config = load_config(options.config, [*overrides, *changes])
    started = time.monotonic()
    judged = trees_fold(config) if method == "trees" else student_fold(config, folder)
    fold = {"method": method, "seed": seed, "fold": number, "seconds": time.monotonic() - started, **judged}
    done.parent.mkdir(parents=True, exist_ok=True)
    done.write_text(json.dumps(fold), encoding="utf-8")
    everything = fold["subsets"][max(fold["subsets"], key=lambda name: name.count("+"))]
    told = f"macro-F1 {f1_of(everything):.3f} in {fold['seconds']:.0f} s"
    print(f"{method} seed {seed} fold {number}: {told}", flush=True)
    return fold


def student_fold(config: RunConfig, folder: Path) -> dict[str, Any]:
    """One student for all subsets of sensors."""
    run = train_run(config, resume=(folder / "last.safetensors").exists())
    result = evaluate_run(run)
    names = list(run.encodings)
    by_subset = {**result.subset_logits, "+".join(names): result.logits}
    return summary(by_subset, result.labels, result.groups, len(run.classes))


def trees_fold(config: RunConfig) -> dict[str, Any]:
    """Trees for every subset of sensors, each fitted for it."""
    planned = plan_run(config)
    train, test = planned.rows("train"), planned.rows("test")
    seen, unseen = read_arrays(planned, train), read_arrays(planned, test)
    by_subset = {}
    for subset in sensor_subsets(list(planned.encodings)):
        trees = Trees(planned.encodings, only=subset, classes=len(planned.classes), seed=config.seed)
        trees.fit(seen.inputs, seen.presence, planned.labels[train])
        by_subset["+".join(subset)] = trees.logits(unseen.inputs, unseen.presence)
    groups = [planned.groups[row] for row in test]
    return summary(by_subset, planned.labels[test], groups, len(planned.classes))


def summary(
    by_subset: dict[str, np.ndarray], labels: np.ndarray, groups: list[str], classes: int
) -> dict[str, Any]:
    """Confusion matrices by subset and group, and calibration by subset; logits are not kept."""
    names = np.array(groups)
    subsets: dict[str, dict[str, Any]] = {}
    quality: dict[str, dict[str, float]] = {}
    for subset, logits in by_subset.items():
        subsets[subset] = {}
        for name in sorted(set(groups)):
            here = names == name
            confusion = np.zeros((classes, classes), int)
            np.add.at(confusion, (labels[here], logits[here].argmax(axis=1)), 1)
            subsets[subset][name] = confusion.tolist()
        metrics = classification_metrics(logits, labels)
        quality[subset] = {"nll": metrics.nll, "ece": metrics.ece, "windows": metrics.windows}
    return {"subsets": subsets, "quality": quality}


def f1_of(confusions: dict[str, Any]) -> float:
    return float(scores_of(np.sum([np.array(item) for item in confusions.values()], axis=0))[0])


def scores_of(confusion: np.ndarray) -> np.ndarray:
    """Macro-F1 over the classes that occur, and accuracy, of confusion matrices (..., N, N)."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1).astype(float)
    both = confusion.sum(axis=-1) + confusion.sum(axis=-2)
    f1 = np.divide(2 * hits, both, out=np.zeros_like(hits), where=both > 0)
    macro = f1.sum(axis=-1) / np.maximum((both > 0).sum(axis=-1), 1)
    return np.stack([macro, hits.sum(axis=-1) / np.maximum(confusion.sum(axis=(-2, -1)), 1)])


def stacked(folds: list[dict[str, Any]], method: str, subset: str) -> np.ndarray:
    """(seeds, groups, N, N) confusion matrices."""
    seeds = sorted({fold["seed"] for fold in folds})
    by_seed = []
    for seed in seeds:
        groups: dict[str, Any] = {}
        for fold in folds:
            if fold["method"] == method and fold["seed"] == seed:
                groups |= fold["subsets"][subset]
        by_seed.append([groups[name] for name in sorted(groups)])
    return np.array(by_seed)


def bootstrap(confusions: np.ndarray) -> np.ndarray:
    """(2, DRAWS) macro-F1 and accuracy of groups drawn with replacement, mean over seeds."""
    count = confusions.shape[1]
    draws = np.random.default_rng(0).integers(0, count, (DRAWS, count))
    times = np.stack([np.bincount(draw, minlength=count) for draw in draws])
    pooled = np.einsum("dg,sgij->dsij", times, confusions)
    return scores_of(pooled).mean(axis=2)


def rows_of(folds: list[dict[str, Any]], method: str) -> list[dict[str, Any]]:
    mine = [fold for fold in folds if fold["method"] == method]
    rows = []
    for subset in mine[0]["subsets"]:
        confusions = stacked(folds, method, subset)
        by_seed = scores_of(confusions.sum(axis=1))
        low, high = np.percentile(bootstrap(confusions), [2.5, 97.5], axis=1)
        windows = np.array([fold["quality"][subset]["windows"] for fold in mine])
        weighted = {
            key: float(np.average([fold["quality"][subset][key] for fold in mine], weights=windows))
            for key in ("nll", "ece")
        }
        rows.append(
            {
                "method": method,
                "sensors": subset,
                "macro_f1": float(by_seed[0].mean()),
                "macro_f1_by_seed": by_seed[0].tolist(),
                "macro_f1_interval": [float(low[0]), float(high[0])],
                "accuracy": float(by_seed[1].mean()),
                "accuracy_interval": [float(low[1]), float(high[1])],
                **weighted,
                "seconds_a_fold": float(np.mean([fold["seconds"] for fold in mine])),
            }
        )
    return rows


def differences(folds: list[dict[str, Any]], methods: list[str]) -> list[dict[str, Any]]:
    """Macro-F1 of the first methods less that of the last one, with all sensors, paired by the draw."""
    last = methods[-1]
    subset = max(folds[0]["subsets"], key=lambda name: name.count("+"))
    base = bootstrap(stacked(folds, last, subset))[0]
    found = []
    for method in methods[:-1]:
        difference = bootstrap(stacked(folds, method, subset))[0] - base
        low, high = np.percentile(difference, [2.5, 97.5])
        mean = np.mean(scores_of(stacked(folds, method, subset).sum(axis=1))[0]) - np.mean(
            scores_of(stacked(folds, last, subset).sum(axis=1))[0]
        )
        found.append(
            {"of": method, "less": last, "macro_f1": float(mean), "interval": [float(low), float(high)]}
        )
    return found


def told(result: dict[str, Any]) -> str:
    header = ["method", "sensors", "macro-F1", "95 % (groups)", "accuracy", "NLL", "ECE", "s a fold"]
    rows = [
        [
            row["method"],
            row["sensors"],
            f"{row['macro_f1']:.3f}",
            "{:.3f} to {:.3f}".format(*row["macro_f1_interval"]),
            f"{row['accuracy']:.3f}",
            f"{row['nll']:.2f}",
            f"{row['ece']:.3f}",
            f"{row['seconds_a_fold']:.0f}",
        ]
        for row in result["rows"]
    ]
    lines = [text_table(header, rows), ""]
    lines += [
        f"{item['of']} less {item['less']}, all sensors: macro-F1 {item['macro_f1']:+.3f} "
        "({:+.3f} to {:+.3f})".format(*item["interval"])
        for item in result["differences"]
    ]
    lines.append(f"{result['groups']} groups in {result['folds']} folds, seeds {result['seeds']}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
