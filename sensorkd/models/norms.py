"""What keeps the sizes of features alike from layer to layer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from sensorkd.models.size import Norm

__all__ = ["norm_layer", "settled_norms"]

GROUPS = 8
# In a map of one position a group of one channel would be a constant.
CHANNELS_A_GROUP = 4
BATCH = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


def norm_layer(norm: Norm, channels: int, *, rank: int) -> nn.Module:
    """A norm for maps (B, channels, ...) with `rank` axes after the channels.

    batch: by the statistics of all windows (Ioffe and Szegedy, ICML 2015), which then ship with the weights.
    group: by those of each window alone, in up to 8 groups of at least 4 channels (Wu and He, ECCV 2018).
    """
    return BATCH[rank](channels) if norm == "batch" else nn.GroupNorm(_groups(channels), channels)


@contextmanager
def settled_norms(module: nn.Module) -> Iterator[None]:
    """Batch norms that take the statistics so far: one value a channel has none of its own."""
    norms = [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    learning = [norm for norm in norms if norm.training]
    for norm in learning:
        norm.eval()
    try:
        yield
    finally:
        for norm in learning:
            norm.train()


def _groups(channels: int) -> int:
    """The most groups of equal size.

    >>> [_groups(channels) for channels in (16, 24, 40, 64, 6)]
    [4, 6, 8, 8, 1]
    """
    counts = range(1, min(GROUPS, channels // CHANNELS_A_GROUP) + 1)
    return max((count for count in counts if channels % count == 0), default=1)
