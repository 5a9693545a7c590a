"""Hand-made features of windows, for baselines that do not learn their own.

Axes: W windows, T samples, C channels, D features.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kurtosis, skew

from sensorkd.encoding import InputEncoding

__all__ = ["window_features"]

BANDS = 16
PARTS = 8
TINY = 1e-12
Floats = NDArray[np.floating[Any]]


def window_features(
    inputs: Mapping[str, NDArray[Any]],
    presence: NDArray[np.float32],
    encodings: Mapping[str, InputEncoding],
) -> NDArray[np.float32]:
    """(W, D) features of all inputs side by side; NaN where an input is absent, finite elsewhere.

    Signals: mean, deviation, extremes, last value, slope, skewness, kurtosis, crest factor, the mean and
    deviation in eight equal parts of the window, and the log power in up to 16 bands of frequency, evenly
    spaced in the logarithm, of each channel. Video: mean and deviation of the light and of its change from
    frame to frame, in 4 x 4 fields.
    """
    parts = []
    for column, (name, encoding) in enumerate(encodings.items()):
        # Frames are many; signals may need every digit, where a small swing rides on a large level.
        kind = "f4" if inputs[name].ndim == 5 else "f8"
        with warnings.catch_warnings():
            # A flat signal has no shape and a dark field no light: 0 then, and nothing to warn of.
            warnings.simplefilter("ignore", RuntimeWarning)
            values = inputs[name].astype(kind) * encoding.scale + encoding.offset
            low, high = encoding.valid_range
            values[~((values >= low) & (values <= high))] = np.nan
            features = _of_frames(values) if values.ndim == 5 else _of_signals(values)
        features = np.nan_to_num(features, nan=0.0, posinf=0.0, neginf=0.0)
        features[presence[:, column] == 0] = np.nan
        parts.append(features)
    return np.concatenate(parts, axis=1).astype(np.float32)


def _of_signals(values: Floats) -> Floats:
    """(W, T, C) -> (W, D)."""
    mean = np.nanmean(values, axis=1, keepdims=True)
    filled = np.where(np.isnan(values), mean, values)
    centred = filled - mean
    deviation = centred.std(axis=1)
    time = np.linspace(-0.5, 0.5, values.shape[1])[None, :, None]
    slope = (centred * time).sum(axis=1) / max(float((time**2).sum()), TINY)
    shape = [skew(centred, axis=1), kurtosis(centred, axis=1)]
    crest = np.abs(centred).max(axis=1) / (deviation + TINY)
    columns = [mean[:, 0], np.log(deviation + TINY), filled.min(axis=1), filled.max(axis=1), filled[:, -1]]
    parts = [part for block in np.array_split(filled, PARTS, axis=1) for part in _level(block)]
    return np.concatenate([*columns, slope, *shape, crest, *parts, _bands(centred)], axis=1)


def _level(block: Floats) -> list[Floats]:
    """Mean and deviation over time, (W, C) each."""
    return [block.mean(axis=1), block.std(axis=1)] if block.shape[1] else []


def _bands(centred: Floats) -> Floats:
    """(W, C * bands) log power between edges that are evenly spaced in the logarithm of frequency."""
    power = np.abs(np.fft.rfft(centred, axis=1)[:, 1:]) ** 2 / centred.shape[1]
    if power.shape[1] < 2:
        return np.zeros((len(centred), 0))
    edges = np.unique(np.geomspace(1, power.shape[1], min(BANDS, power.shape[1]) + 1).astype(int)) - 1
    summed = np.add.reduceat(power, edges[:-1], axis=1)
    return np.log(summed + TINY).reshape(len(centred), summed.shape[1] * summed.shape[2])


def _of_frames(values: Floats) -> Floats:
    """(W, T, H, W', C) -> (W, D)."""
    rows, columns = (np.array_split(np.arange(size), min(4, size)) for size in values.shape[2:4])
    change = np.diff(values, axis=1)
    features = []
    for row in rows:
        for column in columns:
            for block in (values, change):
                field = block[:, :, row[0] : row[-1] + 1, column[0] : column[-1] + 1]
                features += [np.nanmean(field, axis=(1, 2, 3)), np.nanstd(field, axis=(1, 2, 3))]
    return np.concatenate(features, axis=1)
