"""The network of an image run, with its training-only classifiers around it."""

from __future__ import annotations

import torch

from sensorkd.images.config import ImageRunConfig
from sensorkd.models.image_networks import network_named
from sensorkd.models.plain import plain_student
from sensorkd.models.plain_layered import LayeredPlain, layered_plain

__all__ = ["fresh_network"]


def fresh_network(config: ImageRunConfig, classes: int) -> LayeredPlain:
    """As it is before training, with weights drawn from the seed, and its maps in memory as configured."""
    student = plain_student(
        network_named(config.student), classes=classes, stats=config.stats, size=config.seen, seed=config.seed
    )
    layered = layered_plain(student, transforms=len(config.family), seed=config.seed)
    if config.channels_last:
        layered = layered.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return layered
