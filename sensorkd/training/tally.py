"""What an epoch did, as means over its steps."""

from __future__ import annotations

from typing import Any

from sensorkd.distillation.progress import auxiliary_progress, mean_progress
from sensorkd.models.layered import LayeredStudent
from sensorkd.training.device import created_on
from sensorkd.training.step import StepBatch
from sensorkd.training.step_loss import StepTerms

__all__ = ["EpochTally"]

# Steps at the end of an epoch that auxiliaries are judged in.
JUDGED = 4


class EpochTally:
    """Sums of an epoch that ends with the step number `last`."""

    def __init__(self, layered: LayeredStudent, last: int) -> None:
        self._layered, self._last = layered, last
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._progress: list[dict[str, dict[str, float]]] = []

    def add(self, step: int, batch: StepBatch, told: StepTerms) -> dict[str, float]:
        """Take a step in; returns its loss, its unweighted terms, and the share of pseudo-labels accepted."""
        values = {"loss": float(told.loss.detach())}
        values |= {name: float(term.detach()) for name, term in told.terms.items()}
        if told.accepted is not None:
            values["accepted"] = told.accepted
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + 1
        layered = self._layered
        if step >= self._last - JUDGED and (layered.fused_auxiliaries or layered.modality_auxiliaries):
            labels = batch.targets.labels
            with created_on(labels.device):
                self._progress.append(
                    auxiliary_progress(told.said.output, labels, batch.sight.views, layered.families)
                )
        return values

    def means(self) -> dict[str, Any]:
        """By name; with auxiliaries, how well each does at the end of the epoch."""
        told: dict[str, Any] = {name: value / self._counts[name] for name, value in self._sums.items()}
        if self._progress:
            told["auxiliaries"] = mean_progress(self._progress)
        return told
