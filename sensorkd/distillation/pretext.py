"""Transforms whose index the auxiliary classifiers must name: the self-supervised half of the joint label.

They act on prepared floats, (B, C, T) or (B, C, T, H, W), after the frontend and any augmentation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = [
    "FLIPS",
    "FLUCTUATION",
    "OSCILLATION",
    "ROTATIONS",
    "SPECTRAL",
    "Transform",
    "chosen_family",
    "equivalent_transforms",
    "transform_all",
]


@dataclass(frozen=True)
class Transform:
    """One t_j: a name for people and a function of prepared floats that keeps their shape."""

    name: str
    apply: Callable[[Tensor], Tensor]


def _identity(x: Tensor) -> Tensor:
    return x


def _reversed(x: Tensor) -> Tensor:
    return x.flip(2)


def _negated(x: Tensor) -> Tensor:
    return -x


def _negated_reversed(x: Tensor) -> Tensor:
    return -x.flip(2)


def _mirrored(x: Tensor) -> Tensor:
    return 2 * x.mean(dim=2, keepdim=True) - x


def _mirrored_reversed(x: Tensor) -> Tensor:
    return _mirrored(x).flip(2)


def _alternated(x: Tensor) -> Tensor:
    sign = 1.0 - 2.0 * (torch.arange(x.shape[2], device=x.device) % 2)
    return x * sign


def _alternated_reversed(x: Tensor) -> Tensor:
    return _alternated(x).flip(2)


def _flipped_across(x: Tensor) -> Tensor:
    return x.flip(4)


def _flipped_down(x: Tensor) -> Tensor:
    return x.flip(3)


def _flipped_both(x: Tensor) -> Tensor:
    return x.flip((3, 4))


def _quarter(x: Tensor) -> Tensor:
    return _turn(x, 1)


def _three_quarters(x: Tensor) -> Tensor:
    return _turn(x, 3)


def _turn(x: Tensor, quarters: int) -> Tensor:
    if x.shape[3] != x.shape[4]:
        raise ValueError(
            f"a quarter turn needs square frames, got {x.shape[3]}x{x.shape[4]}; use the flips family"
        )
    return torch.rot90(x, quarters, (3, 4))


IDENTITY = Transform("identity", _identity)
# Plain functions, not lambdas, so that adapters that hold them can be pickled.
OSCILLATION = (
    IDENTITY,
    Transform("time reversal", _reversed),
    Transform("sign flip", _negated),
    Transform("sign flip + time reversal", _negated_reversed),
)
FLUCTUATION = (
    IDENTITY,
    Transform("time reversal", _reversed),
    Transform("mirror about the mean", _mirrored),
    Transform("mirror + time reversal", _mirrored_reversed),
)
# Power spectra do not show a sign. Every second sample negated turns the spectrum end for end.
SPECTRAL = (
    IDENTITY,
    Transform("time reversal", _reversed),
    Transform("spectrum mirrored", _alternated),
    Transform("spectrum mirrored + time reversal", _alternated_reversed),
)
FLIPS = (
    IDENTITY,
    Transform("left-right flip", _flipped_across),
    Transform("up-down flip", _flipped_down),
    Transform("half turn", _flipped_both),
)
ROTATIONS = (
    IDENTITY,
    Transform("quarter turn", _quarter),
    Transform("half turn", _flipped_both),
    Transform("three-quarter turn", _three_quarters),
)


# By the number of axes of a sample: (C,) of signals, (H, W, C) of frames.
KNOWN = {
    1: {t.name: t for family in (OSCILLATION, FLUCTUATION, SPECTRAL) for t in family},
    3: {t.name: t for family in (FLIPS, ROTATIONS, FLUCTUATION[:2]) for t in family},
}


def chosen_family(names: Sequence[str], *, axes: int) -> tuple[Transform, ...]:
    """The identity and transforms by name, of samples with so many axes.

    Raises:
        KeyError: there is no such transform of them, or one is named twice.

    >>> [transform.name for transform in chosen_family(["sign flip"], axes=1)]
    ['identity', 'sign flip']
    """
    wanted = [name for name in names if name != IDENTITY.name]
    if len(set(wanted)) < len(wanted):
        raise KeyError(f"{sorted(wanted)} names one twice")
    return (IDENTITY, *(KNOWN[axes][name] for name in wanted))


def transform_all(
    prepared: Mapping[str, Tensor], families: Mapping[str, Sequence[Transform]], indices: Sequence[int]
) -> dict[str, Tensor]:
    """Every modality of a batch under several joint indices: (B, ...) -> (V * B, ...), view by view.

    A modality with M_m transforms uses t_(j mod M_m) for index j.
    """
    return {
        name: torch.cat([families[name][j % len(families[name])].apply(x) for j in indices])
        for name, x in prepared.items()
    }


def equivalent_transforms(presence: Tensor, families: Sequence[int]) -> Tensor:
    """Which joint indices a window cannot tell apart, because the modalities it has repeat a transform.

    Args:
        presence: (B, K) of 0 and 1.
        families: K sizes M_m, in the same order.

    Returns:
        (B, M, M): row j is 1 / |set| over the indices that look like j to every present modality.
    """
    index = torch.arange(max(families), device=presence.device)
    same = torch.ones(len(presence), len(index), len(index), device=presence.device)
    for column, size in enumerate(families):
        alike = (index[:, None] % size == index[None, :] % size).to(same.dtype)
        here = presence[:, column].reshape(-1, 1, 1)
        same = same * (here * alike + (1 - here))
    return same / same.sum(dim=2, keepdim=True)
