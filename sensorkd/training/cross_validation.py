"""Whether guesses on windows without a label can be believed, and of which sensors: asked of the labels.

How sure a network is of its guesses says little: after twenty labelled windows it is sure of wrong ones.
Labelled windows of groups that a student has not seen say more. The measure is ours.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

from sensorkd.distillation.methods import METHODS
from sensorkd.models.layered import LayeredStudent
from sensorkd.training.batches import LabelledSource, WindowSource
from sensorkd.training.inference import predict_subsets, sensor_subsets
from sensorkd.training.loop import train
from sensorkd.training.recipe import Recipe

__all__ = ["RECORD", "CrossValidation", "SelectableSource", "cross_validate", "settled"]

FOLDS = 5
# Of the run's steps: about as long as it learns from labels alone, before it guesses.
STEPS = 0.3
# Some of the sensors are asked in place of all where they leave clearly less doubt: labels are few.
CLEARLY = 0.9

# In a run's log.
RECORD = "cross_validation"

Rows = NDArray[np.int64]


class SelectableSource(LabelledSource, Protocol):
    """Labelled windows of which some can be taken."""

    def select(self, rows: Rows) -> WindowSource:
        """Some of the windows."""
        ...


@dataclass(frozen=True)
class CrossValidation:
    """doubts: by subset of the sensors, the NLL of held-out labelled windows, mean over their classes, as a
    share of log N, which knowing nothing costs. windows: how many were judged.
    """

    doubts: Mapping[tuple[str, ...], float]
    windows: int

    @property
    def voices(self) -> tuple[str, ...]:
        """The sensors to ask: all, unless some leave clearly less doubt; then the fewest of these."""
        least = min(self.doubts.values())
        good = [subset for subset, doubt in self.doubts.items() if CLEARLY * doubt <= least]
        every = max(self.doubts, key=len)
        return every if every in good else min(good, key=lambda subset: (len(subset), self.doubts[subset]))

    @property
    def doubt(self) -> float:
        """What these leave."""
        return self.doubts[self.voices]

    def told(self, limit: float) -> str:
        """One sentence, for a user."""
        best = " and ".join(self.voices)
        told = f"of {self.windows} labels held out in turn, {best} left {self.doubt:.2f} of the doubt"
        if self.doubt > limit:
            return f"{told}, above method.doubt of {limit:g}: windows without a label are left alone"
        every = max(self.doubts, key=len)
        if self.voices != every:
            told += f", all sensors {self.doubts[every]:.2f}"
        return f"{told}: {best} will be asked about windows without a label"

    def record(self) -> dict[str, Any]:
        """As plain values, for a log."""
        doubts = {"+".join(subset): doubt for subset, doubt in self.doubts.items()}
        return {"doubts": doubts, "windows": self.windows}

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> CrossValidation:
        """The inverse of `record`."""
        doubts = {tuple(name.split("+")): float(doubt) for name, doubt in record["doubts"].items()}
        return cls(doubts, int(record["windows"]))


def cross_validate(
    layered: LayeredStudent, windows: SelectableSource, groups: Sequence[str] | None, recipe: Recipe
) -> CrossValidation | None:
    """Train plain students on labels but those of some groups, and judge these by every subset of sensors.

    Costs about one and a half plain trainings. A held-out window counts where its class is among those
    that its student has learned.

    Args:
        layered: fresh; it is copied, not changed. windows: labelled ones of the training groups.
        groups: (W,) what must not stand on both sides; None, or a single one: every window for itself.

    Returns:
        None where nothing can be judged: no class has labelled windows in two groups.
    """
    labels = windows.labels
    if groups is None or len(set(groups)) < 2:
        groups = [str(row) for row in range(len(labels))]
    config = recipe.config.model_copy(
        update={
            "steps": max(1, round(STEPS * recipe.config.total_steps)),
            "max_steps": None,
            "sampling": "natural",
            "logit_adjustment": 0.0,
            "weights": "averaged",
        }
    )
    plain = dataclasses.replace(
        recipe, method=METHODS["ce"], config=config, teacher=None, unlabelled_shares=None, voices=None
    )
    subsets = sensor_subsets(layered.student.modalities)
    costs: dict[tuple[str, ...], list[NDArray[np.float64]]] = {subset: [] for subset in subsets}
    judged: list[NDArray[np.int64]] = []
    for seen, held in _folds(labels, groups, recipe.seed):
        held = held[np.isin(labels[held], labels[seen])]
        if not len(held):
            continue
        with tempfile.TemporaryDirectory() as folder:
            student = train(copy.deepcopy(layered), windows.select(seen), plain, Path(folder))
        said = predict_subsets(student, windows.select(held), subsets)
        truth = labels[held]
        judged.append(truth)
        for subset in subsets:
            logp = log_softmax(said["+".join(subset)].astype(np.float64), axis=1)
            costs[subset].append(-logp[np.arange(len(truth)), truth])
    if not judged:
        return None
    truth = np.concatenate(judged)
    nothing = math.log(layered.student.classes)
    means = {subset: _mean_over_classes(np.concatenate(parts), truth) for subset, parts in costs.items()}
    return CrossValidation({subset: mean / nothing for subset, mean in means.items()}, len(truth))


def settled(
    recipe: Recipe,
    layered: LayeredStudent,
    windows: SelectableSource,
    groups: Sequence[str] | None,
    *,
    records: Iterable[Mapping[str, Any]],
    on_record: Callable[[dict[str, Any]], None],
    on_note: Callable[[str], None] | None = None,
) -> Recipe:
    """The recipe after its doubt was settled: who is asked in visits, and whether anybody is.

    Args:
        layered, windows, groups: see `cross_validate`. records: of the run so far; one that was resumed
            holds to what was found at its beginning. on_record: told what was found, and the seconds it
            took. on_note: told what a user should know.
    """
    if not (recipe.method.doubt and recipe.method.pseudo_from_visit):
        return recipe
    tell = on_note or (lambda _: None)
    before = next((record[RECORD] for record in records if RECORD in record), None)
    if before is None:
        began = time.monotonic()
        found = cross_validate(layered, windows, groups, recipe)
        record = None if found is None else found.record()
        on_record({RECORD: record or {}, "seconds": time.monotonic() - began})
    else:
        found = CrossValidation.of_record(before) if before else None
    if found is None:
        tell(
            "no class has labels in two groups, so nothing tells how far guesses on windows without a "
            "label can be believed; they are"
        )
        return recipe
    tell(found.told(recipe.method.doubt))
    if found.doubt > recipe.method.doubt:
        return dataclasses.replace(recipe, method=dataclasses.replace(recipe.method, unlabelled=0.0))
    every = len(found.voices) == len(layered.student.modalities)
    return recipe if every else dataclasses.replace(recipe, voices=found.voices)


def _folds(labels: Rows, groups: Sequence[str], seed: int) -> Iterator[tuple[Rows, Rows]]:
    """Rows to learn from and to judge; classes are spread over the folds where each has labels enough."""
    count = min(FOLDS, len(set(groups)))
    if count < 2:
        return iter(())
    most = int(np.bincount(labels).max())
    folds = (StratifiedGroupKFold if most >= count else GroupKFold)(count, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A class with fewer labels than folds is not in all of them, which is as it should be.
        warnings.simplefilter("ignore", UserWarning)
        return iter(list(folds.split(labels, labels, np.asarray(groups))))


def _mean_over_classes(costs: NDArray[np.float64], truth: Rows) -> float:
    return float(np.mean([costs[truth == label].mean() for label in np.unique(truth)]))
