"""The baseline that every student has to beat: extremely randomised trees on hand-made features.

Source: Geurts, Ernst, Wehenkel, Machine Learning 63, 2006.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier

from sensorkd.encoding import InputEncoding
from sensorkd.evaluation.features import window_features

__all__ = ["Trees"]


class Trees:
    """Trees on the features of some inputs, fitted for just those; absent inputs are missing values.

    Example: `Trees(encodings, only=["temperature"], classes=3).fit(inputs, presence, labels)`
    """

    def __init__(
        self,
        encodings: Mapping[str, InputEncoding],
        *,
        classes: int,
        only: Sequence[str] | None = None,
        seed: int = 0,
        trees: int = 400,
    ) -> None:
        self.encodings = {name: item for name, item in encodings.items() if only is None or name in only}
        self._columns = [list(encodings).index(name) for name in self.encodings]
        self._classes = classes
        self._forest = ExtraTreesClassifier(
            trees, random_state=seed % 2**32, class_weight="balanced", min_samples_leaf=2, n_jobs=1
        )

    def fit(
        self,
        inputs: Mapping[str, NDArray[Any]],
        presence: NDArray[np.float32],
        labels: NDArray[np.int64],
        weights: NDArray[np.float64] | None = None,
    ) -> Trees:
        """Learn from labelled windows: inputs name -> (W, ...), presence (W, K), labels (W,), -1 unknown.

        weights: (W,) what the labels count for; default all alike.
        """
        known = np.flatnonzero(labels >= 0)
        features = self._features({name: inputs[name][known] for name in self.encodings}, presence[known])
        self._forest.fit(features, labels[known], sample_weight=None if weights is None else weights[known])
        return self

    def logits(
        self, inputs: Mapping[str, NDArray[Any]], presence: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """(W, N) log probabilities."""
        shares = self._forest.predict_proba(self._features(inputs, presence))
        full = np.full((len(shares), self._classes), 1e-4)
        full[:, self._forest.classes_] += shares
        return np.asarray(np.log(full / full.sum(axis=1, keepdims=True)))

    def _features(
        self, inputs: Mapping[str, NDArray[Any]], presence: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        return window_features(inputs, presence[:, self._columns], self.encodings)
