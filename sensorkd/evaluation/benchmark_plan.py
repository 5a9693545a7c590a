"""The cells of a benchmark, in the order they are run: methods x budgets x seeds x folds."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sensorkd.errors import ConfigError, SensorkdError
from sensorkd.evaluation.benchmark_budgets import budget_overrides, labels_told
from sensorkd.evaluation.benchmark_chosen import chosen_overrides
from sensorkd.evaluation.benchmark_config import BenchmarkConfig, as_name
from sensorkd.evaluation.benchmark_entries import MethodEntry
from sensorkd.evaluation.benchmark_folds import folds_of, group_of, groups_within, labelled_groups
from sensorkd.evaluation.benchmark_overrides import (
    as_overrides,
    check_methods_own,
    check_own,
    flattened,
)
from sensorkd.evaluation.benchmark_portable import portable
from sensorkd.runs.config import RunConfig, SplitConfig
from sensorkd.runs.config_file import load_config
from sensorkd.runs.data import open_data

__all__ = ["Cell", "Plan", "plan_benchmark", "resolved_run"]

# What results do not depend on.
FREE = ("out", "cache", "isolated")


@dataclass(frozen=True)
class Cell:
    """One model: a method at a budget, with a seed, judged on a fold; or a trial, judged on dev groups.

    folder: holds `cell.json` and `windows.npz` once it is finished, and the run in `run/`.
    """

    label: str
    method: str
    budget: str
    seed: int
    fold: int
    config: RunConfig
    folder: Path
    sensors: str = "none"
    side: Literal["test", "dev"] = "test"
    trial: int | None = None

    def __str__(self) -> str:
        told = f"{self.label}, {labels_told(self.budget)}, seed {self.seed}, fold {self.fold}"
        return told if self.trial is None else f"{told}, trial {self.trial}"

    @property
    def baseline(self) -> bool:
        """Whether it is fitted, not trained by the loop."""
        return self.method != self.config.method.name

    @property
    def resolved(self) -> dict[str, Any]:
        """All that its result depends on, without what is left at a default: a new option changes nothing."""
        tree = self.config.model_dump(mode="json", exclude_defaults=True)
        told = portable({key: value for key, value in tree.items() if key not in FREE})
        method = self.config.method.method()
        if self.baseline or not (method.pseudo_labels and method.align):
            told.pop("unlabelled_shares", None)
        if self.baseline:
            # Nothing of the loop concerns it; what it is fitted on does.
            told = {key: value for key, value in told.items() if key not in ("method", "training", "model")}
            return {**told, "baseline": self.method, "sensors": self.sensors, "side": self.side}
        # Its numbers, not its name alone: a method that was changed since is another one.
        numbers = {item.name: getattr(method, item.name) for item in dataclasses.fields(method)}
        defaults = {item.name: item.default for item in dataclasses.fields(method)}
        changed = {key: value for key, value in numbers.items() if value != defaults[key]}
        told["method"] = {**told.get("method", {}), **changed}
        return {**told, "side": self.side}

    @property
    def identity(self) -> str:
        """Digest of `resolved`."""
        text = json.dumps(self.resolved, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def with_steps(self, steps: int) -> Cell:
        """The same, trained for so many steps."""
        training = self.config.training.model_copy(update={"steps": steps, "max_steps": None})
        return dataclasses.replace(self, config=self.config.model_copy(update={"training": training}))


@dataclass(frozen=True)
class Plan:
    """cells: seed by seed, so that a benchmark cut off has complete rows of few seeds.

    by: the identity that is held out. groups: all there are. labelled: those with a label of the target.
    within: group -> groups of the run's own split that it has a part in. folds: groups held out in each.
    tuned: label -> overrides that were chosen, on the groups `tuned_on`.
    left_out: what was wrong with files that cannot be opened.
    """

    config: BenchmarkConfig
    name: str
    out: Path
    by: str
    groups: tuple[str, ...]
    labelled: tuple[str, ...]
    within: Mapping[str, frozenset[str]]
    folds: tuple[tuple[str, ...], ...]
    cells: tuple[Cell, ...]
    tuned: Mapping[str, Mapping[str, Any]]
    tuned_on: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def plan_benchmark(config: BenchmarkConfig, out: Path, *, name: str, tuned: bool = True) -> Plan:
    """Lay out the cells; archives are opened to find the groups, nothing is read.

    Args:
        name: of the benchmark. tuned: apply what `config.tuned` names.

    Raises:
        ConfigError: overrides that are not valid, all of them at once; `tuned` is no such file, or of other
            trials than `tune`.
        SplitError: the split leaks, or names what is not there.
    """
    shared = flattened(config.set)
    check_own(shared, "set")
    for entry in config.methods:
        check_methods_own(flattened(entry.set), f"methods.{entry.name}.set")
    path = config.tuned_path if tuned else None
    chosen, tuned_on = ({}, ()) if path is None else chosen_overrides(config, path)
    base = load_config(config.run_path, as_overrides(shared))
    failed: list[SensorkdError] = []
    recordings, _ = open_data(
        base.data, base.layout, base.labels, on_error=failed.append, isolated_jobs=base.isolated_jobs
    )
    folds = folds_of(recordings, base, config.split)
    by = config.split.by or base.split.by
    configs = resolve(config, chosen)
    cells = tuple(
        cell_of(config, entry, budget, seed, number, configs[entry.name, budget], by, fold, out)
        for seed in config.seeds
        for budget in config.labels_per_class
        for number, fold in enumerate(folds)
        for entry in config.methods
        if entry.at(budget)
    )
    groups = tuple(sorted({group_of(recording, by) for recording in recordings}))
    return Plan(
        config,
        name,
        out,
        by,
        groups,
        labelled_groups(recordings, base, by),
        groups_within(recordings, by, base.split.by),
        tuple(folds),
        cells,
        chosen,
        tuned_on,
        tuple(map(str, failed)),
    )


def cell_of(
    config: BenchmarkConfig,
    entry: MethodEntry,
    budget: str,
    seed: int,
    number: int,
    run: RunConfig,
    by: str,
    fold: tuple[str, ...],
    out: Path,
) -> Cell:
    """One cell of the grid."""
    folder = out / "cells" / as_name(entry.name) / as_name(budget) / f"seed{seed}-fold{number:02d}"
    told = {"split": SplitConfig(by=by, test=fold), "seed": seed, "out": str(folder / "run")}
    changed = run.model_copy(update=told)
    return Cell(entry.name, entry.method, budget, seed, number, changed, folder, config.sensors)


def resolve(
    config: BenchmarkConfig, chosen: Mapping[str, Mapping[str, Any]]
) -> dict[tuple[str, str], RunConfig]:
    """The run of every method and budget.

    Raises:
        ConfigError: with the mistakes of all of them.
    """
    found, wrong = {}, dict[str, None]()
    for entry in config.methods:
        base = config.base_of(entry)
        more = chosen.get(entry.name, chosen.get(base.name, {}) if base is not None else {})
        for budget in filter(entry.at, config.labels_per_class):
            try:
                found[entry.name, budget] = resolved_run(config, entry, budget, more)
            except ConfigError as error:
                wrong[f"{entry.name}: {error.problem}: {error.found or error.expected}"] = None
    if wrong:
        raise ConfigError(
            "overrides of the benchmark are not valid",
            file=config.run_path,
            found="".join(f"\n    {line}" for line in wrong),
            mend="correct `set` of the benchmark or of these methods",
        )
    return found


def resolved_run(
    config: BenchmarkConfig, entry: MethodEntry, budget: str, more: Mapping[str, Any] | None = None
) -> RunConfig:
    """The configuration of a method at a budget: what all share, what is its own, what was chosen for it."""
    overrides = {**flattened(config.set), **flattened(entry.set), **flattened(more or {})}
    overrides |= budget_overrides(budget)
    # A baseline is of no method; the first one stands for it.
    overrides["method.name"] = "ce" if entry.baseline else entry.method
    return load_config(config.run_path, as_overrides(overrides))
