"""What a step learns from: windows drawn, augmented, mixed, transformed, and in part hidden.

Axes: B labelled windows, U windows without a label, V views, K modalities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sensorkd.distillation.augmentation import Augmentation, AugmentationDraw
from sensorkd.distillation.methods import Method
from sensorkd.distillation.mixing import draw_mixture
from sensorkd.distillation.pretext import transform_all
from sensorkd.distillation.sight import Said, Sight
from sensorkd.distillation.targets import Targets, targets_of
from sensorkd.models.layered import LayeredStudent
from sensorkd.training.batches import Batch
from sensorkd.training.device import device_of
from sensorkd.training.order import Draw
from sensorkd.training.recipe import Recipe

__all__ = ["StepBatch", "step_batch"]


@dataclass(frozen=True)
class StepBatch:
    """sight: V views of B + U windows, the labelled ones first. targets: of those B.

    plain: the U windows without a label as they were logged, where the method reads pseudo-labels from
    these.
    """

    sight: Sight
    targets: Targets
    plain: Sight | None = None

    @property
    def labelled(self) -> int:
        """B."""
        return len(self.targets.labels)

    def parts(self, said: Said) -> tuple[Said, Said | None]:
        """What was said of the labelled windows, and of those without a label, if there are any."""
        if self.labelled == self.sight.size:
            return said, None
        return (
            said.part(self.sight.rows_of(0, self.labelled)),
            said.part(self.sight.rows_of(self.labelled, self.sight.size)),
        )

    @property
    def fusion_presence(self) -> tuple[Tensor, Tensor]:
        """(V * B, K) and (V * U, K), what the fusion saw of the two kinds of windows."""
        seen, sight = self.sight.fusion_presence, self.sight
        return seen[sight.rows_of(0, self.labelled)], seen[sight.rows_of(self.labelled, sight.size)]


def step_batch(draw: Draw, recipe: Recipe, layered: LayeredStudent, generator: torch.Generator) -> StepBatch:
    """Make the batch of a step from what was drawn; all chance comes from the generator."""
    method, config, student = recipe.method, recipe.config, layered.student
    draw = draw.moved(device_of(layered))
    batch = draw.labelled if draw.unlabelled is None else _together(draw.labelled, draw.unlabelled, layered)
    targets = targets_of(
        draw.labelled["label"],
        classes=student.classes,
        smoothing=method.smoothing,
        label_shares=draw.labelled.get("label_shares"),
        label_weight=draw.labelled.get("label_weight"),
    )
    labelled, presence = len(targets.labels), batch["presence"]
    prepared = student.prepare({name: batch[name] for name in student.modalities})
    plain = None
    if draw.unlabelled is not None and method.pseudo_labels and method.strong:
        rest = presence[labelled:]
        plain = Sight({name: x[labelled:] for name, x in prepared.items()}, rest, rest)
    if config.augment:
        prepared = augmented(prepared, recipe.augmentations, AugmentationDraw(len(presence), generator))
    if method.mixup:
        mixture = draw_mixture(targets, presence[:labelled], method.mixup, generator)
        prepared = {
            name: torch.cat([mixture.blend(x[:labelled]), x[labelled:]]) for name, x in prepared.items()
        }
        presence = torch.cat([mixture.presence(presence[:labelled]), presence[labelled:]])
        targets = mixture.targets(targets, student.classes)
    views = draw_views(method, layered.transforms, generator)
    rows = transform_all(prepared, recipe.transforms, views)
    row_presence = presence.repeat(len(views), 1)
    seen = hide(row_presence, config.modality_dropout, generator)
    return StepBatch(Sight(rows, row_presence, seen, tuple(views), draw.windows), targets, plain)


def _together(labelled: Batch, unlabelled: Batch, layered: LayeredStudent) -> Batch:
    """Inputs and presence of both, the labelled windows first."""
    names = (*layered.student.modalities, "presence")
    return {name: torch.cat([labelled[name], unlabelled[name]]) for name in names}


def augmented(
    prepared: Mapping[str, Tensor],
    augmentations: Mapping[str, Sequence[Augmentation]],
    draw: AugmentationDraw,
) -> dict[str, Tensor]:
    """Each modality's floats through its augmentations, one draw for all."""
    changed = dict(prepared)
    for name, x in prepared.items():
        for augmentation in augmentations[name]:
            x = augmentation(x, draw)
        changed[name] = x
    return changed


def draw_views(method: Method, transforms: int, generator: torch.Generator) -> list[int]:
    """The identity, and views - 1 other transform indices without repetition."""
    others = torch.randperm(transforms - 1, generator=generator)[: method.views - 1] + 1
    return [0, *others.tolist()]


def hide(presence: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """What the fusion may see: each present modality hidden with a probability, never all of them."""
    scores = torch.rand(presence.shape, generator=generator).to(presence.device) * presence
    keep = (scores >= probability) | (scores == scores.max(dim=1, keepdim=True).values)
    return presence * keep
