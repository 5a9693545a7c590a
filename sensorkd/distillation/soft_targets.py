"""Earlier selves: who softens the targets. No gradient ever reaches them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from sensorkd.distillation.methods import Method
from sensorkd.models.layered import LayeredOutput, LayeredStudent

__all__ = ["EarlierSelf", "Ema", "Snapshot", "earlier_self"]


class EarlierSelf(Protocol):
    """Says what the network thought before of the very views it sees now."""

    network: LayeredStudent

    def observe(self, layered: LayeredStudent, step: int) -> None:
        """Take note of the network after step number `step` (1, 2, ...)."""
        ...

    def recall(
        self, prepared: Mapping[str, Tensor], presence: Tensor, fusion_presence: Tensor, *, views: int = 1
    ) -> LayeredOutput:
        """Its output for prepared floats, view by view."""
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
        for module in self.network.modules():
            # Of any kind: an adapter's encoder may hold one that drops channels.
            if isinstance(module, torch.nn.modules.dropout._DropoutNd):
                module.eval()

    @torch.no_grad()
    def recall(
        self, prepared: Mapping[str, Tensor], presence: Tensor, fusion_presence: Tensor, *, views: int = 1
    ) -> LayeredOutput:
        """Its output for prepared floats (V * B, C, T, ...), normalised view by view as its heir's is."""
        return self.network.by_view(prepared, presence, fusion_presence, views=views)


class Snapshot(_Kept):
    """The network as it was up to `every` steps ago (LSSKD, PS-KD: the previous epoch)."""

    def __init__(self, layered: LayeredStudent, *, every: int) -> None:
        super().__init__(layered)
        self.every = every

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
    """The earlier self that a method asks for; `every` is the length of an epoch in steps."""
    if method.earlier == "snapshot":
        return Snapshot(layered, every=every)
    if method.earlier == "ema":
        return Ema(layered, decay=0.995)
    return None
