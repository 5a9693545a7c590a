"""A student with its training-only classifiers around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from sensorkd.models.auxiliary import FusedAuxiliary, MapAuxiliary
from sensorkd.models.student import Student, TrunkOutput

__all__ = ["LayeredOutput", "LayeredStudent"]


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


class LayeredStudent(nn.Module):
    """student + auxiliary classifiers after every stage: of each modality, and of the fusion.

    `student` alone is what ships; it is the same module whatever stands around it.

    Args:
        families: modality -> M_m, how many transforms it has of its own. M is the largest.
    """

    def __init__(self, student: Student, families: Mapping[str, int]) -> None:
        super().__init__()
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
                        encoder.widths[number:], rank=encoder.rank, labels=student.classes * families[name]
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

    def without_auxiliaries(self) -> LayeredStudent:
        """The very same student with nothing around it, for methods that have no use for auxiliaries."""
        bare = LayeredStudent(self.student, self.families)
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
