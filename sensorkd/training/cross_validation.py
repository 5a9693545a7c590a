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
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

from sensorkd.distillation.methods import METHODS
from sensorkd.models.layered import LayeredStudent
from sensorkd.training.batches import ArrayDataset
from sensorkd.training.inference import predict_subsets, sensor_subsets
from sensorkd.training.loop import train
from sensorkd.training.recipe import Recipe

__all__ = ["RECORD", "CrossValidation", "cross_validate", "settled"]

FOLDS = 5
# Of the run's steps: about as long as it learns from labels alone, before it guesses.
STEPS = 0.3
# Some of the sensors are asked in place of all where they leave clearly less doubt: labels are few.
CLEARLY = 0.9
# What scikit-learn takes; a run's seed may be larger.
LARGEST_SEED = 2**32

# In a run's log.
RECORD = "cross_validation"

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CrossValidation:
    """doubts: by subset of the sensors, the NLL of held-out labelled windows, mean over their classes, as a
    share of log N, which knowing nothing costs. windows: how many were judged.
    """

    doubts: Mapping[tuple[str, ...], float]
    windows: int

    @property
    def best(self) -> tuple[str, ...]:
        """The sensors that leave least doubt."""
        return min(self.doubts, key=lambda subset: self.doubts[subset])

    def voices(self, limit: float) -> tuple[tuple[str, ...], ...]:
        """Subsets that leave at most so much doubt, in the order in which they should be asked.

        All sensors come first, unless some leave clearly less doubt; then the fewest that leave hardly more
        than the least. The others follow by what they leave, for windows that lack a sensor.
        """
        every = max(self.doubts, key=len)
        most = min(CLEARLY * self.doubts[every], self.doubts[self.best] / CLEARLY)
        good = [subset for subset in self.doubts if self.doubts[subset] < most]
        first = min(good, key=lambda subset: (len(subset), self.doubts[subset]), default=every)
        order = sorted(self.doubts, key=lambda subset: (subset != first, self.doubts[subset]))
        return tuple(subset for subset in order if self.doubts[subset] <= limit)

    def told(self, limit: float) -> str:
        """One sentence, for a user."""
        voices = self.voices(limit)
        first = voices[0] if voices else self.best
        names = " and ".join(first)
        told = (
            f"of {self.windows} labels held out in turn, {names} left {self.doubts[first]:.2f} of the doubt"
        )
        if not voices:
            return f"{told}, above method.doubt of {limit:g}: windows without a label are left alone"
        every = max(self.doubts, key=len)
        if first != every:
            told += f", all sensors {self.doubts[every]:.2f}"
        return f"{told}: {names} will be asked about windows without a label"

    def record(self) -> dict[str, Any]:
        """As plain values, for a log."""
        doubts = [{"sensors": list(subset), "doubt": doubt} for subset, doubt in self.doubts.items()]
        return {"doubts": doubts, "windows": self.windows}

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> CrossValidation:
        """The inverse of `record`."""
        doubts = {tuple(item["sensors"]): float(item["doubt"]) for item in record["doubts"]}
        return cls(doubts, int(record["windows"]))


def cross_validate(
    layered: LayeredStudent, windows: ArrayDataset, groups: Sequence[str] | None, recipe: Recipe
) -> CrossValidation | None:
    """Train plain students on labels but those of some groups, and judge these by every subset of sensors.

    Costs about one and a half plain trainings. A student is judged as though the classes that it learned
    were equally common, by windows of these: log p - log pi, normalised, with pi their shares among its
    labels (Menon et al., ICLR 2021). Weak labels count by their weight. Windows count for the sensors that
    they have whole; a class that none of these shows leaves all doubt.

    Args:
        layered: fresh; it is copied, not changed. windows: labelled ones of the training groups.
        groups: (W,) what must not stand on both sides; None, or a single one: every window for itself.

    Returns:
        None where nothing can be judged: no class has labelled windows in two groups.
    """
    labels, weights, presence = windows.labels, windows.label_weights, windows.presence
    mass = windows.label_mass(layered.student.classes)
    if groups is None or len(set(groups)) < 2:
        groups = [str(row) for row in range(len(labels))]
    names = layered.student.modalities
    subsets = sensor_subsets(names)
    plain = _plain(recipe)
    costs: dict[tuple[str, ...], list[Floats]] = {subset: [] for subset in subsets}
    judged: list[Rows] = []
    for seen, held in _folds(labels, groups, recipe.seed):
        learned = mass[seen].sum(axis=0)
        held = held[learned[labels[held]] > 0]
        if not len(held) or np.count_nonzero(learned) < 2:
            continue
        with tempfile.TemporaryDirectory() as folder:
            student = train(copy.deepcopy(layered), windows.select(seen), plain, Path(folder))
        said = predict_subsets(student, windows.select(held), subsets)
        judged.append(held)
        for subset in subsets:
            costs[subset].append(_costs(said["+".join(subset)], labels[held], learned))
    if not judged:
        return None
    rows = np.concatenate(judged)
    doubts = {}
    for subset, parts in costs.items():
        whole = presence[rows][:, [name in subset for name in names]].all(axis=1)
        doubts[subset] = _mean_over_classes(np.concatenate(parts), labels[rows], weights[rows] * whole)
    return CrossValidation(doubts, len(rows))


def settled(
    recipe: Recipe,
    layered: LayeredStudent,
    windows: ArrayDataset,
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
    if not recipe.method.pseudo_from_visit:
        return recipe
    tell = on_note or (lambda _: None)
    if not recipe.will_visit(len(windows)):
        tell(
            "no epoch begins after the warm-up, so windows without a label are never visited: lower "
            "training.epoch_steps, or raise training.steps"
        )
        return recipe
    if not recipe.method.doubt:
        return recipe
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
    voices = found.voices(recipe.method.doubt)
    if not voices:
        return dataclasses.replace(recipe, method=dataclasses.replace(recipe.method, unlabelled=0.0))
    return dataclasses.replace(recipe, voices=voices)


def _plain(recipe: Recipe) -> Recipe:
    """Plain training on windows as they are common, as long as a run learns before it guesses."""
    config = recipe.config.model_copy(
        update={
            "steps": max(1, round(STEPS * recipe.config.total_steps)),
            "max_steps": None,
            "sampling": "natural",
            "logit_adjustment": 0.0,
            "weights": "averaged",
        }
    )
    return dataclasses.replace(
        recipe, method=METHODS["ce"], config=config, teacher=None, unlabelled_shares=None, voices=None
    )


def _folds(labels: Rows, groups: Sequence[str], seed: int) -> Iterator[tuple[Rows, Rows]]:
    """Rows to learn from and to judge; classes are spread over the folds where each has labels enough."""
    count = min(FOLDS, len(set(groups)))
    if count < 2:
        return iter(())
    most = int(np.bincount(labels).max())
    folds = (StratifiedGroupKFold if most >= count else GroupKFold)(
        count, shuffle=True, random_state=seed % LARGEST_SEED
    )
    with warnings.catch_warnings():
        # A class with fewer labels than folds is not in all of them, which is as it should be.
        warnings.simplefilter("ignore", UserWarning)
        return iter(list(folds.split(labels, labels, np.asarray(groups))))


def _costs(logits: NDArray[np.float32], truth: Rows, learned: Floats) -> Floats:
    """(W,) NLL as a share of what knowing nothing costs, had the learned classes been equally common."""
    with np.errstate(divide="ignore"):
        pi = np.log(learned / learned.sum())
    fair = np.where(learned > 0, logits.astype(np.float64) - pi, -np.inf)
    costs: Floats = -log_softmax(fair, axis=1)[np.arange(len(truth)), truth]
    return costs / math.log(np.count_nonzero(learned))


def _mean_over_classes(costs: Floats, truth: Rows, weights: Floats) -> float:
    """A class that no window speaks for costs what knowing nothing costs."""
    classes = [truth == label for label in np.unique(truth)]
    means = [np.average(costs[c], weights=weights[c]) if weights[c].any() else 1.0 for c in classes]
    return float(np.mean(means))
