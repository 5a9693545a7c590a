"""The network that ships: frontends, encoders, stage-by-stage fusion, one classifier.

It knows nothing of auxiliary classifiers. Axes: B batch, E embedding, K modalities, N classes, S stages.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sensorkd.models.encoders import Encoder
from sensorkd.models.frontend import Frontend
from sensorkd.models.fusion import FusionStage, pool_map
from sensorkd.models.norms import settled_norms

__all__ = ["Student", "TrunkOutput"]


@dataclass(frozen=True)
class TrunkOutput:
    """Everything the trunk computed for a batch.

    maps: modality -> S feature maps of the rows where it is present. rows: modality -> (R,) indices
    of those rows, or None where all are. fused: S tensors z[s] (B, E). embedding = z[S]. logits (B, N).
    """

    maps: Mapping[str, list[Tensor]]
    rows: Mapping[str, Tensor | None]
    fused: list[Tensor]
    embedding: Tensor
    logits: Tensor


class Student(nn.Module):
    """Native samples and presence in, logits and embedding out.

    Args:
        frontends, encoders: one each a modality, in the same order; that order is the order of the
            columns of `presence`.
        examples: a zero window of each input, (1, *encoding.shape) in its dtype, to size the fusion.
        classes: N.
    """

    def __init__(
        self,
        frontends: Mapping[str, Frontend],
        encoders: Mapping[str, Encoder],
        examples: Mapping[str, Tensor],
        *,
        classes: int,
        embedding: int,
        time_bins: int,
        space_bins: int,
        dropout: float,
    ) -> None:
        super().__init__()
        if list(frontends) != list(encoders) or list(frontends) != list(examples):
            raise ValueError(
                "frontends, encoders and examples must name the same modalities in the same order, got "
                f"{list(frontends)}, {list(encoders)}, {list(examples)}"
            )
        self.modalities = tuple(frontends)
        self.time_bins = time_bins
        self.space_bins = space_bins
        self.classes = classes
        self.frontends = nn.ModuleDict(frontends)
        self.encoders = nn.ModuleDict(encoders)
        self.fusion = nn.ModuleDict()
        self.pooled_sizes = self._measure(examples)
        for number, sizes in enumerate(self.pooled_sizes, start=1):
            self.fusion[f"stage{number}"] = FusionStage(sizes, embedding, first=number == 1, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(embedding, classes)

    @torch.no_grad()
    def _measure(self, examples: Mapping[str, Tensor]) -> list[dict[str, int]]:
        """Width of each modality's pooled map, stage by stage; notes whose maps hold a single value."""
        training = self.training
        self.eval()
        maps = {name: self.encode(name, self.frontends[name](examples[name])) for name in self.modalities}
        self.train(training)
        counts = {len(value) for value in maps.values()}
        if len(counts) != 1:
            raise ValueError(
                "all encoders need the same number of stages, got "
                f"{ {name: len(value) for name, value in maps.items()} }"
            )
        self.single_valued = {
            name for name, values in maps.items() if any(value[0, 0].numel() == 1 for value in values)
        }
        return [
            {name: self.pool(maps[name][stage]).shape[1] for name in self.modalities}
            for stage in range(counts.pop())
        ]

    @property
    def stages(self) -> int:
        """S."""
        return len(self.fusion)

    def prepare(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Frontends: native samples (B, T, ...) to normalised floats (B, C, T, ...), by modality."""
        return {name: self.frontends[name](inputs[name]) for name in self.modalities}

    def encoder(self, modality: str) -> Encoder:
        """The encoder of one modality."""
        encoder = self.encoders[modality]
        assert isinstance(encoder, Encoder)
        return encoder

    def encode(self, modality: str, x: Tensor) -> list[Tensor]:
        """Feature maps of one modality, shallow to deep."""
        maps: list[Tensor] = self.encoder(modality)(x)
        return maps

    def _encode_alone(self, modality: str, x: Tensor) -> list[Tensor]:
        """One window of one value a channel has no statistics of its own: those so far serve."""
        with settled_norms(self.encoder(modality)):
            return self.encode(modality, x)

    def pool(self, feature_map: Tensor) -> Tensor:
        """A feature map as the fusion sees it: (B, C, T[, H, W]) -> (B, features)."""
        return pool_map(feature_map, time_bins=self.time_bins, space_bins=self.space_bins)

    def trunk(
        self, prepared: Mapping[str, Tensor], presence: Tensor, fusion_presence: Tensor | None = None
    ) -> TrunkOutput:
        """Encoders, fusion and classifier on prepared floats.

        Args:
            prepared: modality -> (B, C, T, ...).
            presence: (B, K) of 0 and 1: what was logged. In training an absent modality skips its
                encoder, so that blanks cost neither time nor statistics.
            fusion_presence: what the fusion may see, when that is less (modality dropout).
        """
        maps: dict[str, list[Tensor]] = {}
        rows: dict[str, Tensor | None] = {}
        pooled: dict[str, list[Tensor]] = {}
        for index, name in enumerate(self.modalities):
            x, rows[name] = prepared[name], None
            if self.training and not bool(presence[:, index].all()):
                rows[name] = presence[:, index].nonzero()[:, 0]
                x = x[rows[name]]
            if x.shape[0] == 0:
                maps[name], pooled[name] = [], self._nothing(name, presence)
                continue
            alone = self.training and x.shape[0] == 1 and name in self.single_valued
            maps[name] = self._encode_alone(name, x) if alone else self.encode(name, x)
            pooled[name] = [_scatter(self.pool(value), rows[name], presence.shape[0]) for value in maps[name]]
        fused = self.fuse(pooled, presence if fusion_presence is None else fusion_presence)
        embedding = fused[-1]
        return TrunkOutput(maps, rows, fused, embedding, self.classifier(self.dropout(embedding)))

    def fuse(self, pooled: Mapping[str, Sequence[Tensor]], presence: Tensor) -> list[Tensor]:
        """z[s] (B, E) of every stage, from each modality's pooled maps and presence (B, K)."""
        fused: list[Tensor] = []
        previous: Tensor | None = None
        for stage, join in enumerate(self.fusion.values()):
            previous = join(previous, [pooled[name][stage] for name in self.modalities], presence)
            fused.append(previous)
        return fused

    def observe(self, prepared: Mapping[str, Tensor], presence: Tensor) -> None:
        """Run the encoders on the windows where each modality is present, for their statistics only."""
        for index, name in enumerate(self.modalities):
            x = prepared[name][presence[:, index] > 0]
            if len(x) > 1:
                self.encode(name, x)

    def _nothing(self, modality: str, presence: Tensor) -> list[Tensor]:
        """Pooled zeros of a modality that no window of the batch has."""
        return [presence.new_zeros(presence.shape[0], sizes[modality]) for sizes in self.pooled_sizes]

    def only(self, modalities: Sequence[str]) -> Student:
        """A smaller student for some of the modalities, in the order they have here.

        Its outputs are those of the whole one with the others absent, up to rounding in float32.

        Raises:
            ValueError: one is not known, or there is none.
        """
        unknown = [name for name in modalities if name not in self.modalities]
        if unknown or not modalities:
            raise ValueError(f"expected some of {list(self.modalities)}, got {list(modalities)}")
        kept = tuple(name for name in self.modalities if name in modalities)
        small = copy.deepcopy(self)
        small.modalities = kept
        small.frontends = nn.ModuleDict({name: small.frontends[name] for name in kept})
        small.encoders = nn.ModuleDict({name: small.encoders[name] for name in kept})
        for stage in small.fusion.values():
            assert isinstance(stage, FusionStage)
            stage.keep(kept)
        small.pooled_sizes = [{name: sizes[name] for name in kept} for sizes in self.pooled_sizes]
        small.single_valued = self.single_valued & {*kept}
        return small

    def forward(self, inputs: Mapping[str, Tensor], presence: Tensor) -> tuple[Tensor, Tensor]:
        """Native samples by modality and presence (B, K) -> logits (B, N), embedding (B, E)."""
        output = self.trunk(self.prepare(inputs), presence)
        return output.logits, output.embedding


def _scatter(values: Tensor, rows: Tensor | None, batch: int) -> Tensor:
    """(R, C) values into zeros (B, C) at their rows."""
    if rows is None:
        return values
    return values.new_zeros(batch, values.shape[1]).index_copy(0, rows, values)
