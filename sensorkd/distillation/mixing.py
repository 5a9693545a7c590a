"""Mixtures of two windows, with the labels of both: mixup (Zhang et al., ICLR 2018).

Axes: B windows, K modalities, N classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sensorkd.distillation.targets import Targets

__all__ = ["Mixture", "draw_mixture"]


@dataclass(frozen=True)
class Mixture:
    """Who is mixed with whom: lambda x + (1 - lambda) x[partner].

    partner: (B,) rows. share: lambda, one for the batch, as published. mixed: (B,) bool, rows that are.
    """

    partner: Tensor
    share: float
    mixed: Tensor

    def blend(self, x: Tensor) -> Tensor:
        """Of values (B, ...), such as the prepared floats of a modality."""
        blended = self.share * x + (1.0 - self.share) * x[self.partner]
        return torch.where(self.mixed.reshape(-1, *[1] * (x.dim() - 1)), blended, x)

    def presence(self, presence: Tensor) -> Tensor:
        """(B, K): half a sensor is none, so a modality is there where both windows have it."""
        return torch.where(self.mixed[:, None], presence * presence[self.partner], presence)

    def targets(self, targets: Targets, classes: int) -> Targets:
        """Both labels, lambda and 1 - lambda."""
        return Targets(targets.labels, self.blend(targets.as_shares(classes)))


def draw_mixture(targets: Targets, presence: Tensor, beta: float, generator: torch.Generator) -> Mixture:
    """Partners in a random order, and lambda from Beta(beta, beta).

    A window is left as it is where it has no sensor in common with its partner, and where one of the two
    has no label.
    """
    partner = torch.randperm(len(presence), generator=generator)
    # torch draws from a Beta distribution by its global seed only.
    seed = int(torch.randint(2**62, (), generator=generator))
    share = float(np.random.default_rng(seed).beta(beta, beta))
    known = targets.labels >= 0
    if targets.shares is not None:
        known = targets.shares.sum(dim=1) > 0
    common = (presence * presence[partner]).any(dim=1)
    return Mixture(partner, share, known & known[partner] & common)
