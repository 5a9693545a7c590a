"""The published augmentations of images, on prepared floats (B, C, 1, H, W), shared by all views.

Chance is drawn on the CPU from the batch's generator, so a run repeats on whatever it computes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sensorkd.distillation.augmentation import AugmentationDraw

__all__ = ["HorizontalFlip", "PaddedCrop", "ResizedCrop"]


@dataclass(frozen=True)
class HorizontalFlip:
    """Mirrors every second image left to right, by chance."""

    def __call__(self, x: Tensor, draw: AugmentationDraw) -> Tensor:
        """(B, C, 1, H, W) -> the same shape."""
        flipped = (draw.uniform(1, 1, 1, 1) < 0).to(x.device)
        return torch.where(flipped, x.flip(4), x)


@dataclass(frozen=True)
class PaddedCrop:
    """Pads with black and cuts the old size out at a random place (CIFAR: 4 pixels; He et al., CVPR 2016).

    black: what 0 is after normalisation, colour by colour.
    """

    padding: int
    black: tuple[float, ...]

    def __call__(self, x: Tensor, draw: AugmentationDraw) -> Tensor:
        """(B, C, 1, H, W) -> the same shape."""
        height, width = x.shape[3:]
        black = torch.tensor(self.black, device=x.device, dtype=x.dtype).reshape(1, -1, 1, 1, 1)
        padded = F.pad(x - black, [self.padding] * 4) + black
        places = ((draw.uniform(2) + 1) / 2 * (2 * self.padding + 1)).long().to(x.device)
        rows = places[:, :1] + torch.arange(height, device=x.device)
        columns = places[:, 1:] + torch.arange(width, device=x.device)
        image = torch.arange(len(x), device=x.device).reshape(-1, 1, 1)
        # The axes that are indexed come first.
        cut = padded.squeeze(2).permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]]
        return cut.permute(0, 3, 1, 2).unsqueeze(2)


@dataclass(frozen=True)
class ResizedCrop:
    """A part of 8 to 100 % of the area and 3:4 to 4:3 of shape, brought to `size` (Inception, Szegedy et al.,
    CVPR 2015).

    Taken from the decoded square, in which the ends of long images are missing already; published runs
    take it from the whole image.
    """

    size: int
    smallest: float = 0.08

    def __call__(self, x: Tensor, draw: AugmentationDraw) -> Tensor:
        """(B, C, 1, H, W) -> (B, C, 1, size, size)."""
        area = self.smallest + (1 - self.smallest) * (draw.uniform(1)[:, 0] + 1) / 2
        shape = torch.exp(math.log(4 / 3) * draw.uniform(1)[:, 0])
        scale = torch.stack([(area * shape).sqrt(), (area / shape).sqrt()], dim=1).clamp(max=1.0)
        theta = torch.zeros(len(x), 2, 3)
        theta[:, 0, 0], theta[:, 1, 1] = scale.unbind(1)
        # affine_grid counts an image as 2 wide.
        theta[:, :, 2] = draw.uniform(2) * (1 - scale)
        theta = theta.to(x.device, x.dtype)
        grid = F.affine_grid(theta, [len(x), x.shape[1], self.size, self.size], align_corners=False)
        cut = F.grid_sample(x.squeeze(2), grid, padding_mode="border", align_corners=False)
        return cut.unsqueeze(2)
