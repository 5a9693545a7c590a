"""What a benchmark compares: methods, label budgets, seeds and folds, read from YAML.

Every mistake is told at once, and an unknown key with the nearest one that is known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from sensorkd.distillation.methods import METHODS
from sensorkd.errors import ConfigError, nearest
from sensorkd.evaluation.benchmark_budgets import as_budgets
from sensorkd.yaml_files import mistakes, read_yaml

__all__ = ["BASELINES", "BenchmarkConfig", "MethodEntry", "TuneConfig", "TurnsConfig", "load_benchmark"]

# Not trained by the loop: fitted on the very same windows.
BASELINES = ("trees", "minirocket")
METRICS = ("accuracy", "macro_f1", "nll", "ece")
Overrides = Mapping[str, Any]
Seed = Annotated[int, Field(ge=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TurnsConfig(_Strict):
    """Which groups are held out together, in turn; all others are trained on.

    by: the identity that must not stand on two sides; default the run's. folds: so many parts, or
    `leave_one_out`, or the groups of each fold by name. groups: those that are held out; default all with a
    label.
    """

    by: str | None = None
    folds: Annotated[int, Field(ge=2)] | Literal["leave_one_out"] | tuple[tuple[str, ...], ...] = (
        "leave_one_out"
    )
    groups: tuple[str, ...] = ()

    @field_validator("folds", mode="before")
    @classmethod
    def _names_as_text(cls, value: Any) -> Any:
        if isinstance(value, list):
            return [[str(name) for name in fold] if isinstance(fold, list) else fold for fold in value]
        return value

    @field_validator("groups", mode="before")
    @classmethod
    def _groups_as_text(cls, value: Any) -> Any:
        return [str(name) for name in value] if isinstance(value, list) else value

    @model_validator(mode="after")
    def _groups_are_told_once(self) -> TurnsConfig:
        if isinstance(self.folds, tuple) and self.groups:
            raise ValueError("name the groups in `folds` or in `groups`, not both")
        return self


class MethodEntry(_Strict):
    """A method as it stands in the table.

    name: its label; default the method's name. method: of the loop, or `trees`, `minirocket`. set: overrides
    of the run for it alone. equal_time_with: label of a method whose time it is given, by more or fewer
    steps; the same method with the same overrides must stand in the list without it. labels_per_class: those
    budgets of the benchmark that it is run at; default all. What needs windows without a label has no place
    where there are none.
    """

    name: str
    method: str
    set: Overrides = {}
    equal_time_with: str | None = None
    labels_per_class: Annotated[tuple[str, ...], Field(min_length=1)] | None = None

    @field_validator("labels_per_class", mode="before")
    @classmethod
    def _budgets(cls, value: Any) -> Any:
        return None if value is None else as_budgets(value)

    @model_validator(mode="before")
    @classmethod
    def _by_name_alone(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value, "method": value}
        if isinstance(value, dict) and "method" in value:
            return {"name": value["method"], **value}
        return value

    @model_validator(mode="after")
    def _is_one(self) -> MethodEntry:
        known = [*METHODS, *BASELINES]
        if self.method not in known:
            raise ValueError(
                f"no method {self.method!r}; {nearest(self.method, known)}there are {sorted(known)}"
            )
        if not re.fullmatch(r"[^,=/\\]+", self.name):
            raise ValueError(f"{self.name!r} is no label: it holds one of , = / \\, or nothing")
        if self.equal_time_with is not None and self.method in BASELINES:
            raise ValueError(f"{self.method} takes no steps, so it cannot be given the time of another")
        return self

    @property
    def baseline(self) -> bool:
        """Whether it is fitted, not trained by the loop."""
        return self.method in BASELINES

    def at(self, budget: str) -> bool:
        """Whether it is run at a budget of the benchmark."""
        return self.labels_per_class is None or budget in self.labels_per_class


class TuneConfig(_Strict):
    """How overrides are chosen: on dev groups, never on a test fold.

    dev: groups by name, or the share of the first fold's training groups that is drawn for it. trials: label
    -> overrides to try, as many for every method. seeds, labels_per_class: of the trials; default the first
    seed and all budgets of the benchmark. metric: the mean of which chooses.
    """

    dev: tuple[str, ...] | Annotated[float, Field(gt=0, lt=1)]
    trials: Annotated[Mapping[str, tuple[Overrides, ...]], Field(min_length=1)]
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] | None = None
    labels_per_class: tuple[str, ...] | None = None
    metric: Literal["accuracy", "macro_f1", "nll", "ece"] = "macro_f1"

    @field_validator("dev", mode="before")
    @classmethod
    def _dev_as_text(cls, value: Any) -> Any:
        return [str(name) for name in value] if isinstance(value, list) else value

    @field_validator("labels_per_class", mode="before")
    @classmethod
    def _budgets(cls, value: Any) -> Any:
        return None if value is None else as_budgets(value)

    @model_validator(mode="after")
    def _as_many_for_every_method(self) -> TuneConfig:
        counts = {name: len(trials) for name, trials in self.trials.items()}
        if len(set(counts.values())) > 1:
            raise ValueError(f"every method gets as many trials as the others: {counts}")
        return self


class BenchmarkConfig(_Strict):
    """run: the configuration that all cells share, relative to this file. set: overrides of it.

    labels_per_class: budgets; a number, a share such as `25%`, all those of `2 groups`, or `all`. reference:
    label of the method that differences are taken to; default `ce`, or the first. sensors: also judge by
    sensors one by one, or by every subset. tuned: what `--tune` has written, relative to this file.
    """

    run: str
    set: Overrides = {}
    split: TurnsConfig = TurnsConfig()
    methods: Annotated[tuple[MethodEntry, ...], Field(min_length=1)]
    labels_per_class: Annotated[tuple[str, ...], Field(min_length=1)] = ("all",)
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (0,)
    reference: str | None = None
    sensors: Literal["none", "singles", "all"] = "none"
    tune: TuneConfig | None = None
    tuned: str | None = None

    @field_validator("labels_per_class", mode="before")
    @classmethod
    def _budgets(cls, value: Any) -> Any:
        return as_budgets(value)

    @model_validator(mode="after")
    def _labels_fit(self) -> BenchmarkConfig:
        names = [entry.name for entry in self.methods]
        wrong = [f"{name!r} stands there twice" for name in sorted(set(names)) if names.count(name) > 1]
        folders = [as_name(name) for name in dict.fromkeys(names)]
        wrong += [
            f"two methods whose cells would lie in {name!r}: change one of their names"
            for name in sorted(set(folders))
            if folders.count(name) > 1
        ]
        wrong += [f"seed {seed} twice" for seed in sorted(set(self.seeds)) if self.seeds.count(seed) > 1]
        if self.reference is not None and self.reference not in names:
            wrong.append(
                f"reference {self.reference!r}: {nearest(self.reference, names)}it is not in `methods`"
            )
        for entry in self.methods:
            wrong += self._wrong_times(entry, names)
            wrong += [
                f"{entry.name!r} at {budget!r}, which is no budget of the benchmark"
                for budget in entry.labels_per_class or ()
                if budget not in self.labels_per_class
            ]
        if self.tune is not None:
            wrong += self._wrong_trials(self.tune)
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def _wrong_times(self, entry: MethodEntry, names: Sequence[str]) -> list[str]:
        other = entry.equal_time_with
        if other is None:
            return []
        if other not in names:
            return [f"equal_time_with {other!r}: {nearest(other, names)}it is not in `methods`"]
        if self.entry(other).baseline or self.entry(other).equal_time_with is not None:
            return [f"equal_time_with {other!r}: it is not trained for so many steps"]
        base = self.base_of(entry)
        if base is None:
            return [
                f"{entry.name!r} needs {entry.method} at equal steps, with the same `set`, in `methods` too"
            ]
        return [
            f"{entry.name!r} is run at {budget!r}, and {source.name!r}, by which its steps are told, is not"
            for budget in self.labels_per_class
            for source in (base, self.entry(other))
            if entry.at(budget) and not source.at(budget)
        ]

    def _wrong_trials(self, tune: TuneConfig) -> list[str]:
        tried = {entry.name for entry in self.methods if not entry.baseline and entry.equal_time_with is None}
        wrong = [
            f"tune.trials of {name!r}, which is not trained here" for name in tune.trials if name not in tried
        ]
        budgets = tune.labels_per_class or self.labels_per_class
        wrong += [
            f"tune.labels_per_class has no budget that {name!r} is run at"
            for name in sorted(tried & set(tune.trials))
            if not any(map(self.entry(name).at, budgets))
        ]
        return wrong + [
            f"no tune.trials for {name!r}: every method gets as many"
            for name in sorted(tried - set(tune.trials))
        ]

    def entry(self, name: str) -> MethodEntry:
        """The method of a label."""
        return next(entry for entry in self.methods if entry.name == name)

    def base_of(self, entry: MethodEntry) -> MethodEntry | None:
        """The same method at equal steps, of one that is given the time of another."""
        for other in self.methods:
            if other.equal_time_with is None and (other.method, other.set) == (entry.method, entry.set):
                return other
        return None

    @property
    def compared_to(self) -> str:
        """Label of the reference."""
        names = [entry.name for entry in self.methods]
        return self.reference or ("ce" if "ce" in names else names[0])


def as_name(text: str) -> str:
    """A label as the name of a folder."""
    return re.sub(r"[^\w%+-]+", "_", text)


def load_benchmark(path: str | Path) -> BenchmarkConfig:
    """Read a benchmark; `run` and `tuned` become paths that can be opened.

    Raises:
        ConfigError: with every mistake at once, and the nearest name for an unknown key.
    """
    path = Path(path)
    tree = read_yaml(path, what="benchmark", examples="examples/benchmarks")
    if not isinstance(tree, dict):
        raise ConfigError("not a benchmark", file=path, found=type(tree).__name__, expected="keys and values")
    try:
        config = BenchmarkConfig.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(
            "the benchmark is not valid",
            file=path,
            found=mistakes(error, _fields_at),
            mend="correct these keys; examples/benchmarks/ has some that are",
        ) from error
    places = {"run": config.run, "tuned": config.tuned}
    found = {key: str((path.parent / item).resolve()) for key, item in places.items() if item is not None}
    return config.model_copy(update=found)


def _fields_at(place: Sequence[str]) -> set[str]:
    models: dict[str, type[BaseModel]] = {"split": TurnsConfig, "methods": MethodEntry, "tune": TuneConfig}
    return set((models.get(place[0], BenchmarkConfig) if place else BenchmarkConfig).model_fields)
