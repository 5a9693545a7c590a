"""Random changes that keep the class, drawn once a window and shared by all its views and modalities.

They act on prepared floats, on whatever device; numbers are drawn on the CPU. Axes: B batch, C channel,
T time, H height, W width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "Augmentation",
    "AugmentationDraw",
    "FrameShift",
    "Gain",
    "Noise",
    "OffsetShift",
    "Rotation",
    "Scale",
    "TimeWarp",
]


class AugmentationDraw:
    """The random numbers of one batch.

    What must agree between modalities (how time is warped) is drawn once here; the rest comes from
    `generator` as each augmentation asks.
    """

    def __init__(self, batch: int, generator: torch.Generator) -> None:
        self.batch = batch
        self.generator = generator
        self.time = self.uniform(4)

    def uniform(self, *shape: int) -> Tensor:
        """(B, *shape) in [-1, 1)."""
        return torch.rand(self.batch, *shape, generator=self.generator) * 2 - 1

    def normal(self, *shape: int) -> Tensor:
        """(B, *shape), standard normal."""
        return torch.randn(self.batch, *shape, generator=self.generator)

    def time_positions(self, steps: int, *, crop: float, warp: float) -> Tensor:
        """(B, steps) fractional positions in [0, steps - 1] of a cropped and smoothly warped window.

        Positions are drawn as shares of the window, so that a camera and a vibration sensor with
        different rates stay aligned.
        """
        share = (torch.arange(steps) + 0.5) / steps
        bend = warp * self.time[:, :1] * torch.sin(math.pi * share)
        wave = warp / 2 * self.time[:, 1:2] * torch.sin(2 * math.pi * share)
        start, stop = crop * (self.time[:, 2:3] + 1) / 2, crop * (self.time[:, 3:4] + 1) / 2
        position = start + (share + bend + wave) * (1 - start - stop)
        return (position * steps - 0.5).clamp(0, steps - 1)


class Augmentation(Protocol):
    """Takes prepared floats and the batch's draw; returns floats of the same shape."""

    def __call__(self, x: Tensor, draw: AugmentationDraw) -> Tensor:
        """Change x."""
        ...


@dataclass(frozen=True)
class TimeWarp:
    """Cuts up to `crop` off each end and bends time by up to `warp`, shares of the window.

    Video takes the nearest frame, signals are interpolated.
    """

    crop: float = 0.12
    warp: float = 0.08

    def __call__(self, x: Tensor, draw: AugmentationDraw) -> Tensor:
        """(B, C, T[, H, W]) -> the same shape."""
        position = draw.time_positions(x.shape[2], crop=self.crop, warp=self.warp).to(x.device)
        if x.dim() == 5:
            rows = torch.arange(x.shape[0], device=x.device)[:, None]
            return x.transpose(1, 2)[rows, position.round().long()].transpose(1, 2)
        low = position.floor().long()
        high = (low + 1).clamp(max=x.shape[2] - 1)
        weight = (position - low)[:, None]
        before = x.gather(2, low[:, None].expand(-1, x.shape[1], -1))
        after = x.gather(2, high[:, None].expand(-1, x.shape[1], -1))
        return before * (1 - weight) + after * weight


@dataclass(frozen=True)
class Scale:
    """Multiplies a window by 1 +- amount."""

    amount: float = 0.15

    def __call__(self, x: Tensor, draw: AugmentationDraw) -> Tensor:
        """(B, C, T, ...) -> the same shape."""
        return x * (1 + self.amount * draw.uniform(*[1] * (x.dim() - 1)).to(x.device))


@dataclass(frozen=True)
class Gain:
    """Multiplies a window by up to +- decibels, evenly drawn in the logarithm."""

    decibels: float = 6.0

    def __call__(self, x: Tensor, draw: AugmentationDraw) -> Tensor:
        """(B, C, T, ...) -> the same shape."""
        return x * 10 ** (self.decibels / 20 * draw.uniform(*[1] * (x.dim() - 1)).to(x.device))


@dataclass(frozen=True)
class OffsetShift:
    """Adds up to +- amount to a whole window, in units of the training deviation."""

    amount: float = 0.1

    def __call__(self, x: Tensor, draw: AugmentationDraw) -> Tensor:
        """(B, C, T, ...) -> the same shape."""
        return x + self.amount * draw.uniform(*[1] * (x.dim() - 1)).to(x.device)


@dataclass(frozen=True)
class Noise:
    """Adds white noise of the given deviation."""

    amount: float = 0.05

    def __call__(self, x: Tensor, draw: AugmentationDraw) -> Tensor:
        """(B, C, T, ...) -> the same shape."""
        return x + self.amount * draw.normal(*x.shape[1:]).to(x.device)


@dataclass(frozen=True)
class Rotation:
    """Turns three-axis signals about a random axis by a normal angle: sensors are mounted askew.

    Other channel counts pass unchanged.
    """

    degrees: float = 15.0

    def __call__(self, x: Tensor, draw: AugmentationDraw) -> Tensor:
        """(B, 3, T) -> the same shape."""
        if x.dim() != 3 or x.shape[1] != 3:
            return x
        axis = F.normalize(draw.normal(3), dim=1) * draw.normal(1) * math.radians(self.degrees)
        zero = torch.zeros(draw.batch)
        a, b, c = axis.unbind(1)
        skew = torch.stack([zero, -c, b, c, zero, -a, -b, a, zero], dim=1).reshape(-1, 3, 3)
        turned: Tensor = torch.matrix_exp(skew).to(x.device) @ x
        return turned


@dataclass(frozen=True)
class FrameShift:
    """Shifts frames by up to +- share of their size and zooms by up to +- zoom, one draw a window."""

    share: float = 0.08
    zoom: float = 0.1

    def __call__(self, x: Tensor, draw: AugmentationDraw) -> Tensor:
        """(B, C, T, H, W) -> the same shape."""
        batch, channels, time, height, width = x.shape
        theta = torch.zeros(batch, 2, 3)
        theta[:, 0, 0] = theta[:, 1, 1] = 1 + self.zoom * draw.uniform(1)[:, 0]
        # affine_grid counts a frame as 2 wide.
        theta[:, :, 2] = 2 * self.share * draw.uniform(2)
        flat = x.reshape(batch, channels * time, height, width)
        grid = F.affine_grid(theta.to(x.device), list(flat.shape), align_corners=False)
        return F.grid_sample(flat, grid, align_corners=False).reshape(x.shape)
