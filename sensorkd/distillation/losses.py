"""The terms of the loss, each a function of logits and targets.

Axes: R rows (windows under a view), N classes, M transforms; a joint label is y * M + j. Sources: the
joint label and its supervision, HSAKD (Yang et al., IJCAI 2021); softened targets, PS-KD (Kim et al.,
ICCV 2021); deep to shallow, BYOT (Zhang et al., ICCV 2019); all of them together, layer by layer, LSSKD
(Dahri et al., arXiv:2506.07055). Teaching sides are detached here, so no caller can forget it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "adjusted",
    "alignment",
    "class_given_transform",
    "class_marginal",
    "consistency",
    "divergence",
    "joint_supervision",
    "label_supervision",
    "shared_marginal",
]


def label_supervision(
    logits: Tensor,
    labels: Tensor,
    earlier: Tensor | None,
    alpha: float,
    *,
    shares: Tensor | None = None,
    trust: Tensor | None = None,
) -> Tensor:
    """CE(p(x), (1 - alpha) onehot(y) + alpha softmax(p^-(x))), mean over rows.

    Args:
        logits: (R, N). labels: (R,), -1 where unknown. earlier: (R, N) logits of the earlier self.
        shares: (R, N) target over classes in place of onehot(y): its row sums to what the label counts for,
            0 where it is unknown. trust: (R,) of 0 and 1; alpha is 0 in rows where the earlier self has
            nothing to say.

    The part of the labels is a mean over the labelled rows, that of the earlier self over all rows, so
    that unlabelled windows do not dilute the few labels there are.
    """
    logp = F.log_softmax(logits, dim=1)
    if shares is None:
        known = labels >= 0
        hard = -logp.gather(1, labels.clamp(min=0)[:, None])[:, 0] * known
    else:
        known = shares.sum(dim=1) > 0
        hard = -(shares * logp).sum(dim=1)
    if trust is not None and earlier is not None:
        hard = (1.0 - alpha * trust) * hard
    hard = hard.sum() / known.sum().clamp(min=1)
    if earlier is None:
        return hard
    soft = -(F.softmax(earlier.detach(), dim=1) * logp).sum(dim=1)
    if trust is not None:
        return hard + alpha * (trust * soft).mean()
    return (1.0 - alpha) * hard + alpha * soft.mean()


def joint_supervision(
    logits: Tensor,
    labels: Tensor,
    transforms: Tensor,
    earlier: Tensor | None,
    alpha: float,
    *,
    shares: Tensor | None = None,
    trust: Tensor | None = None,
) -> Tensor:
    """CE(q_l(t_j(x)), y_l,j), mean over rows; y_l,j softens the joint label by the earlier self.

    Args:
        logits: (R, N * M) of an auxiliary. labels: (R,), -1 where unknown. transforms: (R, M)
            target over transforms, one-hot where they can be told apart. earlier: (R, N * M).
        shares, trust: as in `label_supervision`.

    A row without a label is told the transform only: the cross-entropy of the marginal over classes. So is
    the part of a row that its label does not count for.
    """
    size = transforms.shape[1]
    logp = F.log_softmax(logits, dim=1)
    logp = logp.reshape(len(logp), -1, size)
    only_transform = -(transforms * logp.logsumexp(dim=1)).sum(dim=1)
    if shares is None:
        of_class = logp[torch.arange(len(logp)), labels.clamp(min=0)]
        hard = -(transforms * of_class).sum(dim=1)
        total = torch.where(labels >= 0, hard, only_transform)
    else:
        total = only_transform - (shares * class_given_transform(logits, transforms)).sum(dim=1)
    if earlier is not None:
        soft = -(F.softmax(earlier.detach(), dim=1) * logp.flatten(1)).sum(dim=1)
        part: float | Tensor = alpha if trust is None else alpha * trust
        total = (1.0 - part) * total + part * soft
    return total.mean()


def class_given_transform(logits: Tensor, transforms: Tensor) -> Tensor:
    """(R, N) sum_j t_j log q(y | j): the class part of the joint cross-entropy; the other is log q(j).

    Args:
        logits: (R, N * M) of an auxiliary. transforms: (R, M) target over transforms.
    """
    logp = F.log_softmax(logits, dim=1).reshape(len(logits), -1, transforms.shape[1])
    given = logp - logp.logsumexp(dim=1, keepdim=True)
    return (given * transforms[:, None]).sum(dim=2)


def consistency(logp: Tensor, taught: Tensor, weight: Tensor, *, squared: bool) -> Tensor:
    """What pseudo-labels teach: CE(p, taught), or the mean squared difference of the two; mean over rows.

    Sources: cross-entropy, Lee, ICML workshop 2013, and Sohn et al., NeurIPS 2020; squared differences,
    Tarvainen & Valpola, NeurIPS 2017. Rows that are not taught count in the mean, as published.

    Args:
        logp: (R, N) log-probabilities. taught: (R, N) shares. weight: (R,), 0 where nothing is taught.
    """
    if squared:
        return (weight * (logp.exp() - taught.detach()).square().mean(dim=1)).mean()
    return -(weight * (taught.detach() * logp).sum(dim=1)).mean()


def adjusted(logits: Tensor, adjustment: Tensor) -> Tensor:
    """f + tau log pi: logits as the training data would have them, with classes as frequent as there.

    Source: the logit-adjusted loss of Menon et al., ICLR 2021. The cross-entropy of this fits the
    posterior under the class shares pi of the training windows, so f itself answers for pi^(1 - tau).

    Args:
        logits: (R, N), or joint logits (R, N * M), where all transforms of a class move alike: they
            are drawn whatever the class. adjustment: (N,) tau log pi.
    """
    return logits + adjustment.repeat_interleave(logits.shape[1] // len(adjustment))


def class_marginal(logits: Tensor, classes: int, temperature: float) -> Tensor:
    """(R, N * M) joint logits -> (R, N) log-probabilities of the class, transforms summed out."""
    logp = F.log_softmax(logits / temperature, dim=1)
    return logp.reshape(len(logp), classes, -1).logsumexp(dim=2)


def shared_marginal(logits: Tensor, classes: int, family: int, temperature: float) -> Tensor:
    """(R, N * M) joint logits -> (R, N * family) log-probabilities over what j mod family tells apart."""
    logp = F.log_softmax(logits / temperature, dim=1).reshape(len(logits), classes, -1)
    parts = [logp[:, :, index::family].logsumexp(dim=2) for index in range(family)]
    return torch.stack(parts, dim=2).flatten(1)


def divergence(teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
    """tau^2 KL(teacher || student) of log-probabilities (R, L), mean over rows; the teacher is detached."""
    return temperature**2 * F.kl_div(student, teacher.detach(), reduction="batchmean", log_target=True)


def alignment(shallow: Tensor, deep: Tensor) -> Tensor:
    """|| h_s - h_S ||^2 of projections (R, E), mean over rows; the deep one is detached."""
    return (shallow - deep.detach()).square().sum(dim=1).mean()
