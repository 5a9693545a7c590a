"""Signal quality that decides presence, shared by the reader of archives and by the device. NumPy only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["usable_share"]


def usable_share(
    samples: NDArray[Any], *, scale: float, offset: float, valid_range: tuple[float, float]
) -> float:
    """Share of the samples (T, ...) that are finite and inside `valid_range` in physical units.

    Physical value = sample * scale + offset. The worst channel counts, because a model that was
    trained on three axes is blind when one of them is dead; for an image every pixel counts alike.

    >>> usable_share(np.array([[1.0], [np.nan], [2.0], [9e9]]), scale=1, offset=0, valid_range=(0, 5))
    0.5
    """
    if samples.size == 0:
        return 0.0
    low, high = valid_range
    if np.issubdtype(samples.dtype, np.integer):
        # The limits are moved to the samples, not the samples to the limits: no float copy of a video.
        ends = sorted(((low - offset) / scale, (high - offset) / scale))
        if ends[0] <= samples.min() and samples.max() <= ends[1]:
            return 1.0
        good = (samples >= ends[0]) & (samples <= ends[1])
    else:
        with np.errstate(over="ignore"):
            physical = samples * scale + offset
        good = np.isfinite(physical) & (physical >= low) & (physical <= high)
    if samples.ndim == 2:
        return float(good.mean(axis=0).min())
    return float(good.mean())
