"""Which class windows without a label are taught, and what these lessons cost.

Axes: U windows without a label, V views, R = V * U rows, view by view, N classes, M transforms. Sources:
the likeliest class, Lee, ICML workshop 2013; only where it is likely enough, and read from a less changed
view, FixMatch (Sohn et al., NeurIPS 2020); the word of a moving average, Tarvainen & Valpola, NeurIPS 2017;
alignment, ReMixMatch (Berthelot et al., ICLR 2020). Those of every auxiliary, from the same one of an
earlier self, are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from sensorkd.distillation import losses
from sensorkd.distillation.methods import Method
from sensorkd.models.layered import LayeredOutput

__all__ = ["Alignment", "Lesson", "PseudoLabels", "pseudo_labels"]

FINAL = "final"
# Published: a mean over the last 128 batches.
MEMORY = 128


@dataclass(frozen=True)
class Lesson:
    """shares: (U, N) what a classifier is taught. weight: (U,) 1 where it is, 0 where nobody knows."""

    shares: Tensor
    weight: Tensor


@dataclass(frozen=True)
class PseudoLabels:
    """final: for the classifier that ships. auxiliaries: `fused/stage`, `modality/stage` -> their own.

    An auxiliary without a lesson of its own takes the final one.
    """

    final: Lesson
    auxiliaries: Mapping[str, Lesson] = field(default_factory=dict)

    def of(self, auxiliary: str) -> Lesson:
        """The lesson of one auxiliary."""
        return self.auxiliaries.get(auxiliary, self.final)

    @property
    def accepted(self) -> float:
        """Share of the windows whose class was likely enough."""
        return float(self.final.weight.mean())


class Alignment:
    """Divides out what is predicted too often: p -> normalised p * pi / mean of p so far.

    Args:
        prior: (N,) class shares of the labelled windows as sampled.
    """

    def __init__(self, prior: Tensor) -> None:
        self.prior = prior.float()
        self.means: dict[str, Tensor] = {}

    def aligned(self, classifier: str, probabilities: Tensor) -> Tensor:
        """(U, N) probabilities of one classifier, which are also taken into its running mean."""
        mean = self.means.get(classifier, self.prior).to(probabilities.device)
        mean = mean.lerp(probabilities.mean(dim=0), 1.0 / MEMORY)
        self.means[classifier] = mean
        raised = probabilities * self.prior.to(mean.device) / mean.clamp(min=1e-6)
        return raised / raised.sum(dim=1, keepdim=True)

    def state(self) -> dict[str, Tensor]:
        """Running means (N,) by classifier."""
        return dict(self.means)

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `state`."""
        self.means = dict(tensors)


@torch.no_grad()
def pseudo_labels(
    source: LayeredOutput, method: Method, *, own: bool, alignment: Alignment | None = None
) -> PseudoLabels:
    """Read pseudo-labels from what somebody says of U windows.

    Args:
        source: of U rows, one view. own: whether every auxiliary is taught by the source's same one; the
            final classifier teaches all of them otherwise.
    """
    classes = source.trunk.logits.shape[1]

    def lesson(name: str, probabilities: Tensor) -> Lesson:
        if method.sharpness != 1:
            probabilities = (method.sharpness * probabilities.clamp(min=1e-12).log()).softmax(dim=1)
        if alignment is not None:
            probabilities = alignment.aligned(name, probabilities)
        weight = (probabilities.max(dim=1).values >= method.threshold).float()
        if method.pseudo == "hard":
            probabilities = F.one_hot(probabilities.argmax(dim=1), classes).float()
        return Lesson(probabilities, weight)

    final = lesson(FINAL, source.trunk.logits.softmax(dim=1))
    auxiliaries: dict[str, Lesson] = {}
    if own and method.sad:
        for stage, head in enumerate(source.fused):
            name = f"fused/{stage}"
            auxiliaries[name] = lesson(name, losses.class_marginal(head, classes, 1.0).exp())
        for modality, heads in source.modality.items():
            rows = source.trunk.rows[modality]
            for stage, head in enumerate(heads):
                name = f"{modality}/{stage}"
                told = lesson(name, losses.class_marginal(head, classes, 1.0).exp())
                auxiliaries[name] = told if rows is None else _spread(told, rows, len(source.trunk.logits))
    return PseudoLabels(final, auxiliaries)


def _spread(lesson: Lesson, rows: Tensor, windows: int) -> Lesson:
    """A lesson of some windows as one of all: the others are taught nothing."""
    shares = lesson.shares.new_zeros(windows, lesson.shares.shape[1])
    weight = lesson.weight.new_zeros(windows)
    return Lesson(shares.index_copy(0, rows, lesson.shares), weight.index_copy(0, rows, lesson.weight))


def final_lesson(logits: Tensor, lesson: Lesson, *, squared: bool) -> Tensor:
    """What the classifier that ships learns of logits (U, N)."""
    logp = F.log_softmax(logits, dim=1)
    return losses.consistency(logp, lesson.shares, lesson.weight, squared=squared)


def joint_lesson(
    logits: Tensor, transforms: Tensor, windows: Tensor, lesson: Lesson, *, squared: bool
) -> Tensor:
    """What an auxiliary learns of rows R: the class of the pseudo-label under the transform, which is known.

    Together with the transform part, which needs no label, this is the cross-entropy of the joint label.

    Args:
        logits: (R, N * M). transforms: (R, M). windows: (R,), which of the U windows a row shows.
    """
    logp = losses.class_given_transform(logits, transforms)
    return losses.consistency(logp, lesson.shares[windows], lesson.weight[windows], squared=squared)
