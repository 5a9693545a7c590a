"""Probabilities brought to given class shares.

Axes: W windows, N classes. Source of the iteration: Sinkhorn & Knopp, Pacific J. Math. 21, 1967; its use for
labels that a network gives itself: Asano, Rupprecht, Vedaldi, ICLR 2020.
"""

from __future__ import annotations

from torch import Tensor

__all__ = ["balanced"]


def balanced(probabilities: Tensor, shares: Tensor, *, iterations: int = 20) -> Tensor:
    """Scale classes and windows in turn until all windows together show the class shares.

    Few labels leave a network fond of some classes: without this, what it takes to be common becomes ever
    more common among the labels it gives itself.

    Args:
        probabilities: (W, N), rows sum to 1. shares: (N,) summing to 1.

    Returns:
        (W, N), rows sum to 1; columns to about W * shares, as far as the zeros among them let them.
    """
    told = probabilities.double()
    wanted = shares.double() * len(told)
    for _ in range(iterations):
        told = told * (wanted / told.sum(dim=0).clamp(min=1e-12))
        told = told / told.sum(dim=1, keepdim=True).clamp(min=1e-12)
    return told.to(probabilities.dtype)
