"""What a network sees in a step, and what it says of it. The same for students, teachers, earlier selves.

Axes: B windows, V views, R = V * B rows, view by view, K modalities.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sensorkd.models.layered import LayeredOutput, LayeredStudent

__all__ = ["Said", "Sight", "select_rows", "undisturbed", "without_dropout"]


@dataclass(frozen=True)
class Sight:
    """V views of B windows, one view after the other.

    prepared: modality -> (R, C, T, ...). presence: (R, K), what was logged. fusion_presence: (R, K), what
    the fusion may see of it. views: V joint transform indices, views[0] = 0. windows: (B,) numbers of the
    training windows, or None where nobody asks.
    """

    prepared: Mapping[str, Tensor]
    presence: Tensor
    fusion_presence: Tensor
    views: Sequence[int] = (0,)
    windows: Tensor | None = None

    @property
    def size(self) -> int:
        """B."""
        return len(self.presence) // len(self.views)

    def shown_to(self, layered: LayeredStudent) -> LayeredOutput:
        """What a network says of it.

        Batch norm takes its statistics of one view at a time, and of all windows in it: labelled ones and
        those without a label go through together. To part them, part them here.
        """
        return layered.by_view(self.prepared, self.presence, self.fusion_presence, views=len(self.views))

    def rows_of(self, first: int, last: int) -> Tensor:
        """Rows of the windows first .. last - 1 in all views."""
        starts = torch.arange(len(self.views))[:, None] * self.size
        return (starts + torch.arange(first, last)).flatten()


@dataclass(frozen=True)
class Said:
    """What somebody says of the rows of a sight.

    trust: (R,) of 0 and 1, rows of which there is something to say; None where that is all of them.
    """

    output: LayeredOutput
    trust: Tensor | None = None

    def part(self, rows: Tensor) -> Said:
        """Of some rows (R',), numbered anew."""
        trust = None if self.trust is None else self.trust[rows]
        return Said(select_rows(self.output, rows), trust)


def select_rows(output: LayeredOutput, rows: Tensor) -> LayeredOutput:
    """What was said of some rows (R',) of a batch, numbered anew; without feature maps."""
    trunk = output.trunk
    where: dict[str, Tensor | None] = {}
    modality: dict[str, list[Tensor]] = {}
    for name, seen in trunk.rows.items():
        kept = rows
        if seen is not None:
            place = torch.full((len(trunk.logits),), -1)
            place[seen] = torch.arange(len(seen))
            kept = place[rows]
            where[name] = (kept >= 0).nonzero()[:, 0]
            kept = kept[kept >= 0]
        else:
            where[name] = None
        if name in output.modality:
            modality[name] = [head[kept] for head in output.modality[name]] if len(kept) else []
    fused = [value[rows] for value in trunk.fused]
    return dataclasses.replace(
        output,
        trunk=dataclasses.replace(
            trunk,
            maps={},
            rows=where,
            fused=fused,
            embedding=trunk.embedding[rows],
            logits=trunk.logits[rows],
        ),
        modality=modality,
        fused=[head[rows] for head in output.fused],
        projections=[value[rows] for value in output.projections],
    )


def without_dropout(network: nn.Module) -> list[nn.Module]:
    """Switch every kind of dropout off, an adapter's own encoder may hold one; returns those that were on."""
    found: list[nn.Module] = [
        module
        for module in network.modules()
        if isinstance(module, nn.modules.dropout._DropoutNd) and module.training
    ]
    for module in found:
        module.eval()
    return found


@contextmanager
def undisturbed(network: nn.Module) -> Iterator[None]:
    """A network that answers without dropout or gradient, by the statistics of the batch it is shown.

    It keeps none of them: what it is asked beside its training leaves no trace in it.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    dropped = without_dropout(network)
    for norm in norms:
        norm.momentum = 0.0
    try:
        with torch.no_grad():
            yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module in dropped:
            module.train()
