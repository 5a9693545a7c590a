"""Several window sources as one, for what needs neither labels nor an order."""

from __future__ import annotations

import itertools

from sensorkd.training.batches import Batch, WindowSource

__all__ = ["Joined"]


class Joined:
    """The inputs and presence of windows of several sources, one after the other."""

    def __init__(self, sources: list[WindowSource], modalities: tuple[str, ...]) -> None:
        self._sources = sources
        self._names = (*modalities, "presence")
        self._ends = list(itertools.accumulate(len(source) for source in sources))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> Batch:
        for source, end in zip(self._sources, self._ends, strict=True):
            if index < end:
                item = source[index - (end - len(source))]
                return {name: item[name] for name in self._names}
        raise IndexError(f"window {index} of {len(self)}")
