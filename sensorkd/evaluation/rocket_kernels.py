"""MiniRocket's features: how often fixed kernels, dilated, answer above fixed levels.

Source: Dempster, Schmidt, Webb, KDD 2021; several channels as its authors' code has them. Its Numba
versions are heavy to install and hold NumPy and pandas back; this one is products of matrices.

Axes: W windows, C channels, T samples, K = 84 kernels, F levels a kernel and dilation.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["KERNELS", "LENGTH", "DilatedKernels", "RocketKernels", "dilations_for"]

LENGTH = 9
# A kernel has weight 2 at three of its nine places and -1 at the others, so that a level adds nothing.
PLACES = np.array(list(itertools.combinations(range(LENGTH), 3)))
KERNELS = len(PLACES)
MOST_DILATIONS = 32
MOST_CHANNELS = 9
GOLDEN = (np.sqrt(5) + 1) / 2
# Of what one product gives, so that it stays in the processor's cache.
NUMBERS_AT_ONCE = 2**20

Signals = NDArray[np.float32]


def dilations_for(steps: int, levels: int) -> list[tuple[int, int]]:
    """(dilation, its share of `levels`), evenly spaced in the logarithm up to the window's length.

    >>> dilations_for(128, 6)
    [(1, 2), (3, 1), (5, 1), (9, 1), (15, 1)]
    """
    count = min(levels, MOST_DILATIONS)
    exponents = np.linspace(0, np.log2((steps - 1) / (LENGTH - 1)), count)
    dilations, times = np.unique((2.0**exponents).astype(int), return_counts=True)
    shares = (times * (levels / count)).astype(int)
    # What rounding left over goes to the shortest.
    extra = np.arange(levels - shares.sum()) % len(shares)
    np.add.at(shares, extra, 1)
    return list(zip(dilations.tolist(), shares.tolist(), strict=True))


@dataclass(frozen=True)
class DilatedKernels:
    """All kernels at one dilation, as fitted.

    channels: (K, C) which of them each kernel adds up. levels: (K, F) that answers are compared with. padded:
    0 or 1, the first of the kernels (every other one) that see zeros around the window; the rest answer
    only where they lie within it.
    """

    dilation: int
    channels: NDArray[np.bool_]
    levels: NDArray[np.float32]
    padded: int

    @property
    def weights(self) -> NDArray[np.float32]:
        """(K, 9 * C)"""
        return _weights(self.channels)

    def shares(self, signals: Signals) -> NDArray[np.float32]:
        """(W, C, T) -> (W, K * F): the share of the answers above each level."""
        laid, margin = _laid_out(signals, self.dilation), self.dilation * (LENGTH // 2)
        found = np.empty((len(signals), *self.levels.shape), np.float32)
        for first in (0, 1):
            seen = laid if first == self.padded else laid[..., margin : laid.shape[-1] - margin]
            answers = self.weights[first::2] @ seen
            above = np.empty_like(answers)
            evenly = np.full(answers.shape[-1], 1 / answers.shape[-1], np.float32)
            for number, level in enumerate(self.levels[first::2].T):
                np.greater(answers, level[:, None], out=above, casting="unsafe")
                # As numbers and not as truths: a product adds them up three times as fast.
                found[:, first::2, number] = above @ evenly
        return found.reshape(len(signals), -1)


@dataclass(frozen=True)
class RocketKernels:
    """The kernels of all dilations; their features side by side."""

    dilated: tuple[DilatedKernels, ...]

    @classmethod
    def fit(cls, signals: Signals, *, features: int, seed: int) -> RocketKernels:
        """Choose channels at random, and levels as quantiles of the answers to windows drawn at random.

        Args:
            signals: (W, C, T) with T of at least 9; no labels are needed.
            features: how many, rounded down to a multiple of 84, of which there is at least one.
        """
        rng = np.random.default_rng(seed)
        windows, count, steps = signals.shape
        dilated, done = [], 0
        for number, (dilation, levels) in enumerate(dilations_for(steps, max(1, features // KERNELS))):
            channels = _some_channels(rng, count)
            laid = _laid_out(signals[rng.integers(windows, size=KERNELS)], dilation)
            answers = np.einsum("kc,kct->kt", _weights(channels), laid)
            ranks = ((np.arange(KERNELS * levels) + done + 1) * GOLDEN % 1).reshape(KERNELS, levels)
            done += KERNELS * levels
            chosen = [np.quantile(row, rank) for row, rank in zip(answers, ranks, strict=True)]
            dilated.append(
                DilatedKernels(dilation, channels, np.array(chosen, np.float32), padded=number % 2)
            )
        return cls(tuple(dilated))

    @property
    def count(self) -> int:
        """D, the number of features."""
        return sum(item.levels.size for item in self.dilated)

    def features(self, signals: Signals) -> NDArray[np.float32]:
        """(W, C, T) -> (W, D) shares in [0, 1]."""
        found = np.empty((len(signals), self.count), np.float32)
        for rows in _slices(len(signals), max(1, NUMBERS_AT_ONCE // (KERNELS * signals.shape[-1]))):
            found[rows] = np.concatenate([item.shares(signals[rows]) for item in self.dilated], axis=1)
        return found


def _slices(count: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, count, size))


def _weights(channels: NDArray[np.bool_]) -> NDArray[np.float32]:
    weights = np.full((KERNELS, LENGTH), -1, np.float32)
    np.put_along_axis(weights, PLACES, 2, axis=1)
    return (weights[:, :, None] * channels[:, None, :]).reshape(KERNELS, -1)


def _laid_out(signals: Signals, dilation: int) -> Signals:
    """(W, C, T) -> (W, 9 * C, T): at every instant the nine samples that a kernel around it sees."""
    windows, channels, steps = signals.shape
    margin = dilation * (LENGTH // 2)
    padded = np.pad(signals, ((0, 0), (0, 0), (margin, margin)))
    shifts = [padded[..., place * dilation : place * dilation + steps] for place in range(LENGTH)]
    return np.stack(shifts, axis=1).reshape(windows, LENGTH * channels, steps)


def _some_channels(rng: np.random.Generator, count: int) -> NDArray[np.bool_]:
    """(K, C): few channels more often than many, and never more than nine."""
    most = np.log2(min(count, MOST_CHANNELS) + 1)
    sizes = (2 ** rng.uniform(0, most, KERNELS)).astype(int)
    ranks = rng.permuted(np.tile(np.arange(count), (KERNELS, 1)), axis=1)
    return np.asarray(ranks < sizes[:, None])
