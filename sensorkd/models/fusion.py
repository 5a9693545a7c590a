"""Joins the modalities stage by stage, coarse to fine, with any of them absent.

Axes: B batch, E embedding, K modalities, S stages. z[s] = Fuse_s(z[s-1], pool(f[1,s]) .. pool(f[K,s])).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

__all__ = ["FusionStage", "pool_map"]


def pool_map(feature_map: Tensor, time_bins: int) -> Tensor:
    """(B, C, T[, H, W]) -> (B, C * bins): mean over space, and over time within each of the bins.

    With fewer steps than bins every step is a bin of its own. Bins are cut at fixed steps, not by
    adaptive pooling, which does not export.
    """
    if feature_map.dim() == 5:
        feature_map = feature_map.mean(dim=(3, 4))
    steps = feature_map.shape[2]
    bins = pooled_bins(steps, time_bins)
    edges = [round(index * steps / bins) for index in range(bins + 1)]
    parts = [feature_map[:, :, first:last].mean(dim=2) for first, last in zip(edges, edges[1:], strict=False)]
    return torch.cat(parts, dim=1)


def pooled_bins(steps: int, time_bins: int) -> int:
    """How many bins `pool_map` makes of a map of that many steps."""
    return min(steps, time_bins)


class FusionStage(nn.Module):
    """z[s] (B, E) from the stage before and what the present modalities show at this stage.

    Every modality is brought to E by a linear layer of its own; absent ones add nothing, and the sum
    is scaled by K / present so that its size does not tell how many there were.
    """

    def __init__(
        self, pooled_sizes: Mapping[str, int], embedding: int, *, first: bool, dropout: float
    ) -> None:
        super().__init__()
        self.project = nn.ModuleDict(
            {name: nn.Linear(size, embedding) for name, size in pooled_sizes.items()}
        )
        self.carry = None if first else nn.Linear(embedding, embedding)
        self.norm = nn.LayerNorm(embedding)
        self.dropout = nn.Dropout(dropout)

    def forward(self, previous: Tensor | None, pooled: Sequence[Tensor], presence: Tensor) -> Tensor:
        """previous (B, E) or None; pooled K of (B, pooled size); presence (B, K) of 0 and 1 -> (B, E)."""
        share = presence / presence.sum(dim=1, keepdim=True).clamp(min=1.0) * presence.shape[1]
        joined = sum(
            project(self.dropout(values)) * share[:, index : index + 1]
            for index, (project, values) in enumerate(zip(self.project.values(), pooled, strict=True))
        )
        if self.carry is not None:
            joined = joined + self.carry(previous)
        return torch.relu(self.norm(joined))
