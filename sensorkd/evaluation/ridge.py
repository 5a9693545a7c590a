"""A ridge classifier that says how sure it is.

Axes: W windows, D features, N classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.linear_model import RidgeCV
from sklearn.utils.class_weight import compute_sample_weight

__all__ = ["CalibratedRidge", "fitted_temperature"]

PENALTIES = np.logspace(-3, 3, 10)
# As of the trees: a class that training lacks stays possible.
FLOOR = 1e-4


class CalibratedRidge:
    """Regression on 1 for a window's class and -1 for the others, and a temperature for its answers.

    It is what scikit-learn's RidgeClassifierCV does: the penalty is the one of ten with the least squared
    error when every window is left out in turn, for which ridge has a closed form. RidgeCV also tells what
    was said of the window left out, and from that the temperature is fitted: nothing but training windows is
    needed. So it is too sure where windows of one machine are alike and the machine to judge is another one,
    and not sure enough with two labels a class, of which leaving out takes one. Classes weigh alike, however
    rare.
    """

    def __init__(self, *, classes: int) -> None:
        self._classes = classes
        self._known = np.zeros(0, int)
        self._ridge: RidgeCV | None = None
        self.temperature = 1.0

    def fit(
        self,
        features: NDArray[np.floating[Any]],
        labels: NDArray[np.int64],
        weights: NDArray[np.float64] | None = None,
    ) -> CalibratedRidge:
        """Learn from features (W, D) and labels (W,) in 0 .. N - 1; weights: (W,) what these count for.

        The temperature is that of all windows alike.
        """
        self._known, index = np.unique(labels, return_inverse=True)
        if len(self._known) < 2:
            self._ridge = None  # there is nothing to tell apart
            return self
        targets = np.where(index[:, None] == np.arange(len(self._known)), 1.0, -1.0)
        ridge = RidgeCV(PENALTIES, scoring="neg_mean_squared_error", store_cv_results=True)
        counting = compute_sample_weight("balanced", index) * (1.0 if weights is None else weights)
        self._ridge = ridge.fit(features, targets, sample_weight=counting)
        left_out = ridge.cv_results_[:, :, int(np.argmin(np.abs(PENALTIES - ridge.alpha_)))]
        self.temperature = fitted_temperature(left_out, index)
        return self

    def answers(self, features: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """(W, classes seen): near 1 for the window's class and near -1 for the others."""
        if self._ridge is None:
            return np.ones((len(features), len(self._known)))
        return np.asarray(self._ridge.predict(features), np.float64)

    def logits(self, features: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """(W, N) log probabilities."""
        shares = np.full((len(features), self._classes), FLOOR)
        shares[:, self._known] += np.exp(log_softmax(self.answers(features) / self.temperature, axis=1))
        return np.asarray(np.log(shares / shares.sum(axis=1, keepdims=True)))


def fitted_temperature(answers: NDArray[np.floating[Any]], labels: NDArray[np.int64]) -> float:
    """What (W, N) answers have to be divided by, for their softmax to be as sure as they are right.

    The least negative log-likelihood (Guo et al., ICML 2017), with the targets of one window more that could
    be of any class, in the manner of Platt (1999): answers that are all right would be infinitely sure.
    """
    count, classes = answers.shape
    targets = (count * (labels[:, None] == np.arange(classes)) + 1 / classes) / (count + 1)

    def loss(log_temperature: float) -> float:
        return -float((targets * log_softmax(answers / np.exp(log_temperature), axis=1)).sum(axis=1).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-5.0, 5.0), method="bounded").x))
