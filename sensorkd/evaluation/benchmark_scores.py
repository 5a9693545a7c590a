"""Accuracy, macro-F1, NLL and ECE of pooled groups, from sums that add up over groups.

Axes: W windows, N classes. A tally is a vector of 3 N + 2 + ECE_BINS sums: hits, truths and verdicts by
class, windows, summed NLL in nats, and confidence less hits by bin of confidence.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sensorkd.training.metrics import ECE_BINS

__all__ = ["HIGHER_IS_BETTER", "METRICS", "scores", "tally", "windows_in"]

Array = NDArray[np.float64]
METRICS = ("accuracy", "macro_f1", "nll", "ece")
HIGHER_IS_BETTER = {"accuracy": True, "macro_f1": True, "nll": False, "ece": False}


def tally(
    logp: NDArray[np.floating], labels: NDArray[np.integer], columns: Sequence[int], classes: int
) -> Array:
    """Sums of some windows: logp (W, M) of the M classes that a model knows, labels (W,) among them.

    Args:
        columns: (M,) which of the benchmark's `classes` each of them is; folds may know others.
    """
    where = np.asarray(columns)
    verdict, confidence = logp.argmax(axis=1), np.exp(logp.max(axis=1).astype(np.float64))
    hit = verdict == labels
    bins = np.clip(np.ceil(confidence * ECE_BINS).astype(int) - 1, 0, ECE_BINS - 1)
    truths, verdicts = where[labels], where[verdict]
    return np.concatenate(
        [
            np.bincount(truths[hit], minlength=classes),
            np.bincount(truths, minlength=classes),
            np.bincount(verdicts, minlength=classes),
            [len(labels), -logp[np.arange(len(labels)), labels].sum(dtype=np.float64)],
            np.bincount(bins, confidence - hit, ECE_BINS),
        ]
    )


def scores(tallies: Array) -> Array:
    """(..., 3 N + 2 + ECE_BINS) sums -> (..., 4), in the order of METRICS.

    macro-F1 is over the classes that occur in the labels or in the verdicts, as in `classification_metrics`.
    ECE: Guo et al., ICML 2017, eq. 5.
    """
    classes = _classes_of(tallies)
    hits, truths, verdicts = (tallies[..., index * classes : (index + 1) * classes] for index in range(3))
    windows, nll = windows_in(tallies), tallies[..., 3 * classes + 1]
    both = truths + verdicts
    f1 = np.divide(2 * hits, both, out=np.zeros_like(both), where=both > 0)
    macro = f1.sum(axis=-1) / np.maximum((both > 0).sum(axis=-1), 1)
    count = np.maximum(windows, 1)
    gaps = np.abs(tallies[..., 3 * classes + 2 :]).sum(axis=-1)
    return np.stack([hits.sum(axis=-1) / count, macro, nll / count, gaps / count], axis=-1)


def windows_in(tallies: Array) -> Array:
    """(..., K) -> (...) windows that were tallied."""
    return np.asarray(tallies[..., 3 * _classes_of(tallies)])


def _classes_of(tallies: Array) -> int:
    return int(tallies.shape[-1] - 2 - ECE_BINS) // 3
