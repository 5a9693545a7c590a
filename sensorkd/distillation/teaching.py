"""What a larger teacher asks of the student: its verdicts, its joint labels, its sense of likeness.

Axes: B windows, V views, R = V * B rows, view by view, E embedding, L labels of any kind. Sources: verdicts,
Hinton et al., arXiv:1503.02531, 2015; joint labels stage by stage, HSAKD (Yang et al., IJCAI 2021); likeness
of views, SSKD (Xu et al., ECCV 2020). Teaching sides are detached here, so no caller can forget it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sensorkd.distillation import losses
from sensorkd.models.layered import LayeredOutput

__all__ = [
    "WRONG_KEPT",
    "joint_teaching",
    "logit_teaching",
    "relation_teaching",
    "seen_rows",
]

# Of the teacher's wrong answers, the share that SSKD keeps: the least wrong ones.
WRONG_KEPT = 0.75


def logit_teaching(teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
    """tau^2 KL(softmax(teacher / tau) || softmax(student / tau)) of logits (R, L), mean over rows."""
    said, learned = F.log_softmax(teacher / temperature, dim=1), F.log_softmax(student / temperature, dim=1)
    return losses.divergence(said, learned, temperature)


def joint_teaching(teacher: LayeredOutput, student: LayeredOutput, temperature: float) -> Tensor:
    """mean_l tau^2 KL(teacher's q_l || student's q_l), mean over rows: every view, every auxiliary l.

    Joint distributions of class and transform, the teacher's stage to the student's same stage, of the
    modalities and of the fusion. HSAKD sums over l; with a mean the weight of the term does not depend on
    how many sensors there are, and `joint` times the number of auxiliaries is the published sum. Its other
    half, p from the teacher's p, is `logit_teaching`.

    A modality counts in the rows that both sides have it in. A student without some of the auxiliaries
    learns from those that it has.

    Returns:
        A scalar; zero without a gradient where no auxiliary has a row.
    """
    parts = [logit_teaching(said, learned, temperature) for said, learned in _pairs(teacher, student)]
    return torch.stack(parts).mean() if parts else student.trunk.logits.new_zeros(())


def _pairs(teacher: LayeredOutput, student: LayeredOutput) -> Iterator[tuple[Tensor, Tensor]]:
    """Joint logits of the two sides, auxiliary by auxiliary, row by row."""
    if student.fused:
        yield from zip(teacher.fused, student.fused, strict=True)
    for name, heads in student.modality.items():
        mine, theirs = seen_rows(student, name), seen_rows(teacher, name)
        both = torch.isin(mine, theirs)
        if both.any():
            wanted = torch.isin(theirs, mine)
            for said, learned in zip(teacher.modality[name], heads, strict=True):
                yield said[wanted], learned[both]


def seen_rows(output: LayeredOutput, modality: str) -> Tensor:
    """Which of the R rows a modality's auxiliaries saw, in rising order."""
    rows = output.trunk.rows[modality]
    logits = output.trunk.logits
    return torch.arange(len(logits), device=logits.device) if rows is None else rows


def relation_teaching(
    teacher: Tensor, student: Tensor, views: Sequence[int], temperature: float, *, kept: float = WRONG_KEPT
) -> Tensor:
    """tau^2 KL(A_teacher || A_student), where A says which window of the batch a transformed view is like.

    A of a transformed row is the softmax, over the B windows, of its cosine similarity to their identity
    views, over tau (SSKD: 0.5, since cosines are small). The right answer is the row's own window. Of the
    rows where the teacher finds others more like it, only the share `kept` is passed on, those with the
    fewest such others: SSKD's selective transfer, which ranks errors by how far down the right answer stands.

    SSKD compares the outputs of a projection head that it trains for nothing else, on the frozen teacher.
    Here the projection h_S of the deepest fused auxiliary stands for it: it is trained by the transforms
    too, as part of the joint label, it is as deep (a linear layer and a ReLU on the embedding), and it
    does not ship either.

    Args:
        teacher, student: (R, E_t) and (R, E_s); the first B rows are the identity views.
        views: V joint transform indices, views[0] = 0.

    Raises:
        ValueError: there is no view but the identity.
    """
    if len(views) < 2:
        raise ValueError(f"likeness needs a transformed view beside the identity, got views {list(views)}")
    batch = len(student) // len(views)
    said, learned = _likeness(teacher.detach(), batch), _likeness(student, batch)
    chosen = _trusted(said, batch, kept)
    if not len(chosen):
        return learned.sum() * 0.0
    return logit_teaching(said[chosen], learned[chosen], temperature)


def _likeness(embeddings: Tensor, batch: int) -> Tensor:
    """(R, E) -> (R - B, B): cosine similarity of each transformed row to each identity view."""
    unit = F.normalize(embeddings, dim=1)
    return unit[batch:] @ unit[:batch].T


def _trusted(likeness: Tensor, batch: int, kept: float) -> Tensor:
    """Rows whose own window is the likest, and the share `kept` of the others, least wrong first."""
    own = torch.arange(len(likeness), device=likeness.device) % batch
    rank = (likeness > likeness.gather(1, own[:, None])).sum(dim=1)
    wrong = int((rank > 0).sum())
    count = len(rank) - wrong + math.floor(wrong * kept)
    return rank.argsort(stable=True)[:count].sort().values
