"""Chooses overrides for each method on dev groups: as many trials for every one, and no test group is seen.

A trial is trained on the training groups of one fold less the dev groups, and judged on the dev groups. The
fold's test groups are held out of it altogether.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from sensorkd.errors import ConfigError, SplitError, nearest
from sensorkd.evaluation.benchmark_config import BenchmarkConfig, as_name, load_benchmark
from sensorkd.evaluation.benchmark_entries import TuneConfig
from sensorkd.evaluation.benchmark_overrides import check_methods_own, flattened
from sensorkd.evaluation.benchmark_plan import Cell, Plan, plan_benchmark, resolved_run
from sensorkd.evaluation.benchmark_run import Progress, finished_cells, run_cells
from sensorkd.evaluation.benchmark_scores import HIGHER_IS_BETTER
from sensorkd.evaluation.tables import text_table
from sensorkd.runs.config import SplitConfig

__all__ = ["TUNED", "Tuned", "dev_groups", "tune_benchmark", "tuned_text"]

TUNED = "tuned.yaml"


@dataclass(frozen=True)
class Tuned:
    """trials: label -> (overrides, mean metric on dev groups or None where it failed). chosen: the best."""

    benchmark: str
    metric: str
    dev: tuple[str, ...]
    held_out: tuple[str, ...]
    trials: Mapping[str, list[tuple[Mapping[str, Any], float | None]]]
    chosen: Mapping[str, Mapping[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """Plain values, as `tuned.yaml` holds them."""
        return {
            "benchmark": self.benchmark,
            "metric": self.metric,
            "dev": list(self.dev),
            "held_out": list(self.held_out),
            "methods": {name: dict(item) for name, item in self.chosen.items()},
            "trials": {
                name: [{"set": dict(changes), self.metric: score} for changes, score in trials]
                for name, trials in self.trials.items()
            },
        }


def tune_benchmark(
    path: str | Path,
    out: Path,
    *,
    jobs: int = 1,
    hours: float | None = None,
    tell: Callable[[str], None] = print,
) -> tuple[Tuned, Progress]:
    """Run the trials that are not finished, choose, and write `tuned.yaml`, once every trial is through.

    Raises:
        ConfigError: the benchmark has no `tune`. SplitError: dev groups are none, or tested in every fold.
    """
    config = load_benchmark(path)
    if config.tune is None:
        raise ConfigError("nothing to tune", file=path, expected="`tune: {dev: ..., trials: ...}`")
    for name, trials in config.tune.trials.items():
        for changes in trials:
            check_methods_own(flattened(changes), f"tune.trials.{name}")
    plan = plan_benchmark(config, out, name=Path(path).stem, tuned=False)
    dev, held_out, number = dev_groups(plan, config.tune)
    cells = tuple(_cells(plan, config, config.tune, dev, held_out, number))
    grid = dataclasses.replace(plan, cells=cells, out=out / "tune", name=f"{plan.name}, trials")
    grid.out.mkdir(parents=True, exist_ok=True)
    progress = run_cells(grid, jobs=jobs, hours=hours, tell=tell)
    tuned = _chosen(grid, config.tune, dev, held_out)
    if not progress.left:
        part = out / f".{TUNED}.{os.getpid()}.part"
        part.write_text(yaml.safe_dump(tuned.to_json(), sort_keys=False), encoding="utf-8")
        part.replace(out / TUNED)
    return tuned, progress


def dev_groups(plan: Plan, tune: TuneConfig) -> tuple[tuple[str, ...], tuple[str, ...], int]:
    """Dev groups, and the fold (with its number) that is held out: the first that tests none of them.

    Raises:
        SplitError: no such group, none with a label, nothing left to train on, or a group of the run's own
            split that would be trained on and judged.
    """
    if isinstance(tune.dev, tuple):
        for name in tune.dev:
            if name not in plan.groups:
                told = list(plan.groups)
                mend = nearest(name, told) or "correct `tune.dev`"
                raise SplitError(f"no group {name!r}", inside="tune.dev", found=told, mend=mend)
            if name not in plan.labelled:
                raise SplitError(
                    f"group {name!r} has no label to judge by",
                    inside="tune.dev",
                    expected=list(plan.labelled),
                )
        for number, fold in enumerate(plan.folds):
            if not set(fold) & set(tune.dev):
                _check_apart(plan, tune.dev, fold)
                return tune.dev, fold, number
        raise SplitError(
            "every fold tests a dev group",
            inside="tune.dev",
            found=list(tune.dev),
            expected="a fold that tests none of them",
            mend="name fewer dev groups, or leave them out of `split.groups`",
        )
    held_out = plan.folds[0]
    others = [name for name in plan.labelled if name not in held_out]
    count = min(len(others) - 1, max(1, round(tune.dev * len(others))))
    if count < 1:
        raise SplitError("no group is left to train on", inside="tune.dev", found=others)
    drawn = np.random.default_rng(0).choice(len(others), count, replace=False)
    dev = _with_kin(plan, [others[index] for index in sorted(drawn.tolist())], held_out)
    if not set(others) - set(dev):
        raise SplitError("no group is left to train on", inside="tune.dev", found=others)
    return dev, held_out, 0


def _parts(plan: Plan, names: Iterable[str]) -> frozenset[str]:
    """Groups of the run's own split that some groups of the benchmark have a part in."""
    return frozenset().union(*(plan.within[name] for name in names))


def _with_kin(plan: Plan, dev: Sequence[str], held_out: Sequence[str]) -> tuple[str, ...]:
    """Dev groups and all others that the run's own split would keep on one side with them."""
    others, found = set(plan.groups) - set(held_out), set(dev)
    while kin := {name for name in others - found if plan.within[name] & _parts(plan, found)}:
        found |= kin
    return tuple(name for name in plan.groups if name in found)


def _check_apart(plan: Plan, dev: Sequence[str], held_out: Sequence[str]) -> None:
    """The run says what must not stand on two sides; dev groups of a finer split may put it there."""
    missing = [name for name in _with_kin(plan, dev, held_out) if name not in dev]
    if missing:
        both = sorted(_parts(plan, dev) & _parts(plan, missing))
        raise SplitError(
            "one group stands on both sides",
            inside="tune.dev",
            found=f"{both[:3]} in dev and in training",
            expected="as `split.by` of the run says, every such group on one side only",
            mend=f"name {missing[:3]} in `tune.dev` as well, or split by the run's own identity",
        )


def _cells(
    plan: Plan,
    config: BenchmarkConfig,
    tune: TuneConfig,
    dev: tuple[str, ...],
    held_out: tuple[str, ...],
    number: int,
) -> list[Cell]:
    """All trials of all methods, trial by trial."""
    split = SplitConfig(by=plan.by, dev=dev, test=held_out)
    count = len(next(iter(tune.trials.values())))
    found = []
    for index in range(count):
        for seed in tune.seeds or config.seeds[:1]:
            for budget in tune.labels_per_class or config.labels_per_class:
                for name, trials in tune.trials.items():
                    entry = config.entry(name)
                    if not entry.at(budget):
                        continue
                    run = resolved_run(config, entry, budget, trials[index])
                    place = f"{as_name(name)}/trial{index:02d}/{as_name(budget)}/seed{seed}"
                    folder = plan.out / "tune" / "cells" / place
                    told = {"split": split, "seed": seed, "out": str(folder / "run")}
                    cell = Cell(name, entry.method, budget, seed, number, run.model_copy(update=told), folder)
                    found.append(dataclasses.replace(cell, side="dev", trial=index))
    return found


def _chosen(trials: Plan, tune: TuneConfig, dev: tuple[str, ...], held_out: tuple[str, ...]) -> Tuned:
    """The trial with the best mean over budgets and seeds; one that failed anywhere is not chosen."""
    scores: dict[tuple[str, str], list[float]] = {}
    for cell, told in finished_cells(trials):
        key = (as_name(cell.label), cell.folder.parents[1].name)
        scores.setdefault(key, []).append(told["metrics"][told["sensors"][0]][tune.metric])
    seeds = len(tune.seeds or trials.config.seeds[:1])
    budgets = tune.labels_per_class or trials.config.labels_per_class
    sign = 1.0 if HIGHER_IS_BETTER[tune.metric] else -1.0
    tables: dict[str, list[tuple[Mapping[str, Any], float | None]]] = {}
    chosen: dict[str, Mapping[str, Any]] = {}
    for name, overrides in tune.trials.items():
        found = [scores.get((as_name(name), f"trial{index:02d}"), []) for index in range(len(overrides))]
        whole = seeds * sum(map(trials.config.entry(name).at, budgets))
        means = [float(np.mean(item)) if len(item) == whole else None for item in found]
        tables[name] = list(zip(overrides, means, strict=True))
        good = [(sign * mean, -index) for index, mean in enumerate(means) if mean is not None]
        if good:
            chosen[name] = overrides[-max(good)[1]]
    return Tuned(trials.name.removesuffix(", trials"), tune.metric, dev, held_out, tables, chosen)


def tuned_text(tuned: Tuned) -> str:
    """The trials of every method, and which of them was chosen."""
    rows = [
        [
            name,
            "" if score is None else f"{score:.3f}",
            "*" if tuned.chosen.get(name) is changes else "",
            changes,
        ]
        for name, trials in tuned.trials.items()
        for changes, score in trials
    ]
    table = text_table(["method", tuned.metric, "", "set"], rows)
    told = f"judged on {list(tuned.dev)}; {list(tuned.held_out)} held out of all trials; *: chosen"
    return f"{table}\n\n{told}"
