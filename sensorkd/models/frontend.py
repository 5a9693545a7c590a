"""The first part of every graph: native samples in, repaired and normalised floats out.

Axes: B batch, T time, C channel, H height, W width. Inputs are as the sensor's encoding holds them,
(B, T, C) or (B, T, H, W, C); outputs are (B, C, T) or (B, C, T, H, W) float32.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sensorkd.encoding import InputEncoding

__all__ = ["ChannelStats", "DepthFrontend", "Frontend", "ImageFrontend", "SignalFrontend"]


@dataclass(frozen=True)
class ChannelStats:
    """Mean and standard deviation of each channel in physical units, from training windows only."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or not all(0 < std < float("inf") for std in self.std):
            raise ValueError(f"expected a mean and a finite deviation above 0 for each channel, got {self}")


class Frontend(nn.Module):
    """Abstract: to physical units. Subclasses normalise and order the axes.

    out_channels: C of what comes out.
    """

    out_channels: int

    def __init__(self, encoding: InputEncoding) -> None:
        super().__init__()
        self.scale = float(encoding.scale)
        self.offset = float(encoding.offset)
        # Open limits still shut out what float32 cannot hold: a single Inf would spoil every output.
        largest = torch.finfo(torch.float32).max
        self.low, self.high = (min(max(float(limit), -largest), largest) for limit in encoding.valid_range)

    def physical(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Values in the encoding's unit, and where they are usable (finite and within limits)."""
        values = samples.to(torch.float32)
        # Most encodings hold plain units: two passes over all samples are saved, in the exported graph too.
        if (self.scale, self.offset) != (1.0, 0.0):
            values = values * self.scale + self.offset
        # A comparison with NaN is false, so this finds NaN, Inf and values out of range alike.
        return values, (values >= self.low) & (values <= self.high)


class SignalFrontend(Frontend):
    """(B, T, C) -> (B, C, T): each channel minus its training mean, over its training deviation.

    Unusable samples become the mean, which is 0 after normalisation.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, encoding: InputEncoding, stats: ChannelStats) -> None:
        super().__init__(encoding)
        self.out_channels = len(stats.mean)
        self.register_buffer("mean", torch.tensor(stats.mean))
        self.register_buffer("std", torch.tensor(stats.std))

    def forward(self, samples: Tensor) -> Tensor:
        """Normalise."""
        # Channels first from the start: the steps that follow then go along time, which is long.
        values, usable = self.physical(samples.transpose(1, 2))
        mean, std = self.mean[:, None], self.std[:, None]
        return (torch.where(usable, values, mean) - mean) / std


class ImageFrontend(Frontend):
    """(B, T, H, W, C) -> (B, C, T, H / pool, W / pool): colour or thermal frames.

    Averaged over pool x pool pixels; each channel minus its training mean, over its training deviation.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, encoding: InputEncoding, stats: ChannelStats, *, pool: int = 1) -> None:
        super().__init__(encoding)
        self.out_channels = len(stats.mean)
        self.pool = pool
        self.register_buffer("mean", torch.tensor(stats.mean))
        self.register_buffer("std", torch.tensor(stats.std))

    def forward(self, samples: Tensor) -> Tensor:
        """Shrink and normalise."""
        values, usable = self.physical(samples.permute(0, 4, 1, 2, 3))
        mean, std = self.mean[:, None, None, None], self.std[:, None, None, None]
        # Averages are linear, so what comes after them has pool x pool times fewer pixels.
        return (_shrink(torch.where(usable, values, mean), self.pool) - mean) / std


class DepthFrontend(Frontend):
    """(B, T, H, W, 1) mm -> (B, 2, T, H / pool, W / pool): foreground mask, and depth within it.

    Depth is taken relative to the window's mean foreground depth, over `reach` mm, so that where the
    person or part stands does not matter. Pixels at 0 (nothing seen) or out of range are background.
    """

    out_channels = 2

    def __init__(self, encoding: InputEncoding, *, pool: int = 1, reach: float = 300.0) -> None:
        super().__init__(encoding)
        self.pool = pool
        self.reach = reach

    def forward(self, samples: Tensor) -> Tensor:
        """Shrink and centre."""
        values, usable = self.physical(samples.permute(0, 4, 1, 2, 3))
        foreground = usable & (values > 0)
        mask = foreground.to(torch.float32)
        # Integers are always numbers, and a product with the mask is five times sooner than a choice by it.
        may_be_nan = samples.dtype.is_floating_point
        values = torch.where(foreground, values, 0.0) if may_be_nan else values * mask
        whole = (1, 2, 3, 4)
        centre = values.sum(whole, keepdim=True) / mask.sum(whole, keepdim=True).clamp(min=1.0)
        # Averages are linear, so what comes after them has pool x pool times fewer pixels.
        mask, values = _shrink(mask, self.pool), _shrink(values, self.pool)
        return torch.cat([mask, (values - centre * mask) / self.reach], dim=1)


def _shrink(frames: Tensor, pool: int) -> Tensor:
    """Average (B, C, T, H, W) over pool x pool pixels."""
    if pool == 1:
        return frames
    batch, channels, time, height, width = frames.shape
    small = F.avg_pool2d(frames.reshape(batch * channels, time, height, width), pool)
    return small.reshape(batch, channels, time, height // pool, width // pool)
