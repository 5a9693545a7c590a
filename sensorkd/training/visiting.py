"""Before an epoch, its windows without a label are shown to the earlier self, which labels them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from sensorkd.distillation.label_visit import VisitedLabels, visit_labels
from sensorkd.distillation.soft_targets import EarlierSelf
from sensorkd.models.layered import LayeredStudent
from sensorkd.training.batches import WindowSource
from sensorkd.training.device import autocast_for, created_on, device_of, moved
from sensorkd.training.prefetch import Waiting, batches_of
from sensorkd.training.recipe import Recipe

__all__ = ["Visiting"]

# Windows at once: enough for batch norm.
CHUNK = 64


class Visiting:
    """Who visits which windows, and how their labels are made of it.

    Args:
        windows, unlabelled: labelled windows, whose class shares pseudo-labels may be brought to, and those
            to visit. They are numbered through, the labelled ones first.
    """

    def __init__(
        self,
        recipe: Recipe,
        layered: LayeredStudent,
        past: EarlierSelf,
        windows: WindowSource,
        unlabelled: WindowSource,
    ) -> None:
        self._recipe, self._layered, self._past = recipe, layered, past
        self._source, self._first = unlabelled, len(windows)
        self._class_shares = recipe.class_shares(windows, layered.student.classes)

    def at(self, step: int, rows: Sequence[int]) -> VisitedLabels:
        """Labels of some windows, `rows` of the unlabelled ones, as the earlier self sees them in a step."""
        device = device_of(self._layered)
        shares = self._class_shares
        with created_on(device), autocast_for(self._recipe.config, device):
            return visit_labels(
                self._past,
                self._chunks(rows),
                self._recipe.transforms,
                step=step,
                method=self._recipe.method,
                class_shares=None if shares is None else shares.to(device),
            )

    def _chunks(self, rows: Sequence[int]) -> Iterator[tuple[list[int], Mapping[str, Tensor], Tensor]]:
        student = self._layered.student
        parts = [part.tolist() for part in np.array_split(np.array(rows), -(-len(rows) // CHUNK))]
        with Waiting(batches_of(self._source, parts)) as batches:
            for part, batch in zip(parts, batches, strict=True):
                here = moved(batch, device_of(self._layered))
                prepared = student.prepare({name: here[name] for name in student.modalities})
                yield [self._first + row for row in part], prepared, self._heard(here["presence"])

    def _heard(self, presence: Tensor) -> Tensor:
        """Presence (B, K) of the sensors that are asked about each window; 0 in all where nobody is."""
        voices, names = self._recipe.voices, self._layered.student.modalities
        if voices is None:
            return presence
        heard = torch.zeros_like(presence)
        for subset in reversed(voices):
            asked = presence.new_tensor([float(name in subset) for name in names])
            whole = (presence >= asked).all(dim=1, keepdim=True)
            heard = torch.where(whole, asked, heard)
        return heard
