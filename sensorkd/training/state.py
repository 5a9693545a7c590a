"""Everything that a resumed run needs, in one file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from sensorkd.distillation.balance import TermBalance
from sensorkd.distillation.pseudo_labels import Alignment
from sensorkd.distillation.soft_targets import EarlierSelf
from sensorkd.errors import RunError
from sensorkd.models.layered import LayeredStudent
from sensorkd.models.student import Student
from sensorkd.training.checkpoint import (
    load_tensors,
    optimiser_tensors,
    prefixed,
    restore_optimiser,
    save_tensors,
    without_prefix,
)

__all__ = ["TrainingState"]


class TrainingState:
    """The network and all that goes with it between two epochs.

    epoch: how many it has behind it. averaged: how many weights `average` is the mean of. best: the
    highest dev macro-F1 so far.
    """

    def __init__(
        self,
        layered: LayeredStudent,
        optimiser: torch.optim.Optimizer,
        past: EarlierSelf | None,
        average: Student,
        *,
        balance: TermBalance | None = None,
        alignment: Alignment | None = None,
    ) -> None:
        self.layered, self.optimiser, self.past, self.average = layered, optimiser, past, average
        self.balance, self.alignment = balance, alignment
        self.epoch = 0
        self.averaged = 0
        self.best = -math.inf

    def save(self, path: Path, identity: Mapping[str, Any]) -> None:
        """Write it all; `identity` says whose it is."""
        tensors = {
            **prefixed("network", self.layered.state_dict()),
            **prefixed("optimiser", optimiser_tensors(self.optimiser)),
            **prefixed("average", self.average.state_dict()),
        }
        if self.past is not None:
            self.past.seal(self.epoch)
            tensors |= prefixed("earlier", self.past.state())
        if self.balance is not None:
            tensors |= prefixed("balance", self.balance.state_dict())
        if self.alignment is not None:
            tensors |= prefixed("alignment", self.alignment.state())
        best = None if math.isinf(self.best) else self.best
        progress = {"epoch": self.epoch, "averaged": self.averaged, "best": best}
        save_tensors(path, tensors, {"identity": dict(identity), **progress})

    def load(self, path: Path, identity: Mapping[str, Any]) -> None:
        """Take up what `save` wrote.

        Raises:
            RunError: there is nothing, it is damaged, or another recipe wrote it.
        """
        if not path.exists():
            raise RunError("there is nothing to resume from", file=path, mend="train without resuming")
        tensors, about = load_tensors(path)
        found = about.get("identity", {})
        differing = [name for name in {**identity, **found} if identity.get(name) != found.get(name)]
        if differing:
            raise RunError(
                "the checkpoint belongs to another recipe",
                file=path,
                found={name: found.get(name) for name in differing},
                expected={name: identity.get(name) for name in differing},
                mend="resume with the configuration it was begun with, or train into a new folder",
            )
        try:
            self._take(tensors)
        except (RuntimeError, KeyError, ValueError) as error:
            raise RunError(
                "the checkpoint is of another network",
                file=path,
                found=str(error)[:400],
                mend="resume with the model size and inputs it was begun with, or train into a new folder",
            ) from error
        self.epoch, self.averaged = int(about["epoch"]), int(about["averaged"])
        self.best = -math.inf if about["best"] is None else float(about["best"])
        if self.past is not None:
            self.past.unseal(self.epoch)

    def _take(self, tensors: Mapping[str, torch.Tensor]) -> None:
        self.layered.load_state_dict(without_prefix("network", tensors))
        restore_optimiser(self.optimiser, without_prefix("optimiser", tensors))
        self.average.load_state_dict(without_prefix("average", tensors))
        if self.past is not None:
            self.past.load_state(without_prefix("earlier", tensors))
        if self.balance is not None:
            self.balance.load_state_dict(without_prefix("balance", tensors))
        if self.alignment is not None:
            self.alignment.load_state(without_prefix("alignment", tensors))
