"""The parts of a benchmark's file: which groups take turns, a method as it stands in the table, trials."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from sensorkd.distillation.methods import METHODS
from sensorkd.errors import ConfigError, nearest
from sensorkd.evaluation.benchmark_budgets import as_budgets
from sensorkd.evaluation.benchmark_overrides import flattened
from sensorkd.training.config import Seed

__all__ = [
    "BASELINES",
    "MethodEntry",
    "Overrides",
    "Strict",
    "TuneConfig",
    "TurnsConfig",
    "same_trials",
]

# Not trained by the loop: fitted on the very same windows.
BASELINES = ("trees", "minirocket")


def _told_once(changes: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        flattened(changes)
    except ConfigError as error:
        raise ValueError(f"{error.problem}: {error.found}") from error
    return changes


Overrides = Annotated[Mapping[str, Any], AfterValidator(_told_once)]


class Strict(BaseModel):
    """Refuses keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TurnsConfig(Strict):
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


class MethodEntry(Strict):
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


class TuneConfig(Strict):
    """How overrides are chosen: on dev groups, never on a test fold.

    dev: groups by name, or the share of the first fold's training groups that is drawn for it. trials: label
    -> overrides to try, as many for every method, no two alike. seeds, labels_per_class: of the trials;
    default the first seed and all budgets of the benchmark. metric: the mean of which chooses.
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
        for name, trials in self.trials.items():
            if len({_as_text(changes) for changes in trials}) < len(trials):
                raise ValueError(f"one trial of {name!r} stands there twice: {list(map(dict, trials))}")
        return self


def same_trials(some: Sequence[Overrides], others: Sequence[Overrides]) -> bool:
    """Whether they try the same, in whatever order, and nested or dotted."""
    return sorted(map(_as_text, some)) == sorted(map(_as_text, others))


def _as_text(changes: Overrides) -> str:
    return json.dumps(flattened(changes), sort_keys=True, default=str)
