"""In which order training windows come: as often as they are, or every class as often as the others.

Rows are indices into a window source. Chance comes from a generator, so a pass can be drawn again.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["balanced_pass", "natural_pass"]


def natural_pass(windows: int, generator: torch.Generator) -> list[int]:
    """Every row once, in a new order."""
    return torch.randperm(windows, generator=generator).tolist()


def balanced_pass(labels: NDArray[np.int64], generator: torch.Generator) -> list[int]:
    """As many rows as there are labels (W,), the labelled ones shared out equally among the classes.

    The places of labelled windows go to the classes in turn; where they do not divide, chance says who
    gets one more. A class with fewer windows than places repeats, each window as often as its others
    within one; a class with more is thinned out anew in every pass. Windows without a label (-1) come
    once each, so their share stays.

    >>> rows = balanced_pass(np.array([0, 0, 0, 0, 0, 1, -1]), torch.Generator().manual_seed(0))
    >>> len(rows), rows.count(5), rows.count(6)
    (7, 3, 1)
    """
    known = labels >= 0
    classes = np.unique(labels[known])
    turns = _drawn(torch.arange(len(classes)), int(known.sum()), generator)
    places = turns.bincount(minlength=len(classes)).tolist()
    rows = [torch.from_numpy(np.flatnonzero(~known))]
    for label, count in zip(classes, places, strict=True):
        rows.append(_drawn(torch.from_numpy(np.flatnonzero(labels == label)), count, generator))
    together = torch.cat(rows)
    return together[torch.randperm(len(together), generator=generator)].tolist()


def _drawn(rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """`count` of these rows, each as often as the others within one; chance says which come once more."""
    whole, rest = divmod(count, len(rows))
    return torch.cat([rows.repeat(whole), rows[torch.randperm(len(rows), generator=generator)[:rest]]])
