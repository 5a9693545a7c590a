"""Joins the modalities stage by stage, coarse to fine, with any of them absent.

Axes: B batch, E embedding, K modalities, S stages. z[s] = Fuse_s(z[s-1], pool(f[1,s]) .. pool(f[K,s])).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

__all__ = ["FusionStage", "pool_map"]


def pool_map(feature_map: Tensor, *, time_bins: int, space_bins: int) -> Tensor:
    """(B, C, T) -> (B, C * t) and (B, C, T, H, W) -> (B, C * t * s * s): means over bins of the map.

    When and where something happens carries meaning, which a mean over everything would lose.
    """
    if feature_map.dim() == 5:
        feature_map = _bin_means(_bin_means(feature_map, 4, space_bins), 3, space_bins)
    return _bin_means(feature_map, 2, time_bins).flatten(1)


def _bin_means(x: Tensor, dim: int, bins: int) -> Tensor:
    """Means over `bins` nearly equal parts of an axis; an axis no longer than that is left as it is.

    A product with a constant matrix: one operation in the exported graph, where adaptive pooling would
    not export and slices would be many.
    """
    length = x.shape[dim]
    if length <= bins:
        return x
    means = torch.tensor(_bin_weights(length, bins))
    return (x.movedim(dim, -1) @ means).movedim(-1, dim)


@functools.cache
def _bin_weights(length: int, bins: int) -> tuple[tuple[float, ...], ...]:
    """(length, bins) weights of the means, as numbers: the exporter then sees one constant."""
    edges = [round(index * length / bins) for index in range(bins + 1)]
    return tuple(
        tuple(
            1.0 / (last - first) if first <= row < last else 0.0 for first, last in itertools.pairwise(edges)
        )
        for row in range(length)
    )


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

    def keep(self, modalities: Sequence[str]) -> None:
        """Drop the other modalities, in place: outputs are then what they were with those absent.

        The sum was scaled by how many there were of all K; now that K is smaller, the layers bear the rest.
        """
        scale = len(self.project) / len(modalities)
        self.project = nn.ModuleDict({name: self.project[name] for name in modalities})
        with torch.no_grad():
            for parameter in self.project.parameters():
                parameter.mul_(scale)

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
