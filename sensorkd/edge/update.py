"""Learns from a few labelled windows, in NumPy: a correction of the trained classifier.

It is softmax regression on the embedding, added to the trained logits and drawn to nothing by a ridge
penalty. It is reminded of every class by windows that the bundle keeps, and judged by others of them. On
UTD-MHAD it gained as
much as recursive ridge and lost a fraction of what that lost of the old people: `benchmarks/update.py`.
Axes: E embedding, N trained classes, M all classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensorkd.edge.classifier import Correction, Prototypes, check_correction, step_of
from sensorkd.edge.examples import Examples
from sensorkd.edge.statistics import Statistics
from sensorkd.errors import BundleError, GateError

__all__ = ["Learned", "learn"]

# The kept windows of a class weigh as much as so many labelled ones.
PRIOR = 2.0
# How many times that, one after the other, until what was learned passes the gate.
CAUTION = (1.0, 2.0, 4.0, 8.0)
# Of the penalty, times the mean square of an embedding; see `_fit`.
RIDGE = 1e-4
ROUNDS, SETTLED = 400, 1e-6
# Of kept windows that were judged rightly, how many may be lost: of all, and of any one class.
MOST_LOST, MOST_LOST_OF_CLASS = 0.02, 0.25


@dataclass(frozen=True)
class Learned:
    """What an update came to.

    before, after: share of the kept windows that are judged rightly, `judged` of them. own_before, own_after:
    of the labelled windows themselves, which it has learned. across, at_means: see `step_of`.
    """

    correction: Correction
    windows: int
    judged: int
    before: float
    after: float
    own_before: float
    own_after: float
    across: float
    at_means: float

    def told(self) -> str:
        """One line for people."""
        return (
            f"learned from {self.windows} windows: right about {self.own_before:.1%} of them before, "
            f"{self.own_after:.1%} after; about {self.judged} kept ones {self.before:.1%}, then "
            f"{self.after:.1%}"
        )


def learn(
    statistics: Statistics,
    trained: tuple[str, ...],
    examples: Examples,
    *,
    current: Correction | None = None,
    most_lost: float = MOST_LOST,
) -> Learned:
    """A correction from labelled windows, and from those of earlier updates, whose means `current` holds.

    The same labelled windows in one update or in several give the same but for what their means leave out.

    Args:
        trained: names of the classes of the bundle. most_lost: share of the kept windows; see GateError.

    Raises:
        GateError: what was known would be lost.
        BundleError: the step would be huge, or nothing could judge it.
    """
    if not statistics.kept.judged.any():
        raise BundleError(
            "the bundle keeps no windows to judge an update by",
            expected="two labelled training windows of some class, or labelled dev windows",
            mend="export it from a run that has them",
        )
    size = statistics.means.shape[2]
    earlier = Prototypes.none(size) if current is None else current.prototypes
    prototypes, embedding, label, told, reminding = _material(statistics, earlier, examples)
    base = _padded(statistics.logits(embedding), len(examples.classes))
    refused: GateError | None = None
    for caution in CAUTION:
        fitted = _fit(embedding, base, label, np.concatenate([told, caution * reminding])).astype(np.float32)
        correction = Correction(examples.classes, fitted[:, :-1], fitted[:, -1], prototypes)
        check_correction(correction, statistics, trained)
        try:
            return _judged(statistics, correction, examples, current, most_lost)
        except GateError as error:
            refused = refused or error
    assert refused is not None
    raise refused


def _material(
    statistics: Statistics, earlier: Prototypes, examples: Examples
) -> tuple[Prototypes, NDArray[np.float64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """What is known afterwards; embeddings (R, E) to learn from, their labels (R,), and the weights of those
    that somebody told and of those that remind.
    """
    kept, trained = statistics.kept, len(statistics.bias)
    reminders = np.flatnonzero(~kept.judged)
    labels = kept.labels[reminders]
    parts = [
        item.astype(np.float64) for item in (examples.embedding, earlier.mean, kept.embedding[reminders])
    ]
    label = np.concatenate([examples.label, earlier.label, labels])
    reminding = PRIOR / np.bincount(labels, minlength=trained)[labels]
    told = _told_weight(examples, earlier, trained)
    return _gathered(earlier, examples), np.concatenate(parts), label, told, reminding


def _fit(
    embedding: NDArray[np.float64],
    base: NDArray[np.float64],
    label: NDArray[np.int64],
    weight: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(M, E + 1) that lowers the weighed mean of -log softmax(base + it)[label] + ridge / 2 |it|^2.

    Nesterov's accelerated gradient descent (2004, scheme 2.2.9) with the constants of this very problem: the
    Hessian of a softmax is at most 1/2.
    """
    x = np.concatenate([embedding, np.ones((len(embedding), 1))], axis=1)
    share = (weight / weight.sum())[:, None]
    second = (x * share).T @ x
    ridge = RIDGE * float(np.trace(second))
    steepest = 0.5 * float(np.linalg.norm(second, 2)) + ridge
    momentum = (np.sqrt(steepest) - np.sqrt(ridge)) / (np.sqrt(steepest) + np.sqrt(ridge))
    target = np.eye(base.shape[1])[label]
    point = ahead = np.zeros((base.shape[1], x.shape[1]))
    for _ in range(ROUNDS):
        logits = base + x @ ahead.T
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        gradient = ((shares - target) * share).T @ x + ridge * ahead
        later = ahead - gradient / steepest
        ahead, point = later + momentum * (later - point), later
        if np.abs(gradient).max() < SETTLED:
            break
    return point


def _judged(
    statistics: Statistics,
    correction: Correction,
    examples: Examples,
    current: Correction | None,
    most_lost: float,
) -> Learned:
    """The gate: against what was trained, so that many small losses do not add up."""
    kept = statistics.kept
    rows, trained = np.flatnonzero(kept.judged), len(statistics.bias)
    logits, labels = statistics.logits(kept.embedding[rows]), kept.labels[rows]
    before = logits.argmax(axis=1) == labels
    after = correction(logits, kept.embedding[rows]).argmax(axis=1) == labels
    counts = np.maximum(np.bincount(labels, minlength=trained), 1)
    lost = np.bincount(labels, before.astype(float) - after, minlength=trained) / counts
    overall = float(before.mean() - after.mean()) if len(rows) else 0.0
    worst = int(lost.argmax())
    most_of_class = max(MOST_LOST_OF_CLASS, most_lost)
    if overall > most_lost or lost[worst] > most_of_class:
        raise GateError(
            "the update would forget what was known",
            found=f"{overall:.1%} fewer of {len(rows)} kept windows judged rightly; of "
            f"{correction.classes[worst]!r} {lost[worst]:.0%}",
            expected=f"at most {most_lost:.1%} of all, {most_of_class:.0%} of one class",
            mend="look at the labels; nothing was changed",
        )
    own = _padded(statistics.logits(examples.embedding), len(examples.classes))
    was = own if current is None else current(statistics.logits(examples.embedding), examples.embedding)
    now = own + (examples.embedding @ correction.weight.T + correction.bias)
    total = examples.weight.sum()
    own_before, own_after = (
        float((examples.weight * (item.argmax(axis=1) == examples.label)).sum() / total)
        for item in (was, now)
    )
    across, at_means = step_of(correction, statistics)
    return Learned(
        correction,
        windows=len(np.unique(examples.window)),
        judged=len(rows),
        before=float(before.mean()) if len(rows) else 1.0,
        after=float(after.mean()) if len(rows) else 1.0,
        own_before=own_before,
        own_after=own_after,
        across=across,
        at_means=at_means,
    )


def _gathered(earlier: Prototypes, examples: Examples) -> Prototypes:
    """Means of all windows that were ever labelled, by class and subset; those with all sensors first."""
    sums: dict[tuple[int, int], tuple[NDArray[np.float64], int]] = {}

    def add(subset: int, label: int, total: NDArray[np.float64], count: int) -> None:
        before, so_far = sums.get((subset, label), (np.zeros_like(total), 0))
        sums[subset, label] = (before + total, so_far + count)

    for row in range(len(earlier.label)):
        count = int(earlier.windows[row])
        total = earlier.mean[row].astype(np.float64) * count
        add(int(earlier.subset[row]), int(earlier.label[row]), total, count)
    for row, (subset, label) in enumerate(
        zip(examples.subset.tolist(), examples.label.tolist(), strict=True)
    ):
        add(subset, label, examples.embedding[row], 1)
    keys = sorted(sums)
    if not keys:
        return earlier
    subset, label = np.array(keys, np.int64).T
    windows = np.array([sums[key][1] for key in keys], np.int64)
    means = np.stack([sums[key][0] / sums[key][1] for key in keys])
    # As a patch holds them, so that what was judged is what is installed.
    return Prototypes(means.astype(np.float16).astype(np.float32), label, subset, windows)


def _told_weight(examples: Examples, earlier: Prototypes, trained: int) -> NDArray[np.float64]:
    """Of labelled windows and of the means of earlier ones: 1 a window, but those of a new class together no
    more than the kept windows of an old one.
    """
    subsets = np.array([(earlier.label == label).sum() for label in earlier.label], np.int64)
    weight = np.concatenate([examples.weight, earlier.windows / np.maximum(subsets, 1)])
    label = np.concatenate([examples.label, earlier.label])
    totals = np.bincount(label, weight)[label]
    return np.where(label >= trained, weight * np.minimum(1.0, PRIOR / totals), weight)


def _padded(logits: NDArray[np.float64], classes: int) -> NDArray[np.float64]:
    return np.pad(logits, ((0, 0), (0, classes - logits.shape[1])))
