"""What a benchmark compares: methods, label budgets, seeds and folds, read from YAML.

Every mistake is told at once, and an unknown key with the nearest one that is known.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from sensorkd.errors import ConfigError, nearest
from sensorkd.evaluation.benchmark_budgets import as_budgets
from sensorkd.evaluation.benchmark_entries import (
    MethodEntry,
    Overrides,
    Strict,
    TuneConfig,
    TurnsConfig,
)
from sensorkd.training.config import Seed
from sensorkd.yaml_files import mistakes, read_yaml

__all__ = ["BenchmarkConfig", "as_name", "load_benchmark"]


class BenchmarkConfig(Strict):
    """run: the configuration that all cells share, relative to this file. set: overrides of it.

    labels_per_class: budgets; a number, a share such as `25%`, all those of `2 groups`, or `all`. reference:
    label of the method that differences are taken to; default `ce`, or the first. sensors: also judge by
    sensors one by one, or by every subset. tuned: what `--tune` has written, relative to this file.
    """

    # Of the file, which `run` and `tuned` are relative to; they stay as they were written.
    _folder: Path = PrivateAttr(default=Path())

    run: str
    set: Overrides = Field(default_factory=dict)
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
    def run_path(self) -> Path:
        """Where `run` can be opened."""
        return (self._folder / self.run).resolve()

    @property
    def tuned_path(self) -> Path | None:
        """Where `tuned` can be opened; None where nothing was chosen."""
        return None if self.tuned is None else (self._folder / self.tuned).resolve()

    def beside(self, folder: Path) -> BenchmarkConfig:
        """The same, of a file in that folder."""
        copied = self.model_copy()
        copied._folder = folder
        return copied

    @property
    def compared_to(self) -> str:
        """Label of the reference."""
        names = [entry.name for entry in self.methods]
        return self.reference or ("ce" if "ce" in names else names[0])


def as_name(text: str) -> str:
    """A label as the name of a folder."""
    return re.sub(r"[^\w%+-]+", "_", text)


def load_benchmark(path: str | Path) -> BenchmarkConfig:
    """Read a benchmark; what it names is looked for beside it.

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
    return config.beside(path.parent)


def _fields_at(place: Sequence[str]) -> set[str]:
    models: dict[str, type[BaseModel]] = {"split": TurnsConfig, "methods": MethodEntry, "tune": TuneConfig}
    return set((models.get(place[0], BenchmarkConfig) if place else BenchmarkConfig).model_fields)
