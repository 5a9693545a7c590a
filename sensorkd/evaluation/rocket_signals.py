"""Signals as MiniRocket takes them: repaired, standardised, inputs that are sampled alike in one.

Axes: W windows, T samples, C channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd.encoding import InputEncoding
from sensorkd.evaluation.rocket_kernels import LENGTH

__all__ = ["ChannelScale", "sampled_alike", "side_by_side"]

# Windows that are converted to float64 at a time.
CHUNK = 64


def sampled_alike(encodings: Mapping[str, InputEncoding]) -> list[list[str]]:
    """Names of inputs whose samples belong to the same instants, together."""
    groups: dict[tuple[Any, ...], list[str]] = {}
    for name, encoding in encodings.items():
        groups.setdefault((encoding.steps, encoding.rate, encoding.span), []).append(name)
    return list(groups.values())


@dataclass(frozen=True)
class ChannelScale:
    """Mean and deviation of an input's channels in its unit, (C,); what never varies is divided by 1."""

    encoding: InputEncoding
    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    @classmethod
    def fit(cls, windows: NDArray[Any], encoding: InputEncoding) -> ChannelScale:
        """Of windows (W, T, C) as encoded, in which the input is present."""
        if not len(windows):
            channels = encoding.sample_shape[0]
            return cls(encoding, np.zeros(channels), np.ones(channels))
        moments = [_moments(_physical(chunk, encoding)) for chunk in _chunks(windows)]
        means, variances = (np.concatenate(part) for part in zip(*moments, strict=True))
        mean = means.mean(axis=0)
        std = np.sqrt((variances + (means - mean) ** 2).mean(axis=0))
        return cls(encoding, mean, np.where(std > 0, std, 1.0))

    def standardised(self, windows: NDArray[Any]) -> NDArray[np.float32]:
        """(W, T, C) -> (W, C, T), filled up with the mean to the length of a kernel."""
        count, steps, channels = windows.shape
        signals = np.zeros((count, channels, max(steps, LENGTH)), np.float32)
        for start, chunk in zip(range(0, count, CHUNK), _chunks(windows), strict=True):
            values = np.nan_to_num((_physical(chunk, self.encoding) - self.mean) / self.std)
            signals[start : start + CHUNK, :, :steps] = values.transpose(0, 2, 1)
        return signals


def side_by_side(
    scales: Sequence[ChannelScale], windows: Sequence[NDArray[Any]], present: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """(W, T, C) of each input, present (W, inputs) -> (W, all channels, T); 0 where an input is absent."""
    parts = []
    for scale, values, here in zip(scales, windows, present.T, strict=True):
        known = scale.standardised(values[here])
        signals = np.zeros((len(values), *known.shape[1:]), np.float32)
        signals[here] = known
        parts.append(signals)
    return np.concatenate(parts, axis=1)


def _chunks(windows: NDArray[Any]) -> list[NDArray[Any]]:
    return [windows[start : start + CHUNK] for start in range(0, len(windows), CHUNK)]


def _physical(windows: NDArray[Any], encoding: InputEncoding) -> NDArray[np.float64]:
    """(W, T, C) in the encoding's unit; what is unusable is the window's mean, or NaN where all is."""
    with np.errstate(over="ignore", invalid="ignore"):
        values = windows.astype(np.float64) * encoding.scale + encoding.offset
    usable = (values >= encoding.valid_range[0]) & (values <= encoding.valid_range[1]) & np.isfinite(values)
    counts = usable.sum(axis=1, keepdims=True)
    sums = np.where(usable, values, 0.0).sum(axis=1, keepdims=True)
    means = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
    return np.where(usable, values, means)


def _moments(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and variance of each window's channels, (W, C); 0 where nothing is usable."""
    return np.nan_to_num(values.mean(axis=1)), np.nan_to_num(values.var(axis=1))
