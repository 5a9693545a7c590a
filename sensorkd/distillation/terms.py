"""The loss of a batch, term by term."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sensorkd.distillation import losses
from sensorkd.distillation.methods import UNLABELLED, Method
from sensorkd.distillation.pretext import equivalent_transforms
from sensorkd.distillation.pseudo_labels import PseudoLabels, final_lesson, joint_lesson
from sensorkd.distillation.teaching import joint_teaching, logit_teaching, relation_teaching
from sensorkd.models.layered import LayeredOutput

__all__ = ["loss_terms", "unlabelled_terms"]

# Of cosine similarities, which lie in -1 .. 1; published (Xu et al., ECCV 2020).
RELATION_TEMPERATURE = 0.5


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
    shares: Tensor | None = None,
    trust: Tensor | None = None,
    teacher: LayeredOutput | None = None,
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
        shares: (B, N) targets over classes where labels do not say it all; see `Targets`.
        trust: (V * B,) rows of which the earlier self has something to say; None for all.
        teacher: what a teacher says of the same rows.
    """
    batch = len(labels)
    told, before = output, earlier
    if adjustment is not None:
        told = _adjusted(output, adjustment)
        before = None if earlier is None else _adjusted(earlier, adjustment)
    trust = _trusted(earlier, trust, method.confidence, len(views))
    past = None if before is None else before.trunk.logits[:batch]
    terms = {
        "label": losses.label_supervision(
            told.trunk.logits[:batch],
            labels,
            past,
            alpha,
            shares=shares,
            trust=None if trust is None else trust[:batch],
        )
    }
    if method.sad:
        terms["sad"] = _sad(told, labels, shares, presence, views, families, before, alpha, trust)
    return terms | _without_labels(output, method, views, families, teacher)


def unlabelled_terms(
    output: LayeredOutput,
    *,
    method: Method,
    presence: Tensor,
    views: Sequence[int],
    families: Mapping[str, int],
    earlier: LayeredOutput | None,
    alpha: float,
    trust: Tensor | None = None,
    teacher: LayeredOutput | None = None,
    pseudo: PseudoLabels | None = None,
) -> dict[str, Tensor]:
    """Every term of windows without a label, unweighted: the names of `Method.unlabelled_weights`.

    `sad_unlabelled` names the transform and agrees with the earlier self, stage by stage; `past_unlabelled`
    is the same agreement of the classifier that ships. `pseudo` and `pseudo_sad` teach a class.

    Args:
        output, presence, earlier, trust, teacher: as in `loss_terms`, of V * U rows.
        pseudo: what the windows are taught.
    """
    logits = output.trunk.logits
    windows = len(logits) // len(views)
    nothing = torch.full((windows,), -1)
    trust = _trusted(earlier, trust, method.confidence, len(views))
    terms: dict[str, Tensor] = {}
    if method.sad and method.pretext:
        terms["sad"] = _sad(output, nothing, None, presence, views, families, earlier, alpha, trust)
    terms |= _without_labels(output, method, views, families, teacher)
    if method.alpha:
        past = None if earlier is None else earlier.trunk.logits[:windows]
        terms["past"] = losses.label_supervision(
            logits[:windows], nothing, past, alpha, trust=None if trust is None else trust[:windows]
        )
    told = {name + UNLABELLED: term for name, term in terms.items()}
    if pseudo is not None:
        squared = method.pseudo == "mse"
        told["pseudo"] = final_lesson(logits[:windows], pseudo.final, squared=squared)
        if method.sad:
            parts = [
                joint_lesson(head, target, rows % windows, pseudo.of(name), squared=squared)
                for name, head, rows, target in _auxiliaries(output, presence, views, families)
            ]
            told["pseudo_sad"] = _mean(parts, logits)
    return told


def _without_labels(
    output: LayeredOutput,
    method: Method,
    views: Sequence[int],
    families: Mapping[str, int],
    teacher: LayeredOutput | None,
) -> dict[str, Tensor]:
    """The terms that labels take no part in."""
    tau, batch = method.temperature, len(output.trunk.logits) // len(views)
    logits = output.trunk.logits[:batch]
    terms: dict[str, Tensor] = {}
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
        deepest = losses.class_marginal(output.fused[-1][:batch], logits.shape[1], tau)
        terms["out"] = losses.divergence(deepest, torch.log_softmax(logits / tau, dim=1), tau)
    if teacher is not None:
        if method.kd:
            terms["kd"] = logit_teaching(teacher.trunk.logits[:batch], logits, tau)
        if method.kd_views:
            terms["kd_views"] = logit_teaching(teacher.trunk.logits[batch:], output.trunk.logits[batch:], tau)
        if method.joint:
            terms["joint"] = joint_teaching(teacher, output, tau)
        if method.relation:
            terms["relation"] = relation_teaching(
                teacher.projections[-1], output.projections[-1], views, RELATION_TEMPERATURE
            )
    return terms


def _trusted(
    earlier: LayeredOutput | None, trust: Tensor | None, confidence: float, views: int
) -> Tensor | None:
    """Rows (V * B,) that are softened: the earlier self has seen them, and is sure of the window's class.

    Its classifier learned the identity view only, so that one speaks for all views of a window.
    """
    if earlier is None or confidence == 0:
        return trust
    identity = earlier.trunk.logits[: len(earlier.trunk.logits) // views]
    sure = (identity.softmax(dim=1).max(dim=1).values >= confidence).float().repeat(views)
    return sure if trust is None else sure * trust


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


def _auxiliaries(
    output: LayeredOutput, presence: Tensor, views: Sequence[int], families: Mapping[str, int]
) -> Iterator[tuple[str, Tensor, Tensor, Tensor]]:
    """Name, joint logits (R, N * M), the rows they are of, and their target over transforms (R, M)."""
    view_of_row = torch.tensor(views).repeat_interleave(len(presence) // len(views))
    rows = torch.arange(len(presence))
    alike = equivalent_transforms(presence, list(families.values()))
    target = alike[rows, view_of_row]
    for stage, head in enumerate(output.fused):
        yield f"fused/{stage}", head, rows, target
    for name, heads in output.modality.items():
        seen = _rows(output, name)
        target = F.one_hot(view_of_row[seen] % families[name], families[name]).to(alike.dtype)
        for stage, head in enumerate(heads):
            yield f"{name}/{stage}", head, seen, target


def _heads(output: LayeredOutput) -> dict[str, Tensor]:
    """Joint logits by the names of `_auxiliaries`."""
    named = {f"fused/{stage}": head for stage, head in enumerate(output.fused)}
    for name, heads in output.modality.items():
        named |= {f"{name}/{stage}": head for stage, head in enumerate(heads)}
    return named


def _sad(
    output: LayeredOutput,
    labels: Tensor,
    shares: Tensor | None,
    presence: Tensor,
    views: Sequence[int],
    families: Mapping[str, int],
    earlier: LayeredOutput | None,
    alpha: float,
    trust: Tensor | None,
) -> Tensor:
    """mean_l mean_j CE(q_l(t_j(x)), y_l,j) over every auxiliary l."""
    row_labels = labels.repeat(len(views))
    row_shares = None if shares is None else shares.repeat(len(views), 1)
    past = {} if earlier is None else _heads(earlier)
    parts = [
        losses.joint_supervision(
            head,
            row_labels[rows],
            target,
            past.get(name),
            alpha,
            shares=None if row_shares is None else row_shares[rows],
            trust=None if trust is None else trust[rows],
        )
        for name, head, rows, target in _auxiliaries(output, presence, views, families)
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
