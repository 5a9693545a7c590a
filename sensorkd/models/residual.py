"""Residual networks for single images, as published: a stem, named stages of blocks, the map after each.

Axes: B batch, C channel, H height, W width. Sources: ResNet (He et al., CVPR 2016), with strided 1 x 1
shortcuts wherever width or size change, as the repositories of CRD and HSAKD have them; the wider ones are
in wide_residual.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from sensorkd.models.encoders import Encoder

__all__ = ["BasicBlock", "Block", "Bottleneck", "ImageEncoder", "ImageNetwork", "StageShape"]


class Block(nn.Module):
    """Abstract: two or three convolutions and a way around them, (B, before, H, W) -> (B, out, H', W').

    expansion: out is `width` times this. preactivated: whether norm and ReLU come before the
    convolutions, so that the last stage needs both once more behind it.
    """

    expansion: ClassVar[int] = 1
    preactivated: ClassVar[bool] = False

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()


class BasicBlock(Block):
    """Two 3 x 3 convolutions."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__(before, width, stride)
        self.inner = nn.Sequential(
            *normed(before, width, 3, stride), nn.ReLU(inplace=True), *normed(width, width, 3)
        )
        self.shortcut = _shortcut(before, width, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Add the way around."""
        added: Tensor = self.relu(self.inner(x) + self.shortcut(x))
        return added


class Bottleneck(Block):
    """A 3 x 3 convolution between two of 1 x 1; the stride is in the 3 x 3 one, as torchvision has it."""

    expansion = 4

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__(before, width, stride)
        self.inner = nn.Sequential(
            *normed(before, width, 1),
            nn.ReLU(inplace=True),
            *normed(width, width, 3, stride),
            nn.ReLU(inplace=True),
            *normed(width, width * self.expansion, 1),
        )
        self.shortcut = _shortcut(before, width * self.expansion, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Add the way around."""
        added: Tensor = self.relu(self.inner(x) + self.shortcut(x))
        return added


def normed(before: int, after: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    """A convolution that keeps the size but for its stride, and its batch norm."""
    convolution = nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False)
    return [convolution, nn.BatchNorm2d(after)]


def _shortcut(before: int, after: int, stride: int) -> nn.Module:
    if before == after and stride == 1:
        return nn.Identity()
    return nn.Sequential(*normed(before, after, 1, stride))


@dataclass(frozen=True)
class StageShape:
    """Blocks of a stage, their width, and the stride of the first one."""

    blocks: int
    width: int
    stride: int


@dataclass(frozen=True)
class ImageNetwork:
    """What a published network consists of.

    large_images: a 7 x 7 stem of stride 2 and a pooling of stride 2 (ImageNet), in place of a 3 x 3 one.
    """

    block: type[Block]
    stem: int
    stages: tuple[StageShape, ...]
    large_images: bool = False


class ImageEncoder(Encoder):
    """(B, 3, H, W) -> S maps (B, widths[s], H_s, W_s), shallow to deep; rank 2.

    Of pre-activated blocks the last map has passed the norm and ReLU that the classifier reads through.
    """

    def __init__(self, network: ImageNetwork) -> None:
        super().__init__()
        self.network = network
        self.rank = 2
        self.widths = tuple(shape.width * network.block.expansion for shape in network.stages)
        self.stem = nn.Sequential(*_stem(network))
        self.stages = nn.ModuleDict()
        for number, shape in enumerate(network.stages, start=1):
            before = network.stem if number == 1 else self.widths[number - 2]
            self.stages[f"stage{number}"] = self._stage(before, shape, last=number == len(network.stages))
        initialise(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Feature maps, shallow to deep."""
        return super().forward(self.stem(x))

    def repeated(self, stage: int) -> nn.Sequential:
        """Fresh copies of the stages after number `stage` (1 .. S); after the last: that one, unstrided.

        The feature module of an auxiliary classifier, as HSAKD (Yang et al., IJCAI 2021) has it.
        """
        shapes = list(self.network.stages[stage:])
        if not shapes:
            final = self.network.stages[-1]
            shapes = [StageShape(final.blocks, final.width, 1)]
        modules: list[nn.Module] = []
        before = self.widths[stage - 1]
        for number, shape in enumerate(shapes, start=1):
            modules.append(self._stage(before, shape, last=number == len(shapes)))
            before = shape.width * self.network.block.expansion
        again = nn.Sequential(*modules)
        initialise(again)
        return again

    def _stage(self, before: int, shape: StageShape, *, last: bool) -> nn.Sequential:
        block = self.network.block
        after = shape.width * block.expansion
        modules: list[nn.Module] = [block(before, shape.width, shape.stride)]
        modules += [block(after, shape.width, 1) for _ in range(shape.blocks - 1)]
        if last and block.preactivated:
            modules += [nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
        return nn.Sequential(*modules)


def _stem(network: ImageNetwork) -> Sequence[nn.Module]:
    if network.large_images:
        return [
            *normed(3, network.stem, 7, 2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
        ]
    convolution, norm = normed(3, network.stem, 3)
    return [convolution] if network.block.preactivated else [convolution, norm, nn.ReLU(inplace=True)]


def initialise(network: nn.Module) -> None:
    """Convolutions by He et al. (ICCV 2015), scaled by what goes out, as in the published networks."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
