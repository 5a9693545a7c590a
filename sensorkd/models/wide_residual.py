"""Wide residual networks (Zagoruyko and Komodakis, BMVC 2016): norm and ReLU come before each convolution."""

from __future__ import annotations

from torch import Tensor, nn

from sensorkd.models.residual import Block, ImageNetwork, StageShape

__all__ = ["WideBlock", "wide_network"]


class WideBlock(Block):
    """Two 3 x 3 convolutions; where the width changes, the way around starts behind norm and ReLU."""

    preactivated = True

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__(before, width, stride)
        self.first = nn.Sequential(nn.BatchNorm2d(before), nn.ReLU(inplace=True))
        self.inner = nn.Sequential(
            nn.Conv2d(before, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
        )
        self.shortcut: nn.Module | None = None
        if before != width or stride != 1:
            self.shortcut = nn.Conv2d(before, width, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Add the way around."""
        active = self.first(x)
        around: Tensor = x if self.shortcut is None else self.shortcut(active)
        added: Tensor = around + self.inner(active)
        return added


def wide_network(depth: int, factor: int) -> ImageNetwork:
    """WRN-depth-factor for images of 32 or 64 pixels; depth is 6 n + 4, with n blocks in each stage.

    >>> wide_network(16, 2).stages[0]
    StageShape(blocks=2, width=32, stride=1)
    """
    blocks, rest = divmod(depth - 4, 6)
    if rest or blocks < 1:
        raise ValueError(f"the depth of a wide residual network is 6 n + 4, got {depth}")
    stages = tuple(
        StageShape(blocks, width * factor, stride) for width, stride in ((16, 1), (32, 2), (64, 2))
    )
    return ImageNetwork(WideBlock, 16, stages)
