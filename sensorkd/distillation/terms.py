"""The loss of a batch, term by term, and the check that no term is a silent no-op."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sensorkd.distillation import losses
from sensorkd.distillation.methods import Method
from sensorkd.distillation.pretext import equivalent_transforms
from sensorkd.errors import DeadTermError
from sensorkd.models.layered import LayeredOutput, LayeredStudent

__all__ = ["check_alive", "loss_terms"]


def loss_terms(
    output: LayeredOutput,
    *,
    method: Method,
    labels: Tensor,
    presence: Tensor,
    views: Sequence[int],
    families: Mapping[str, int],
    earlier: LayeredOutput | None,
    alpha: float,
    adjustment: Tensor | None = None,
) -> dict[str, Tensor]:
    """Every term that the method has on, unweighted.

    The cross-entropies against labels adjust the logits (Menon et al., ICLR 2021): `label`, and `sad` as
    well, or else its auxiliaries would answer for the training shares while the classifier does not, and
    `out` would teach the adjustment away. The earlier self's part of a target moves along, so that a
    softened target stays one mixture under one prior. The other terms compare unadjusted predictions
    with one another, which answer for the same prior on both sides.

    Args:
        output: of V * B rows, view by view; the first B are the identity view.
        labels: (B,), -1 where unknown.
        presence: (V * B, K), what the fusion saw of each row.
        views: V joint transform indices, views[0] = 0.
        families: modality -> M_m, in the order of presence.
        earlier: what an earlier self says of the same rows.
        adjustment: (N,) tau log pi of the classes' training shares pi; None for nothing.
    """
    batch, tau = len(labels), method.temperature
    logits = output.trunk.logits[:batch]
    told, before = output, earlier
    if adjustment is not None:
        told = _adjusted(output, adjustment)
        before = None if earlier is None else _adjusted(earlier, adjustment)
    past = None if before is None else before.trunk.logits[:batch]
    terms = {"label": losses.label_supervision(told.trunk.logits[:batch], labels, past, alpha)}
    if method.sad:
        terms["sad"] = _sad(told, labels, presence, views, families, before, alpha)
    if method.cross:
        terms["cross"] = _cross(output, logits.shape[1], families, tau)
    if method.deep:
        deepest = torch.log_softmax(output.fused[-1] / tau, dim=1)
        parts = [
            losses.divergence(deepest, torch.log_softmax(q / tau, dim=1), tau) for q in output.fused[:-1]
        ]
        terms["deep"] = _mean(parts, logits)
    if method.feat:
        parts = [losses.alignment(h, output.projections[-1]) for h in output.projections[:-1]]
        terms["feat"] = _mean(parts, logits)
    if method.out:
        teacher = losses.class_marginal(output.fused[-1][:batch], logits.shape[1], tau)
        terms["out"] = losses.divergence(teacher, torch.log_softmax(logits / tau, dim=1), tau)
    return terms


def _adjusted(output: LayeredOutput, adjustment: Tensor) -> LayeredOutput:
    """What an output says under the class shares of the training windows, as labels are fitted to it."""
    modality = {
        name: [losses.adjusted(head, adjustment) for head in heads] for name, heads in output.modality.items()
    }
    return dataclasses.replace(
        output,
        trunk=dataclasses.replace(output.trunk, logits=losses.adjusted(output.trunk.logits, adjustment)),
        modality=modality,
        fused=[losses.adjusted(head, adjustment) for head in output.fused],
    )


def _sad(
    output: LayeredOutput,
    labels: Tensor,
    presence: Tensor,
    views: Sequence[int],
    families: Mapping[str, int],
    earlier: LayeredOutput | None,
    alpha: float,
) -> Tensor:
    """mean_l mean_j CE(q_l(t_j(x)), y_l,j) over every auxiliary l."""
    row_labels = labels.repeat(len(views))
    view_of_row = torch.tensor(views).repeat_interleave(len(labels))
    alike = equivalent_transforms(presence, list(families.values()))
    target = alike[torch.arange(len(alike)), view_of_row]
    past: Sequence[Tensor | None] = [None] * len(output.fused) if earlier is None else earlier.fused
    parts = [
        losses.joint_supervision(q, row_labels, target, before, alpha)
        for q, before in zip(output.fused, past, strict=True)
    ]
    for name, heads in output.modality.items():
        rows = _rows(output, name)
        target = F.one_hot(view_of_row[rows] % families[name], families[name]).to(alike.dtype)
        past = [None] * len(heads) if earlier is None else earlier.modality[name]
        parts += [
            losses.joint_supervision(q, row_labels[rows], target, before, alpha)
            for q, before in zip(heads, past, strict=True)
        ]
    return torch.stack(parts).mean()


def _rows(output: LayeredOutput, modality: str) -> Tensor:
    """Which of the V * B rows a modality's auxiliaries saw."""
    rows = output.trunk.rows[modality]
    return torch.arange(len(output.trunk.logits)) if rows is None else rows


def _cross(output: LayeredOutput, classes: int, families: Mapping[str, int], tau: float) -> Tensor:
    """tau^2 mean_{m,s} KL(A[f,s] || A[m,s]) on the marginal that both can tell apart."""
    parts = []
    for name, heads in output.modality.items():
        rows = _rows(output, name)
        # A modality that no row has comes without heads.
        for fused, head in zip(output.fused, heads, strict=False):
            teacher = losses.shared_marginal(fused[rows], classes, families[name], tau)
            parts.append(losses.divergence(teacher, torch.log_softmax(head / tau, dim=1), tau))
    return _mean(parts, output.trunk.logits)


def _mean(parts: Sequence[Tensor], like: Tensor) -> Tensor:
    """Mean of a term's parts; a term without parts is a zero that `check_alive` will find."""
    return torch.stack(list(parts)).mean() if parts else like.new_zeros(())


def check_alive(terms: Mapping[str, Tensor], layered: LayeredStudent) -> None:
    """Refuse a term that is identically zero or moves no weight: it would be a silent no-op.

    Raises:
        DeadTermError: naming the term and what it needs.
    """
    parameters = [parameter for parameter in layered.parameters() if parameter.requires_grad]
    for name, term in terms.items():
        gradients: Sequence[Tensor | None] = [None]
        if term.requires_grad:
            gradients = torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True)
        moved = any(gradient is not None and bool(gradient.abs().max() > 0) for gradient in gradients)
        if not moved or float(term.detach()) == 0.0:
            raise DeadTermError(
                f"the loss term {name!r} is dead",
                inside=f"method.{name}",
                found=f"value {float(term.detach()):.3g}, "
                + ("with a gradient" if moved else "no gradient to any weight"),
                expected="a value and a gradient in the first step",
                mend=DEAD_TERM_NEEDS.get(name, f"set method.{name}=0 to leave it out"),
            )


DEAD_TERM_NEEDS = {
    "label": "the first batch holds no labelled window, or there is only one class",
    "deep": "it needs at least two stages; otherwise set method.deep=0",
    "feat": "it needs at least two stages; otherwise set method.feat=0",
    "cross": "it needs a modality that is present; otherwise set method.cross=0",
}
