"""The loss of a step: who says what of its windows, and what that is worth.

Axes: B labelled windows, U windows without a label, V views, N classes.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor

from sensorkd.distillation.balance import TermBalance
from sensorkd.distillation.label_visit import VisitedLabels
from sensorkd.distillation.pseudo_labels import Alignment, PseudoLabels, pseudo_labels
from sensorkd.distillation.sight import Said, Sight, select_rows, undisturbed
from sensorkd.distillation.soft_targets import EarlierSelf
from sensorkd.distillation.terms import loss_terms, unlabelled_terms
from sensorkd.models.layered import LayeredOutput, LayeredStudent
from sensorkd.training.device import autocast_for, created_on, device_of
from sensorkd.training.recipe import Recipe
from sensorkd.training.step import StepBatch

__all__ = ["StepLoss", "StepTerms"]


@dataclass(frozen=True)
class StepTerms:
    """loss: weighted, with a gradient. terms: unweighted, by name. said: by the student of the labelled
    windows. accepted: share of the windows without a label that are taught a class; None where none is to.
    """

    loss: Tensor
    terms: dict[str, Tensor]
    said: Said
    accepted: float | None = None


@dataclass(frozen=True)
class StepLoss:
    """All that speaks in a step beside the network that learns.

    steps: of the run. adjustment: (N,), see `losses.adjusted`. alignment: of pseudo-labels. balance: weights
    that are learned.
    """

    recipe: Recipe
    layered: LayeredStudent
    steps: int
    past: EarlierSelf | None
    adjustment: Tensor | None
    alignment: Alignment | None
    balance: TermBalance | None

    def of(self, batch: StepBatch, step: int, visited: VisitedLabels | None = None) -> StepTerms:
        """The loss of a batch in a step (0, 1, ...); `visited` labels its windows without a label."""
        with created_on(device_of(self.layered)):
            return self._of(batch, step, visited)

    def _of(self, batch: StepBatch, step: int, visited: VisitedLabels | None) -> StepTerms:
        method, layered, sight = self.recipe.method, self.layered, batch.sight
        output = self._shown(sight, layered)
        student, free = batch.parts(Said(output))
        earlier, free_earlier = self._earlier(batch, step)
        teacher, free_teacher = self._teacher(batch)
        if self.past is not None:
            self.past.visit(sight, output, step=step)
        alpha = method.alpha_at(step, self.steps)
        presence, free_presence = batch.fusion_presence
        terms = loss_terms(
            student.output,
            method=method,
            labels=batch.targets.labels,
            shares=batch.targets.shares,
            presence=presence,
            views=sight.views,
            families=layered.families,
            earlier=earlier.output if earlier and alpha > 0 else None,
            trust=earlier.trust if earlier else None,
            alpha=alpha,
            adjustment=self.adjustment,
            teacher=teacher.output if teacher else None,
        )
        weights, accepted = method.weights(), None
        if free is not None:
            pseudo = self._pseudo(batch, step, free, free_earlier, visited)
            terms |= unlabelled_terms(
                free.output,
                method=method,
                presence=free_presence,
                views=sight.views,
                families=layered.families,
                earlier=free_earlier.output if free_earlier and alpha > 0 else None,
                trust=free_earlier.trust if free_earlier else None,
                alpha=alpha,
                teacher=free_teacher.output if free_teacher else None,
                pseudo=pseudo,
            )
            free_weights = method.unlabelled_weights(step, self.steps)
            # Before the first visit nobody says of which class they are.
            weights |= {name: weight for name, weight in free_weights.items() if name in terms}
            accepted = None if pseudo is None else pseudo.accepted
        return StepTerms(self._weighed(terms, weights), terms, student, accepted)

    def _weighed(self, terms: dict[str, Tensor], weights: dict[str, float]) -> Tensor:
        if self.balance is None:
            return torch.stack([weight * terms[name] for name, weight in weights.items()]).sum()
        loss: Tensor = self.balance(terms, weights)
        return loss

    def _earlier(self, batch: StepBatch, step: int) -> tuple[Said | None, Said | None]:
        """What the earlier self says, where anybody listens."""
        past, method = self.past, self.recipe.method
        reads = method.pseudo_from_earlier and not method.strong and batch.labelled < batch.sight.size
        if past is None or not (method.alpha_at(step, self.steps) > 0 or reads):
            return None, None
        return batch.parts(self._recalled(past, batch.sight, step))

    def _teacher(self, batch: StepBatch) -> tuple[Said | None, Said | None]:
        teacher = self.recipe.teacher
        if teacher is None:
            return None, None
        sight = batch.sight
        with self._computing():
            said = teacher.say(sight.prepared, sight.presence, sight.fusion_presence, views=sight.views)
        return batch.parts(Said(said.as_float32()))

    def _computing(self) -> AbstractContextManager[object]:
        """Networks answer within, in the run's precision; losses are computed outside."""
        return autocast_for(self.recipe.config, device_of(self.layered))

    def _shown(self, sight: Sight, layered: LayeredStudent) -> LayeredOutput:
        with self._computing():
            return sight.shown_to(layered).as_float32()

    def _recalled(self, past: EarlierSelf, sight: Sight, step: int) -> Said:
        with self._computing():
            said = past.recall(sight, step=step)
        return Said(said.output.as_float32(), said.trust)

    def _pseudo(
        self,
        batch: StepBatch,
        step: int,
        free: Said,
        free_earlier: Said | None,
        visited: VisitedLabels | None,
    ) -> PseudoLabels | None:
        """Told by a visit; or read by the student or its earlier self, from the plain window or its view."""
        method = self.recipe.method
        if visited is not None and batch.sight.windows is not None:
            return visited.of(batch.sight.windows[batch.labelled :])
        if not method.pseudo_labels or method.pseudo_from_visit:
            return None
        identity = torch.arange(batch.sight.size - batch.labelled)
        if method.pseudo_from_earlier:
            assert self.past is not None
            said = free_earlier if batch.plain is None else self._recalled(self.past, batch.plain, step)
            assert said is not None
            if said.trust is not None and not bool(said.trust.any()):
                return None
            source = select_rows(said.output, identity) if batch.plain is None else said.output
        elif batch.plain is None:
            source = select_rows(free.output, identity)
        else:
            with undisturbed(self.layered):
                source = self._shown(batch.plain, self.layered)
        return pseudo_labels(source, method, own=method.pseudo_from_earlier, alignment=self.alignment)
