"""What labels say of a batch: one class, shares over classes, and how much a label counts for.

Axes: B windows, N classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

__all__ = ["Targets", "targets_of"]


@dataclass(frozen=True)
class Targets:
    """labels: (B,), -1 where unknown. shares: (B, N), where one class does not say it all.

    A row of shares sums to what its label counts for: 1, the weight of a weak label, or 0 where it is
    unknown.
    """

    labels: Tensor
    shares: Tensor | None = None

    def as_shares(self, classes: int) -> Tensor:
        """(B, N), whatever the labels are."""
        return _one_hot(self.labels, classes) if self.shares is None else self.shares


def targets_of(
    labels: Tensor,
    *,
    classes: int,
    smoothing: float = 0.0,
    label_shares: Tensor | None = None,
    label_weight: Tensor | None = None,
) -> Targets:
    """Labels of a batch as targets.

    Args:
        labels: (B,), -1 where unknown. label_shares: (B, N) soft labels, all zero where there is none; there
            `labels` speak. label_weight: (B,) in (0, 1]; a weak label of weight w counts w times in a mean
            over all labelled windows, whatever the others weigh.
        smoothing: eps; the target is (1 - eps) y + eps / N (Szegedy et al., CVPR 2016).
    """
    if not smoothing and label_shares is None and label_weight is None:
        return Targets(labels)
    shares = _one_hot(labels, classes)
    if label_shares is not None:
        soft = label_shares.sum(dim=1, keepdim=True) > 0
        shares = label_shares.to(shares.dtype).where(soft, shares)
    if smoothing:
        known = shares.sum(dim=1, keepdim=True)
        shares = (1.0 - smoothing) * shares + smoothing / classes * known
    if label_weight is not None:
        shares = shares * label_weight[:, None]
    return Targets(labels, shares)


def _one_hot(labels: Tensor, classes: int) -> Tensor:
    return F.one_hot(labels.clamp(min=0), classes) * (labels >= 0)[:, None].float()
