"""Signal quality that decides presence, shared by the reader of archives and by the device. NumPy only.

Axes: T samples, C channels, H height, W width, F faults. What is found here makes an input absent; single
unusable samples (not finite, out of range) are besides repaired in the graph.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FAULTS", "Limits", "Quality", "assess", "holds_still"]

FAULTS = ("not finite", "out of range", "saturated", "stuck", "frozen", "blank")
# Fewer equal values in a row than this prove nothing: a coarse sensor of a quiet machine repeats itself.
FEWEST_SAMPLES, FEWEST_FRAMES = 100, 4
# What the graph can hold, whatever the limits allow.
LARGEST = float(np.finfo(np.float32).max)

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Limits:
    """What samples of a stream must be like; physical value = sample * scale + offset.

    valid_range: physical limits of what can be true. full_scale: physical limits of what the sensor can
    report; at them it is saturated. None: the ends of a signed integer, the top of an unsigned one, and
    nothing for floats and for single bytes, which may well be switches. stuck_run: as many equal samples
    in a row are a dead sensor, as many equal frames a dead camera; None: never. blank: whether a frame of
    one colour is a fault.
    """

    scale: float
    offset: float
    valid_range: tuple[float, float]
    full_scale: tuple[float, float] | None = None
    stuck_run: int | None = None
    blank: bool = True


@dataclass(frozen=True)
class Quality:
    """usable: share of samples without any fault, of the worst channel. faults: (F,) shares, as FAULTS."""

    usable: float
    faults: NDArray[np.float32]


def assess(samples: NDArray[Any], limits: Limits) -> Quality:
    """Judge samples (T, C) or frames (T, H, W, C).

    The worst channel counts, because a model that was trained on three axes is blind when one of them is
    dead. For frames every pixel counts alike; a frame of one colour throughout is blank.

    >>> found = assess(np.array([[1.0], [np.nan], [2.0], [9e9]]), Limits(1.0, 0.0, (0.0, 5.0)))
    >>> found.usable, dict(zip(FAULTS, found.faults.tolist()))["out of range"]
    (0.5, 0.25)
    """
    if samples.size == 0:
        return Quality(0.0, np.zeros(len(FAULTS), np.float32))
    bad = _bad_values(samples, limits)
    if samples.ndim == 2:
        if (saturated := _saturated(samples, limits)) is not None:
            bad["saturated"] = saturated
        if (stuck := _stuck(samples, limits.stuck_run)) is not None:
            bad["stuck"] = stuck
    else:
        bad |= _bad_frames(samples, limits)
    shares = np.zeros(len(FAULTS), np.float32)
    if not bad:
        return Quality(1.0, shares)
    usable: Any = np.ones((1, 1), bool)
    for index, fault in enumerate(FAULTS):
        mask = bad.get(fault)
        if mask is not None:
            shares[index] = _worst(mask)
            usable = usable & ~mask
    return Quality(1.0 - _worst(~usable), shares)


def holds_still(samples: NDArray[Any]) -> bool:
    """Whether some channel of (T, C) has one and the same value throughout, or all frames are the same."""
    same = samples == samples[:1]
    return bool(same.all(axis=0).any() if samples.ndim == 2 else same.all())


def _worst(bad: Mask) -> float:
    """Share of bad samples (T, C) of the worst channel, or of bad pixels (T, H * W * C)."""
    return float(bad.mean(axis=0).max()) if bad.ndim == 2 else float(bad.mean())


def _bad_values(samples: NDArray[Any], limits: Limits) -> dict[str, Mask]:
    low, high = limits.valid_range
    if samples.dtype.kind in "iu":
        # The limits are moved to the samples, not the samples to the limits: no float copy of a video.
        ends = sorted(((low - limits.offset) / limits.scale, (high - limits.offset) / limits.scale))
        least, most = _ends(samples)
        if ends[0] <= least and most <= ends[1]:
            return {}
        return {"out of range": (samples < ends[0]) | (samples > ends[1])}
    # Scaling keeps the order, and one NaN makes both ends NaN: a good window is known by its ends.
    one, other = (float(end) * limits.scale + limits.offset for end in _ends(samples))
    if max(low, -LARGEST) <= min(one, other) and max(one, other) <= min(high, LARGEST):
        return {}
    with np.errstate(over="ignore"):
        physical = samples * limits.scale + limits.offset
    finite = np.isfinite(physical)
    inside = (physical >= low) & (physical <= high)
    if (finite & inside).all():
        return {}
    return {"not finite": ~finite, "out of range": finite & ~inside}


def _ends(samples: NDArray[Any]) -> tuple[Any, Any]:
    """The smallest and the largest sample; NaN if there is any."""
    return np.minimum.reduce(samples, axis=None), np.maximum.reduce(samples, axis=None)


def _saturated(samples: NDArray[Any], limits: Limits) -> Mask | None:
    if limits.full_scale is not None:
        ends = sorted((end - limits.offset) / limits.scale for end in limits.full_scale)
        # Half a step inwards, so that rounding to the stored step does not hide the end.
        step = 0.5 if samples.dtype.kind in "iu" else 1e-6 * (ends[1] - ends[0])
        low, high = ends[0] + step, ends[1] - step
    elif samples.dtype.kind in "iu" and samples.dtype.itemsize > 1:
        kind = np.iinfo(samples.dtype)
        # The lowest unsigned number is how a sensor at rest says nought.
        low, high = (kind.min if kind.min < 0 else -math.inf), kind.max
    else:
        return None
    mask = (samples <= low) | (samples >= high)
    return mask if mask.any() else None


def _stuck(samples: NDArray[Any], run: int | None) -> Mask | None:
    if run is None or len(samples) < run:
        return None
    # A run so long holds two neighbours of a grid half as wide: most windows end here.
    grid = samples[:: max(1, run // 2)]
    if not (grid[1:] == grid[:-1]).any():
        return None
    mask = np.zeros(samples.shape, bool)
    for channel in range(samples.shape[1]):
        _mark_runs(samples[1:, channel] == samples[:-1, channel], run, mask[:, channel])
    return mask


def _mark_runs(same: Mask, run: int, mask: Mask) -> None:
    """Set mask (T,) where at least `run` samples in a row are equal; same: (T - 1,) like the one before."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], same, [False]]).astype(np.int8)))
    for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if last - first + 1 >= run:
            mask[first : last + 1] = True


def _bad_frames(frames: NDArray[Any], limits: Limits) -> dict[str, Mask]:
    flat, run = frames.reshape(len(frames), -1), limits.stuck_run
    shape = (len(frames), *[1] * (frames.ndim - 1))
    bad: dict[str, Mask] = {}
    if limits.blank and (blank := flat.min(axis=1) == flat.max(axis=1)).any():
        bad["blank"] = blank.reshape(shape)
    if run is not None and len(flat) >= run:
        mask = np.zeros(len(flat), bool)
        _mark_runs((flat[1:] == flat[:-1]).all(axis=1), run, mask)
        if mask.any():
            bad["frozen"] = mask.reshape(shape)
    return bad
