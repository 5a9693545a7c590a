"""Training-only classifiers on stages: they predict the joint label of class and transform.

Axes: B batch, E embedding, N classes, M transforms. Source: HSAKD (Yang et al., IJCAI 2021); the
classifiers on fused stages of several modalities are ours.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import nullcontext

from torch import Tensor, nn

from sensorkd.models.norms import norm_layer, settled_norms
from sensorkd.models.size import Depth, Norm

__all__ = ["FusedAuxiliary", "MapAuxiliary"]


class MapAuxiliary(nn.Module):
    """A[m,s]: a modality's feature map (B, C, T[, H, W]) -> joint logits (B, N * M_m).

    The feature module repeats the remaining stages in small (separable, strided), so that a shallow
    stage is judged at the deepest stage's width and size, and then averages over all positions.

    Args:
        widths: channels from this stage to the deepest one.
        rank: 1 for signals, 3 for video.
        depth: `full`, as above; `light`, nothing but the average and a linear layer, which costs next to
            nothing and asks the stage itself for what is linear in its mean.
        norm: of the feature module.
    """

    def __init__(
        self,
        widths: Sequence[int],
        *,
        rank: int,
        labels: int,
        depth: Depth = "full",
        norm: Norm = "batch",
    ) -> None:
        super().__init__()
        judged = widths if depth == "full" else widths[:1]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(judged):
            layers += _downward(before, after, rank, norm)
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(judged[-1], labels)

    def forward(self, feature_map: Tensor) -> Tensor:
        """Joint logits; a single window may come to one value a channel, and has no statistics then."""
        with settled_norms(self.features) if len(feature_map) == 1 else nullcontext():
            features = self.features(feature_map).flatten(2).mean(dim=2)
        logits: Tensor = self.classifier(features)
        return logits


def _downward(before: int, after: int, rank: int, norm: Norm) -> list[nn.Module]:
    if rank == 1:
        return [
            nn.Conv1d(before, before, 5, 2, 2, groups=before, bias=False),
            nn.Conv1d(before, after, 1, bias=False),
            norm_layer(norm, after, rank=1),
            nn.ReLU(),
        ]
    # Pooling in place of a depthwise convolution: in three dimensions that one took a quarter of the step.
    return [
        nn.AvgPool3d((1, 2, 2), ceil_mode=True),
        nn.Conv3d(before, after, 1, bias=False),
        norm_layer(norm, after, rank=3),
        nn.ReLU(),
    ]


class FusedAuxiliary(nn.Module):
    """A[f,s]: a fused stage z[s] (B, E) -> projection h_s (B, E) and joint logits (B, N * M)."""

    def __init__(self, embedding: int, *, labels: int) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.Linear(embedding, embedding), nn.ReLU())
        self.classifier = nn.Linear(embedding, labels)

    def forward(self, fused: Tensor) -> tuple[Tensor, Tensor]:
        """h_s and joint logits."""
        projection = self.project(fused)
        return projection, self.classifier(projection)
