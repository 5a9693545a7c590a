"""Intervals over groups and seeds, and differences between methods paired by both.

Groups and seeds are crossed: every seed is judged on every group. A draw takes as many groups and as many
seeds as there are, with replacement and independently of each other; windows of a drawn group stay
together. Each drawn seed is judged on the windows of all drawn groups pooled, and the seeds are averaged.
Intervals are percentiles. Source: Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1(2), 2007.

Percentiles of so few groups are too narrow: of five, by a third. So where groups are few, Student's t over
them stands beside, which takes the seeds as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from sensorkd.evaluation.benchmark_scores import HIGHER_IS_BETTER, METRICS, scores

__all__ = ["DRAWS", "FEW_GROUPS", "Draws", "compared", "drawn_scores", "interval", "make_draws", "students_t"]

Array = NDArray[np.float64]
DRAWS = 2_000
FEW_GROUPS = 10
LEVEL = (2.5, 97.5)


@dataclass(frozen=True)
class Draws:
    """How often each is drawn. groups: (D, G). seeds: (D, S). The same for all methods that are compared."""

    groups: Array
    seeds: Array


def make_draws(seeds: int, groups: int, draws: int = DRAWS) -> Draws:
    """The same for the same numbers of seeds and groups."""
    generator = np.random.default_rng(0)

    def times(count: int) -> Array:
        chosen = generator.integers(0, count, (draws, count))
        return np.stack([np.bincount(row, minlength=count) for row in chosen]).astype(np.float64)

    return Draws(groups=times(groups), seeds=times(seeds))


def drawn_scores(tallies: Array, draws: Draws) -> Array:
    """Tallies (S, G, K) -> (D, 4) scores of pooled windows, mean over the drawn seeds."""
    total = np.zeros((len(draws.groups), len(METRICS)))
    for number, of_seed in enumerate(tallies):
        total += draws.seeds[:, number, None] * scores(draws.groups @ of_seed)
    return np.asarray(total / draws.seeds.sum(axis=1, keepdims=True))


def interval(values: Array) -> list[list[float]]:
    """(D, M) -> M pairs: 95 % percentiles."""
    low, high = np.percentile(values, LEVEL, axis=0)
    return [[float(first), float(last)] for first, last in zip(low, high, strict=True)]


def students_t(values: Array) -> list[list[float] | None]:
    """(G, M), a value a group -> M pairs: 95 % around the mean over groups; None of one group."""
    count = len(values)
    if count < 2:
        return [None] * values.shape[1]
    mean = values.mean(axis=0)
    half = t.ppf(LEVEL[1] / 100, count - 1) * values.std(axis=0, ddof=1) / np.sqrt(count)
    return [[float(low), float(high)] for low, high in zip(mean - half, mean + half, strict=True)]


def compared(own: Array, other: Array) -> dict[str, tuple[int, int]]:
    """Metric -> in how many of seeds x groups a method is better, and worse; tallies (S, G, K) of both."""
    signs = np.array([1.0 if HIGHER_IS_BETTER[name] else -1.0 for name in METRICS])
    gain = (scores(own) - scores(other)) * signs
    better, worse = ((sign * gain > 1e-12).sum(axis=(0, 1)).tolist() for sign in (1, -1))
    return dict(zip(METRICS, zip(better, worse, strict=True), strict=True))
