"""Earlier selves: who softens the targets. No gradient ever reaches them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from sensorkd.distillation.methods import Method
from sensorkd.distillation.sight import Said, Sight, without_dropout
from sensorkd.models.layered import LayeredOutput, LayeredStudent

__all__ = ["EarlierSelf", "Ema", "Snapshot", "earlier_self"]


class EarlierSelf(Protocol):
    """Says what the network thought before of the views it sees now."""

    def recall(self, sight: Sight, *, step: int) -> Said:
        """What it says, in a step (0, 1, ...)."""
        ...

    def visit(self, sight: Sight, output: LayeredOutput, *, step: int) -> None:
        """Take note of what the network says in a step."""
        ...

    def observe(self, layered: LayeredStudent, step: int) -> None:
        """Take note of the network after step number `step` (1, 2, ...)."""
        ...

    def state(self) -> dict[str, Tensor]:
        """What a resumed run needs of it."""
        ...

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `state`."""
        ...

    def seal(self, epoch: int) -> None:
        """Keep what is too large for a checkpoint, for the one that is written next."""
        ...

    def unseal(self, epoch: int) -> None:
        """Go back to what was kept for the checkpoint of an epoch."""
        ...


class _Kept:
    """Holds a copy of the network, in the same mode but without dropout."""

    def __init__(self, layered: LayeredStudent) -> None:
        self.network = copy.deepcopy(layered)
        for parameter in self.network.parameters():
            parameter.requires_grad_(False)
        # It normalises by the batch it sees, as the network that learns does: running statistics mix
        # views and lag behind.
        self.network.train()
        without_dropout(self.network)

    @torch.no_grad()
    def recall(self, sight: Sight, *, step: int = 0) -> Said:
        """Its output for the very rows, normalised view by view as its heir's is."""
        return Said(sight.shown_to(self.network))

    def visit(self, sight: Sight, output: LayeredOutput, *, step: int) -> None:
        """It keeps weights, not answers."""

    def state(self) -> dict[str, Tensor]:
        """Its weights."""
        return self.network.state_dict()

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `state`."""
        self.network.load_state_dict(tensors)

    def seal(self, epoch: int) -> None:
        """All of it is in the checkpoint."""

    def unseal(self, epoch: int) -> None:
        """All of it is in the checkpoint."""


class Snapshot(_Kept):
    """The network as it was up to `every` steps ago (LSSKD, PS-KD: the previous epoch)."""

    def __init__(self, layered: LayeredStudent, *, every: int) -> None:
        super().__init__(layered)
        self.every = every

    def recall(self, sight: Sight, *, step: int = 0) -> Said:
        """As any, but trusted from its first copy on: before, it is the network that nobody has taught."""
        said = super().recall(sight, step=step)
        return said if step >= self.every else Said(said.output, torch.zeros_like(sight.presence[:, 0]))

    def observe(self, layered: LayeredStudent, step: int) -> None:
        """Copy the weights every `every` steps."""
        if step % self.every == 0:
            self.network.load_state_dict(layered.state_dict())


class Ema(_Kept):
    """A moving average of the weights, over about 1 / (1 - decay) steps."""

    def __init__(self, layered: LayeredStudent, *, decay: float) -> None:
        super().__init__(layered)
        self.decay = decay

    @torch.no_grad()
    def observe(self, layered: LayeredStudent, step: int) -> None:
        """Move towards the weights; early steps count more, so that the start is forgotten."""
        decay = min(self.decay, step / (step + 9))
        for mine, theirs in zip(self.network.parameters(), layered.parameters(), strict=True):
            mine.data.lerp_(theirs.data, 1 - decay)
        for kept, buffer in zip(self.network.buffers(), layered.buffers(), strict=True):
            kept.copy_(buffer)


def earlier_self(method: Method, layered: LayeredStudent, *, every: int) -> EarlierSelf | None:
    """The network that a method's earlier self is; `every` is the length of an epoch in steps.

    `last_visit` is none: see `LastVisit`.
    """
    if method.earlier == "snapshot":
        return Snapshot(layered, every=every)
    if method.earlier == "ema":
        return Ema(layered, decay=method.decay)
    return None
