"""What an update adds to the trained classifier: an affine map of the embedding, and places known now.

logits = trained logits + embedding @ weight.T + bias, so that without it every verdict is the trained one,
bit by bit. A new class has a trained logit of 0.
Axes: W windows, E embedding, N trained classes, M all classes, P prototypes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd.edge.statistics import Statistics
from sensorkd.errors import BundleError

__all__ = ["Correction", "Prototypes", "check_correction", "step_of"]

# Times what the trained classifier does itself. Honest updates came to about as much as it, at most.
MOST_TIMES = 5.0
# Of what is known now, in deviations within a class from the nearest trained mean.
FURTHEST = 1000.0


@dataclass(frozen=True)
class Prototypes:
    """Means of the windows that operators labelled, one for a class under a subset of the sensors.

    mean: (P, E). label, subset: (P,) numbers. windows: (P,) how many there were.
    """

    mean: NDArray[np.float32]
    label: NDArray[np.int64]
    subset: NDArray[np.int64]
    windows: NDArray[np.int64]

    @classmethod
    def none(cls, size: int) -> Prototypes:
        """No such place, of embeddings (E,)."""
        nothing = np.zeros(0, np.int64)
        return cls(np.zeros((0, size), np.float32), nothing, nothing, nothing)


@dataclass(frozen=True)
class Correction:
    """classes: M names, the trained ones first. weight (M, E), bias (M,)."""

    classes: tuple[str, ...]
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    prototypes: Prototypes

    def __call__(
        self, logits: NDArray[np.floating[Any]], embedding: NDArray[np.floating[Any]]
    ) -> NDArray[np.float32]:
        """Trained logits (W, N), embedding (W, E) -> (W, M)."""
        added = embedding @ self.weight.T + self.bias
        added[:, : logits.shape[1]] += logits
        return added.astype(np.float32, copy=False)


def step_of(correction: Correction, statistics: Statistics) -> tuple[float, float]:
    """How far a correction moves logits: across one deviation within a class, and at the class means."""
    weight = correction.weight.astype(np.float64)
    across = max(
        float(np.sqrt(np.maximum((weight @ covariance * weight).sum(axis=1), 0.0)).max())
        for covariance in statistics.covariance
    )
    return across, float(np.abs(statistics.means @ weight.T + correction.bias).max())


def check_correction(correction: Correction, statistics: Statistics, trained: tuple[str, ...]) -> None:
    """Refuse what no honest update comes to, whoever made it.

    Raises:
        BundleError: it is of other classes, embeddings or subsets; a number is none; or a step is huge.
    """
    known, size = correction.prototypes, statistics.means.shape[2]
    classes = correction.classes
    if classes[: len(trained)] != trained or len(set(classes)) != len(classes):
        raise BundleError("an update of other classes", found=list(classes), expected=list(trained))
    shapes = [correction.weight.shape, correction.bias.shape, known.mean.shape]
    expected = [(len(classes), size), (len(classes),), (len(known.label), size)]
    if shapes != expected or not _numbers_exist(known, len(classes), len(statistics.subsets)):
        raise BundleError("an update of another embedding", found=shapes, expected=expected)
    arrays = (correction.weight, correction.bias, known.mean)
    if not all(bool(np.isfinite(values).all()) for values in arrays):
        raise BundleError("an update holds NaN or infinity", expected="numbers", mend="make it anew")
    across, at_means = step_of(correction, statistics)
    itself = step_of(Correction(trained, statistics.weight, statistics.bias, known), statistics)
    if not (across <= MOST_TIMES * itself[0] and at_means <= MOST_TIMES * itself[1]):
        raise BundleError(
            "an update would move the verdicts too far",
            found=f"logits by {across:.3g} across a deviation within a class, by {at_means:.3g} at a mean",
            expected=f"at most {MOST_TIMES * itself[0]:.3g} and {MOST_TIMES * itself[1]:.3g}",
            mend="look at the labelled windows; train anew if the machine has changed that much",
        )
    _check_places(known, statistics)


def _numbers_exist(known: Prototypes, classes: int, subsets: int) -> bool:
    limits = ((known.label, classes), (known.subset, subsets), (known.windows - 1, 1 << 31))
    return all(bool(((values >= 0) & (values < limit)).all()) for values, limit in limits)


def _check_places(known: Prototypes, statistics: Statistics) -> None:
    from sensorkd.edge.novelty import Novelty

    presence = statistics.subsets[known.subset]
    distances = Novelty(statistics).distances(known.mean, presence)
    if len(distances) and not distances.max() <= FURTHEST:
        raise BundleError(
            "an update would call known what is nowhere near",
            found=f"{distances.max():.3g} deviations within a class from every class",
            expected=f"at most {FURTHEST:g}",
            mend="look at the labelled windows: a sensor may be broken",
        )
