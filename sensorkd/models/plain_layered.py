"""A plain student with its training-only classifiers around it, one after every stage.

What the paper calls layers are here the stages of the one network, so the auxiliaries stand where those on
the fused trunk stand in `LayeredStudent`: the same methods train both. There is no other modality to teach:
methods run with `cross: 0`. Axes: B batch, E embedding, N classes, M transforms, S stages, V views.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from sensorkd.models.layered import LayeredOutput, end_to_end
from sensorkd.models.plain import IMAGE, PlainStudent

__all__ = ["LayeredPlain", "StageAuxiliary", "layered_plain"]


class StageAuxiliary(nn.Module):
    """A feature map (B, C, H, W) -> h_s (B, E) and joint logits (B, N * M).

    The feature module repeats the remaining stages with the same blocks, so h_s is as wide as the student's
    embedding whatever the stage (HSAKD, Yang et al., IJCAI 2021).
    """

    def __init__(self, features: nn.Sequential, embedding: int, *, labels: int) -> None:
        super().__init__()
        self.features = features
        self.classifier = nn.Linear(embedding, labels)

    def forward(self, feature_map: Tensor) -> tuple[Tensor, Tensor]:
        """h_s and joint logits, in float32."""
        projection = self.features(feature_map).mean(dim=(2, 3))
        return projection.float(), self.classifier(projection).float()


class LayeredPlain(nn.Module):
    """student + an auxiliary classifier after every stage; `student` alone is what ships.

    Args:
        transforms: M, how many transforms an image has.
    """

    def __init__(self, student: PlainStudent, transforms: int) -> None:
        super().__init__()
        self.student = student
        self.families = {IMAGE: transforms}
        self.transforms = transforms
        # An image has no modality beside the trunk: nothing stands there.
        self.modality_auxiliaries = nn.ModuleDict()
        encoder, embedding = student.image_encoder, student.classifier.in_features
        self.fused_auxiliaries = nn.ModuleDict(
            {
                stage: StageAuxiliary(
                    encoder.repeated(number), embedding, labels=student.classes * transforms
                )
                for number, stage in enumerate(encoder.stages, start=1)
            }
        )

    def with_families(self, families: Mapping[str, int]) -> LayeredPlain:
        """The very same student with fresh auxiliaries for another number of transforms."""
        return LayeredPlain(self.student, families[IMAGE])

    def without_auxiliaries(self) -> LayeredPlain:
        """The very same student with nothing around it, for methods that have no use for auxiliaries."""
        bare = LayeredPlain(self.student, self.transforms)
        bare.fused_auxiliaries = nn.ModuleDict()
        return bare.train(self.training)

    def forward(
        self, prepared: Mapping[str, Tensor], presence: Tensor, fusion_presence: Tensor | None = None
    ) -> LayeredOutput:
        """Trunk and every auxiliary on prepared floats (B, C, 1, H, W)."""
        trunk = self.student.trunk(prepared, presence, fusion_presence)
        pairs_of = zip(self.fused_auxiliaries.values(), trunk.maps[IMAGE], strict=False)
        pairs = [auxiliary(feature_map) for auxiliary, feature_map in pairs_of]
        return LayeredOutput(trunk, {}, [pair[1] for pair in pairs], [pair[0] for pair in pairs])

    def observe(self, prepared: Mapping[str, Tensor], presence: Tensor) -> None:
        """Run the stages and their auxiliaries on the images that are there, for their statistics only."""
        x = prepared[IMAGE][presence[:, 0] > 0]
        if len(x) > 1:
            self({IMAGE: x}, presence.new_ones(len(x), 1))

    def by_view(
        self, prepared: Mapping[str, Tensor], presence: Tensor, fusion_presence: Tensor, *, views: int
    ) -> LayeredOutput:
        """`forward` of V views of B images each, one after the other; see `LayeredStudent.by_view`."""
        size = presence.shape[0] // views
        outputs = []
        for start in range(0, views * size, size):
            rows = slice(start, start + size)
            view = {name: x[rows] for name, x in prepared.items()}
            outputs.append(self(view, presence[rows], fusion_presence[rows]))
        return outputs[0] if views == 1 else end_to_end(outputs, size)


def layered_plain(student: PlainStudent, *, transforms: int, seed: int) -> LayeredPlain:
    """The student with auxiliaries of fresh weights around it."""
    torch.manual_seed(seed + 1)
    return LayeredPlain(student, transforms)
