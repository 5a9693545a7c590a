"""In which batches the windows of an epoch come: labelled ones, and with them some without a label."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sensorkd.training.batches import Batch, WindowSource
from sensorkd.training.device import moved
from sensorkd.training.prefetch import Waiting, batches_of
from sensorkd.training.sampling import balanced_pass, natural_pass

__all__ = ["Draw", "EpochBatches", "rows_in_order", "seeded"]


def seeded(seed: int, epoch: int) -> torch.Generator:
    """Seeds dropout (global) and everything drawn explicitly (the generator returned)."""
    first, second = np.random.SeedSequence([seed, epoch]).generate_state(2, np.uint64)
    torch.manual_seed(int(first >> np.uint64(1)))
    return torch.Generator().manual_seed(int(second >> np.uint64(1)))


def rows_in_order(
    windows: int,
    batch_size: int,
    count: int,
    generator: torch.Generator,
    balance: NDArray[np.int64] | None = None,
) -> list[list[int]]:
    """Rows of `count` batches: passes over the windows in new orders, without a short batch at the end.

    balance: (W,) labels to show every class equally often by; None shows every window equally often.
    """
    size = min(batch_size, windows)
    rows: list[int] = []
    while len(rows) < count * size:
        order = natural_pass(windows, generator) if balance is None else balanced_pass(balance, generator)
        rows += order[: len(order) // size * size]
    return [rows[start : start + size] for start in range(0, count * size, size)]


@dataclass(frozen=True)
class Draw:
    """What a step draws: batches of labelled windows and of windows without a label, and their numbers.

    Windows are numbered through: those without a label come after the labelled ones.
    """

    labelled: Batch
    unlabelled: Batch | None
    windows: Tensor

    def moved(self, device: torch.device) -> Draw:
        """The same where the network is."""
        unlabelled = None if self.unlabelled is None else moved(self.unlabelled, device)
        return Draw(moved(self.labelled, device), unlabelled, self.windows)


class EpochBatches:
    """The draws of an epoch; closes what reads ahead at its end.

    Args:
        windows, unlabelled: sources; without `unlabelled`, a step has labelled windows only.
        sizes: of the batches of either. count: steps of the epoch. balance: see `rows_in_order`.
    """

    def __init__(
        self,
        windows: WindowSource,
        unlabelled: WindowSource | None,
        *,
        sizes: tuple[int, int],
        count: int,
        generator: torch.Generator,
        balance: NDArray[np.int64] | None = None,
    ) -> None:
        self._first = len(windows)
        self._orders = [rows_in_order(len(windows), sizes[0], count, generator, balance)]
        # A DataLoader draws one when it begins: with it, runs of earlier versions repeat bit for bit.
        torch.empty((), dtype=torch.int64).random_()
        sources = [windows]
        if unlabelled is not None:
            self._orders.append(rows_in_order(len(unlabelled), sizes[1], count, generator))
            sources.append(unlabelled)
        self._sources = [
            Waiting(batches_of(source, order)) for source, order in zip(sources, self._orders, strict=True)
        ]
        self._open = ExitStack()

    @property
    def unlabelled_rows(self) -> list[int]:
        """Rows of the windows without a label that will be drawn, each once, in the order they come."""
        return list(dict.fromkeys(row for rows in self._orders[1] for row in rows))

    @property
    def seconds(self) -> float:
        """For which whoever asks for draws has waited."""
        return sum(source.seconds for source in self._sources)

    def __enter__(self) -> EpochBatches:
        for source in self._sources:
            self._open.enter_context(source)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def __iter__(self) -> Iterator[Draw]:
        for order, *batches in zip(zip(*self._orders, strict=True), *self._sources, strict=True):
            labelled, *unlabelled = batches
            rows = [order[0], *([self._first + row for row in some] for some in order[1:])]
            yield Draw(
                labelled,
                unlabelled[0] if unlabelled else None,
                torch.tensor([row for some in rows for row in some]),
            )
