"""One stack per modality: named stages of convolutions, and the feature map after each.

Axes: B batch, C channel, T time, H height, W width. Padding is explicit throughout, since
`padding="same"` does not survive quantisation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sensorkd.models.norms import norm_layer
from sensorkd.models.size import Norm

__all__ = ["Encoder", "SignalEncoder", "VideoEncoder", "strides_for"]


def strides_for(steps: int, stages: int, *, target: int = 16) -> tuple[int, ...]:
    """Time strides of the stages that bring `steps` down to about `target`, largest first.

    >>> strides_for(128, 3), strides_for(4000, 3), strides_for(10, 3)
    ((2, 2, 2), (7, 6, 6), (1, 1, 1))
    """
    strides = []
    left = max(1.0, steps / target)
    for remaining in range(stages, 0, -1):
        stride = max(1, math.ceil(left ** (1 / remaining) - 1e-9))
        strides.append(stride)
        left /= stride
    return tuple(strides)


class Encoder(nn.Module):
    """Abstract: runs its stages in order and returns the feature map after each.

    stages: `stage1` .. `stageS`. widths: channels of the maps. rank: 1 where maps are (B, C, T), 3
    where they are (B, C, T, H, W).
    """

    stages: nn.ModuleDict
    widths: tuple[int, ...]
    rank: int

    def forward(self, x: Tensor) -> list[Tensor]:
        """Feature maps, shallow to deep."""
        maps = []
        for stage in self.stages.values():
            x = stage(x)
            maps.append(x)
        return maps


class SignalEncoder(Encoder):
    """(B, C, T) -> S maps (B, widths[s], T_s): two 1-D convolutions a stage, the first one strided.

    Args:
        channels: of the input.
        widths: channels after each stage.
        steps: samples in a window; decides the strides, so that 128 steps and 25,600 both end at
            about 16.
        norm: batch or group norm, after every convolution.
    """

    def __init__(self, channels: int, widths: Sequence[int], *, steps: int, norm: Norm = "batch") -> None:
        super().__init__()
        self.rank = 1
        self.widths = tuple(widths)
        self.stages = nn.ModuleDict()
        for number, (width, stride) in enumerate(
            zip(widths, strides_for(steps, len(widths)), strict=True), start=1
        ):
            kernel = max(7 if number == 1 else 5, 2 * stride + 1)
            self.stages[f"stage{number}"] = nn.Sequential(
                nn.Conv1d(channels, width, kernel, stride, kernel // 2, bias=False),
                norm_layer(norm, width, rank=1),
                nn.ReLU(),
                nn.Conv1d(width, width, 3, 1, 1, bias=False),
                norm_layer(norm, width, rank=1),
                nn.ReLU(),
            )
            channels = width


class VideoEncoder(Encoder):
    """(B, C, T, H, W) -> S maps (B, widths[s], T_s, H_s, W_s): space first, then time (2+1-D).

    Source of the factorisation: Tran et al., CVPR 2018, R(2+1)D.
    Group norm takes each frame by itself where frames are convolved, and the window as one along time.
    """

    def __init__(self, channels: int, widths: Sequence[int], *, steps: int, norm: Norm = "batch") -> None:
        super().__init__()
        self.rank = 3
        self.widths = tuple(widths)
        self.stages = nn.ModuleDict()
        strides = sorted(strides_for(steps, len(widths), target=4))
        for number, (width, stride) in enumerate(zip(widths, strides, strict=True), start=1):
            # Mixing time at full resolution would be half of all the work, and shows little.
            time_stride = None if number == 1 and stride == 1 else stride
            self.stages[f"stage{number}"] = VideoStage(channels, width, time_stride=time_stride, norm=norm)
            channels = width


class VideoStage(nn.Module):
    """One stage of a video encoder: a strided 2-D convolution on frames, a 1-D one along time or none."""

    def __init__(self, channels: int, width: int, *, time_stride: int | None, norm: Norm = "batch") -> None:
        super().__init__()
        self.space = nn.Sequential(
            nn.Conv2d(channels, width, 3, 2, 1, bias=False), norm_layer(norm, width, rank=2), nn.ReLU()
        )
        self.time: nn.Sequential | None = None
        if time_stride is not None:
            self.time = nn.Sequential(
                # Rows are time, columns are pixels: a 2-D kernel is faster on CPUs than Conv3d.
                nn.Conv2d(width, width, (3, 1), (time_stride, 1), (1, 0), bias=False),
                norm_layer(norm, width, rank=2),
                nn.ReLU(),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, width, T / time_stride, H / 2, W / 2)."""
        batch, channels, time, height, width = x.shape
        # With channels last the reshapes below move nothing, and CPUs convolve faster.
        x = x.contiguous(memory_format=torch.channels_last_3d)
        frames = self.space(x.transpose(1, 2).reshape(batch * time, channels, height, width))
        wide, height, width = frames.shape[1:]
        mixed: Tensor = frames.reshape(batch, time, wide, height * width).transpose(1, 2)
        if self.time is not None:
            mixed = self.time(mixed)
        return mixed.reshape(batch, wide, -1, height, width)
