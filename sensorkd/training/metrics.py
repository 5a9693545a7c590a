"""What a classifier is judged by: accuracy, macro-F1, NLL, ECE, confusion.

Axes: W windows, N classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.metrics import confusion_matrix, f1_score

__all__ = ["Metrics", "classification_metrics", "expected_calibration_error"]

ECE_BINS = 15


@dataclass(frozen=True)
class Metrics:
    """confusion: (N, N), rows are truth. nll in nats. ece with 15 equal-width bins."""

    windows: int
    accuracy: float
    macro_f1: float
    nll: float
    ece: float
    confusion: NDArray[np.int64]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "windows": self.windows,
            "accuracy": self.accuracy,
            "macro_f1": self.macro_f1,
            "nll": self.nll,
            "ece": self.ece,
            "confusion": self.confusion.tolist(),
        }


def classification_metrics(logits: NDArray[np.floating[Any]], labels: NDArray[np.int64]) -> Metrics:
    """Judge logits (W, N) by labels (W,); windows without a label (-1) are left out.

    macro-F1 is over the classes that occur in the labels or in the predictions.
    """
    known = labels >= 0
    logits, labels = np.asarray(logits, np.float64)[known], labels[known]
    if not len(labels):
        raise ValueError("no labelled window to judge by")
    logp = log_softmax(logits, axis=1)
    predicted = logits.argmax(axis=1)
    return Metrics(
        windows=len(labels),
        accuracy=float((predicted == labels).mean()),
        macro_f1=float(f1_score(labels, predicted, average="macro", zero_division=0.0)),
        nll=float(-logp[np.arange(len(labels)), labels].mean()),
        ece=expected_calibration_error(np.exp(logp.max(axis=1)), predicted == labels),
        confusion=confusion_matrix(labels, predicted, labels=np.arange(logits.shape[1])),
    )


def expected_calibration_error(
    confidence: NDArray[np.floating[Any]], correct: NDArray[np.bool_], bins: int = ECE_BINS
) -> float:
    """Mean gap of confidence and accuracy over equal-width bins, weighted by their windows.

    Source: Guo et al., ICML 2017, eq. 5.
    """
    index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gap = np.bincount(index, confidence, bins) - np.bincount(index, correct.astype(float), bins)
    return float(np.abs(gap).sum() / len(confidence))
