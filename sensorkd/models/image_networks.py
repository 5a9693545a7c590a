"""The published networks for single images, by the names of their repositories.

Parameters with the classifier, in millions: with 100 classes resnet20 0.28, resnet8x4 1.23, wrn_16_2 0.70,
resnet18 11.2; with 1,000 resnet18_imagenet 11.7, resnet50_imagenet 25.6.
"""

from __future__ import annotations

from sensorkd.errors import ConfigError, nearest
from sensorkd.models.residual import BasicBlock, Block, Bottleneck, ImageNetwork, StageShape
from sensorkd.models.wide_residual import wide_network

__all__ = ["NETWORKS", "network_named"]


def _thin(depth: int, widths: tuple[int, int, int, int]) -> ImageNetwork:
    """Three stages of (depth - 2) / 6 blocks, for 32 pixels (He et al., CVPR 2016, section 4.2)."""
    blocks = (depth - 2) // 6
    strides = (1, 2, 2)
    stages = tuple(StageShape(blocks, width, s) for width, s in zip(widths[1:], strides, strict=True))
    return ImageNetwork(BasicBlock, widths[0], stages)


def _four_stages(
    block: type[Block], blocks: tuple[int, int, int, int], *, large_images: bool
) -> ImageNetwork:
    stages = zip(blocks, (64, 128, 256, 512), (1, 2, 2, 2), strict=True)
    shapes = tuple(StageShape(count, width, stride) for count, width, stride in stages)
    return ImageNetwork(block, 64, shapes, large_images)


NETWORKS: dict[str, ImageNetwork] = {
    **{f"resnet{depth}": _thin(depth, (16, 16, 32, 64)) for depth in (8, 14, 20, 32, 44, 56, 110)},
    **{f"resnet{depth}x2": _thin(depth, (32, 32, 64, 128)) for depth in (8, 14)},
    **{f"resnet{depth}x4": _thin(depth, (32, 64, 128, 256)) for depth in (8, 32)},
    **{f"wrn_{depth}_{wide}": wide_network(depth, wide) for depth in (16, 28, 40) for wide in (1, 2, 4)},
    "wrn_28_10": wide_network(28, 10),
    # With a 3 x 3 stem for small images, and as they were published for large ones.
    **{
        f"{name}{suffix}": _four_stages(block, blocks, large_images=suffix != "")
        for name, block, blocks in (
            ("resnet18", BasicBlock, (2, 2, 2, 2)),
            ("resnet34", BasicBlock, (3, 4, 6, 3)),
            ("resnet50", Bottleneck, (3, 4, 6, 3)),
        )
        for suffix in ("", "_imagenet")
    },
}


def network_named(name: str) -> ImageNetwork:
    """Look a network up.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in NETWORKS:
        raise ConfigError(
            f"no image network {name!r}",
            expected=f"one of {sorted(NETWORKS)}",
            mend=nearest(name, NETWORKS) or None,
        )
    return NETWORKS[name]
