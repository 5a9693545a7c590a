"""Says when an embedding lies outside what training saw: Mahalanobis distance to the nearest class.

Lee et al., NeurIPS 2018: one covariance for all classes, the smallest distance to any class mean. Sensors
that are missing move the embedding elsewhere, so every subset of them has means, covariance and threshold of
its own.
Axes: W windows, E embedding, N classes, K inputs, Q sensor subsets, P prototypes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd.edge.classifier import Correction, Prototypes
from sensorkd.edge.statistics import Statistics
from sensorkd.edge.unknown_rule import UnknownRule
from sensorkd.errors import BundleError

__all__ = ["Novelty", "novelty_of", "threshold_at"]

Floats = NDArray[np.floating[Any]]


class Novelty:
    """Distances of embeddings from what is known.

    Args:
        prototypes: what an update learned besides.

    Raises:
        BundleError: the statistics allow none, or are not of the rule.
    """

    def __init__(
        self,
        statistics: Statistics,
        rule: UnknownRule | None = None,
        prototypes: Prototypes | None = None,
    ) -> None:
        if rule is not None and len(rule.thresholds) != len(statistics.subsets):
            raise BundleError(
                "thresholds of `unknown` are not those of the statistics",
                found=f"{len(rule.thresholds)} thresholds",
                expected=f"{len(statistics.subsets)}, one for each subset of the sensors",
            )
        self._index = {_key(row): number for number, row in enumerate(statistics.subsets)}
        self._thresholds = None if rule is None else _limits(rule)
        self._whitening, self._centres, self._known = [], [], []
        for number, covariance in enumerate(statistics.covariance):
            whitening = whitening_of(covariance)
            known = np.asarray(statistics.means[number], np.float64)
            if prototypes is not None:
                known = np.concatenate([known, prototypes.mean[prototypes.subset == number]])
            # Near the middle, float64 of squares loses nothing.
            centre = known.mean(axis=0)
            self._whitening.append(whitening)
            self._centres.append(centre)
            self._known.append((known - centre) @ whitening)
        self._squares = [(known**2).sum(axis=1) for known in self._known]

    def subset_of(self, presence: Floats) -> NDArray[np.int64]:
        """(W, K) -> (W,) which subset of the sensors; -1 for one without statistics."""
        return np.array([self._index.get(_key(row), -1) for row in presence], np.int64)

    def distances(self, embedding: Floats, presence: Floats) -> NDArray[np.float64]:
        """(W, E), (W, K) -> (W,) in deviations within a class; NaN under a subset without statistics."""
        return self._distances(embedding, self.subset_of(presence))

    def unknown(self, embedding: Floats, presence: Floats) -> NDArray[np.bool_]:
        """(W,) whether a window is further off than its threshold, or was judged from nothing.

        Without a rule none is. Of more than four sensors, not all subsets have statistics; windows under the
        others are never called unknown.
        """
        if self._thresholds is None:
            return np.zeros(len(embedding), bool)
        if len(embedding) == 1:
            return np.array([self._is_unknown(embedding[0], np.asarray(presence)[0])])
        subsets = self.subset_of(presence)
        far: NDArray[np.bool_] = self._distances(embedding, subsets) > self._thresholds[subsets]
        return far | ~np.asarray(presence).any(axis=1)

    def _is_unknown(self, embedding: Floats, presence: Floats) -> bool:
        """The same of one window, (E,) and (K,): a device judges them singly, and has little time."""
        assert self._thresholds is not None
        subset = self._index.get(_key(presence))
        if subset is None:
            return not presence.any()
        with np.errstate(invalid="ignore", over="ignore"):
            white = (embedding - self._centres[subset]) @ self._whitening[subset]
            nearest = (self._squares[subset] - 2 * (self._known[subset] @ white)).min()
            square = float(white @ white + nearest)
        # Whatever is no number is no less than the threshold.
        return not max(square, 0.0) <= self._thresholds[subset] ** 2

    def _distances(self, embedding: Floats, subsets: NDArray[np.int64]) -> NDArray[np.float64]:
        # What is no number is nowhere near.
        found = np.where(subsets >= 0, math.inf, math.nan)
        usable = np.isfinite(embedding).all(axis=1)
        for subset in set(subsets.tolist()) - {-1}:
            rows = (subsets == subset) & usable
            white = (embedding[rows] - self._centres[subset]) @ self._whitening[subset]
            known = self._known[subset]
            squares = (white**2).sum(axis=1, keepdims=True) - 2 * white @ known.T + self._squares[subset]
            found[rows] = np.sqrt(np.maximum(squares.min(axis=1), 0.0))
        return found


def novelty_of(
    statistics: Statistics | None, rule: UnknownRule | None, learned: Correction | None
) -> Novelty | None:
    """With what an update has learned besides; None where nothing is ever called unknown."""
    if statistics is None or rule is None:
        return None
    known = None if learned is None else learned.prototypes
    return Novelty(statistics, rule, known)


def whitening_of(covariance: Floats) -> NDArray[np.float64]:
    """(E, E) so that |(x - mean) @ it| is the Mahalanobis distance.

    Raises:
        BundleError: the covariance has a direction without any spread.
    """
    try:
        return np.asarray(np.linalg.cholesky(np.linalg.inv(covariance.astype(np.float64))), np.float64)
    except np.linalg.LinAlgError as error:
        raise BundleError(
            "the covariance of the embedding cannot be inverted", found=error, mend="export the bundle again"
        ) from error


def threshold_at(distances: Floats, rate: float) -> tuple[float, float]:
    """A threshold that at most `rate` of windows like these exceed, and the rate that it can promise.

    Split conformal prediction (Vovk, Gammerman, Shafer, 2005): the k-th largest of n distances is exceeded
    with a probability of at most k / (n + 1) by one more window drawn alike. Of fewer than 1 / rate - 1
    windows the largest distance serves, and what it promises is 1 / (n + 1).

    >>> threshold_at(np.arange(1.0, 100.0), 0.02)
    (98.0, 0.02)

    Raises:
        ValueError: no distance.
    """
    if not len(distances):
        raise ValueError("no window gives a threshold")
    ranked = np.sort(np.asarray(distances, np.float64))[::-1]
    exceeded = max(1, math.floor((len(ranked) + 1) * rate + 1e-9))
    return float(ranked[exceeded - 1]), max(rate, exceeded / (len(ranked) + 1))


def _limits(rule: UnknownRule) -> NDArray[np.float64]:
    """(Q + 1,), the last of them for subsets without statistics; where there is no threshold, infinity."""
    return np.array([math.inf if item is None else item for item in (*rule.thresholds, None)])


def _key(row: Floats) -> bytes:
    return bytes((np.asarray(row) != 0).data)
