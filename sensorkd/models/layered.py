"""A student with its training-only classifiers around it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sensorkd.models.auxiliary import FusedAuxiliary, MapAuxiliary
from sensorkd.models.size import Depth, Norm
from sensorkd.models.student import Student, TrunkOutput

__all__ = ["LayeredOutput", "LayeredStudent", "end_to_end"]


@dataclass(frozen=True)
class LayeredOutput:
    """What student and auxiliaries say of a batch.

    modality: name -> S joint logits (R, N * M_m) of the rows where it is present (`trunk.rows`).
    fused: S joint logits (B, N * M). projections: S vectors h_s (B, E).
    """

    trunk: TrunkOutput
    modality: Mapping[str, list[Tensor]]
    fused: list[Tensor]
    projections: list[Tensor]

    def as_float32(self) -> LayeredOutput:
        """The same, said in the precision that losses are computed in; of float32 the very tensors."""
        trunk = dataclasses.replace(self.trunk, logits=self.trunk.logits.float())
        modality = {name: [head.float() for head in heads] for name, heads in self.modality.items()}
        fused, projections = [q.float() for q in self.fused], [h.float() for h in self.projections]
        return LayeredOutput(trunk, modality, fused, projections)


class LayeredStudent(nn.Module):
    """student + auxiliary classifiers after every stage: of each modality, and of the fusion.

    `student` alone is what ships; it is the same module whatever stands around it.

    Args:
        families: modality -> M_m, how many transforms it has of its own. M is the largest.
        depth, norm: of the auxiliary classifiers of modalities.
    """

    def __init__(
        self,
        student: Student,
        families: Mapping[str, int],
        *,
        depth: Depth = "full",
        norm: Norm = "batch",
    ) -> None:
        super().__init__()
        self.depth: Depth = depth
        self.norm: Norm = norm
        if set(families) != set(student.modalities):
            raise ValueError(
                f"families must name the student's modalities {student.modalities}, got {sorted(families)}"
            )
        self.student = student
        self.families = {name: families[name] for name in student.modalities}
        self.transforms = max(families.values())
        self.modality_auxiliaries = nn.ModuleDict()
        for name in student.modalities:
            encoder = student.encoder(name)
            self.modality_auxiliaries[name] = nn.ModuleDict(
                {
                    stage: MapAuxiliary(
                        encoder.widths[number:],
                        rank=encoder.rank,
                        labels=student.classes * families[name],
                        depth=depth,
                        norm=norm,
                    )
                    for number, stage in enumerate(student.fusion)
                }
            )
        embedding = student.classifier.in_features
        self.fused_auxiliaries = nn.ModuleDict(
            {
                stage: FusedAuxiliary(embedding, labels=student.classes * self.transforms)
                for stage in student.fusion
            }
        )

    def with_families(self, families: Mapping[str, int]) -> LayeredStudent:
        """The very same student with fresh auxiliaries of the same kind for other families of transforms."""
        return LayeredStudent(self.student, families, depth=self.depth, norm=self.norm)

    def without_auxiliaries(self) -> LayeredStudent:
        """The very same student with nothing around it, for methods that have no use for auxiliaries."""
        bare = self.with_families(self.families)
        bare.modality_auxiliaries, bare.fused_auxiliaries = nn.ModuleDict(), nn.ModuleDict()
        return bare.train(self.training)

    def forward(
        self, prepared: Mapping[str, Tensor], presence: Tensor, fusion_presence: Tensor | None = None
    ) -> LayeredOutput:
        """Trunk and every auxiliary on prepared floats; see `Student.trunk` for the arguments."""
        trunk = self.student.trunk(prepared, presence, fusion_presence)
        modality: dict[str, list[Tensor]] = {}
        for name, auxiliaries in self.modality_auxiliaries.items():
            assert isinstance(auxiliaries, nn.ModuleDict)
            # A modality that no window of the batch has comes with no maps.
            pairs_of = zip(auxiliaries.values(), trunk.maps[name], strict=False)
            modality[name] = [auxiliary(feature_map) for auxiliary, feature_map in pairs_of]
        pairs = [
            auxiliary(value)
            for auxiliary, value in zip(self.fused_auxiliaries.values(), trunk.fused, strict=False)
        ]
        return LayeredOutput(trunk, modality, [pair[1] for pair in pairs], [pair[0] for pair in pairs])

    def observe(self, prepared: Mapping[str, Tensor], presence: Tensor) -> None:
        """Run encoders and what stands on them where each modality is present, for their statistics only."""
        for index, name in enumerate(self.student.modalities):
            x = prepared[name][presence[:, index] > 0]
            if len(x) < 2:
                continue  # one window has no statistics of its own
            maps = self.student.encode(name, x)
            if name in self.modality_auxiliaries:
                auxiliaries = self.modality_auxiliaries[name]
                assert isinstance(auxiliaries, nn.ModuleDict)
                for auxiliary, feature_map in zip(auxiliaries.values(), maps, strict=True):
                    auxiliary(feature_map)

    def by_view(
        self, prepared: Mapping[str, Tensor], presence: Tensor, fusion_presence: Tensor, *, views: int
    ) -> LayeredOutput:
        """`forward` of V views of B windows each, (V * B, ...), one view after the other.

        Batch norm then takes its statistics of one view at a time. Of all views together they would say what
        windows and their transformed copies have in common: a level turned upside down in half of the rows
        is gone from the mean, and with it whatever the classifier that ships could have read from it.
        """
        size = presence.shape[0] // views
        outputs = [
            self(
                {name: x[start : start + size] for name, x in prepared.items()},
                presence[start : start + size],
                fusion_presence[start : start + size],
            )
            for start in range(0, views * size, size)
        ]
        return outputs[0] if views == 1 else end_to_end(outputs, size)


def end_to_end(outputs: Sequence[LayeredOutput], size: int) -> LayeredOutput:
    """Outputs of `size` rows each as one; without feature maps, which only the auxiliaries read."""

    def joined(lists: Iterable[Sequence[Tensor]]) -> list[Tensor]:
        return [torch.cat(parts) for parts in zip(*lists, strict=True)]

    trunks = [output.trunk for output in outputs]
    rows: dict[str, Tensor | None] = {}
    for name in trunks[0].rows:
        seen = [trunk.rows[name] for trunk in trunks]
        offsets = [
            torch.arange(size) + number * size if part is None else part + number * size
            for number, part in enumerate(seen)
        ]
        rows[name] = None if all(part is None for part in seen) else torch.cat(offsets)
    fused = joined(trunk.fused for trunk in trunks)
    return LayeredOutput(
        TrunkOutput({}, rows, fused, fused[-1], torch.cat([trunk.logits for trunk in trunks])),
        {name: joined(output.modality[name] for output in outputs) for name in outputs[0].modality},
        joined(output.fused for output in outputs),
        joined(output.projections for output in outputs),
    )
