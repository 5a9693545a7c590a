"""The check that no term of the loss is a silent no-op."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from sensorkd.distillation.methods import UNLABELLED
from sensorkd.errors import DeadTermError
from sensorkd.models.layered import LayeredStudent

__all__ = ["MAY_WAIT", "AliveCheck", "check_alive"]

# Rightly zero at first: no class is likely enough yet, and targets are not softened yet.
MAY_WAIT = ("pseudo", "pseudo_sad", "past" + UNLABELLED)


def check_alive(
    terms: Mapping[str, Tensor], layered: LayeredStudent, *, may_wait: Collection[str] = ()
) -> set[str]:
    """Refuse a term that is identically zero or moves no weight: it would be a silent no-op.

    Args:
        may_wait: terms that are allowed to be zero for now; see `MAY_WAIT`.

    Returns:
        Those of them that were, to be looked at again in the next step.

    Raises:
        DeadTermError: naming the term and what it needs.
    """
    waiting = {name for name in may_wait if name in terms and float(terms[name].detach()) == 0.0}
    parameters = [parameter for parameter in layered.parameters() if parameter.requires_grad]
    for name, term in terms.items():
        if name in waiting:
            continue
        gradients: Sequence[Tensor | None] = [None]
        if term.requires_grad:
            gradients = torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True)
        moved = any(gradient is not None and bool(gradient.abs().max() > 0) for gradient in gradients)
        if not moved or float(term.detach()) == 0.0:
            raise DeadTermError(
                f"the loss term {name!r} is dead",
                inside=f"method.{name.removesuffix(UNLABELLED)}",
                found=f"value {float(term.detach()):.3g}, "
                + ("with a gradient" if moved else "no gradient to any weight"),
                expected="a value and a gradient in the first step",
                mend=NEEDS.get(
                    name.removesuffix(UNLABELLED), f"set method.{name.split('_')[0]}=0 to leave it out"
                ),
            )
    return waiting


class AliveCheck:
    """`check_alive` in the first step; in later ones, of terms that wait: for what is not there yet, too.

    begun: the run was resumed, and its first step is over.
    """

    def __init__(self, layered: LayeredStudent, *, begun: bool) -> None:
        self._layered = layered
        self._left: set[str] | None = set(MAY_WAIT) if begun else None
        self._begun, self._met = begun, set[str]()

    def check(self, terms: Mapping[str, Tensor]) -> None:
        """Look at the terms of a step.

        Raises:
            DeadTermError: one of them does nothing.
        """
        self._met |= terms.keys()
        if self._left is not None:
            terms = {name: term for name, term in terms.items() if name in self._left}
        if terms:
            waiting = check_alive(terms, self._layered, may_wait=MAY_WAIT)
            left = set(MAY_WAIT) if self._left is None else self._left
            self._left = left - (terms.keys() - waiting)

    @property
    def waiting(self) -> list[str]:
        """Terms that were zero in every step so far; of a resumed run nobody knows, and none is told."""
        return [] if self._begun else sorted((self._left or set()) & self._met)


NEEDS = {
    "label": "the first batch holds no labelled window, or there is only one class",
    "deep": "it needs at least two stages; otherwise set method.deep=0",
    "feat": "it needs at least two stages; otherwise set method.feat=0",
    "cross": "it needs a modality that is present; otherwise set method.cross=0",
    "pseudo": "set method.unlabelled=0 to leave windows without a label out",
    "pseudo_sad": "set method.unlabelled=0 to leave windows without a label out",
}
