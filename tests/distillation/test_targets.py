"""What labels say of a batch, against torch's own label smoothing and by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from sensorkd.distillation import losses
from sensorkd.distillation.targets import Targets, targets_of

LABELS = torch.tensor([0, 2, -1, 1])
LOGITS = torch.randn(4, 3, generator=torch.Generator().manual_seed(2))


def supervised(targets: Targets, **options):
    return losses.label_supervision(LOGITS, targets.labels, None, 0.0, shares=targets.shares, **options)


def test_plain_labels_stay_as_they_are():
    assert targets_of(LABELS, classes=3) == Targets(LABELS)


@pytest.mark.parametrize("smoothing", [0.1, 0.5])
def test_smoothed_labels_are_those_of_torch(smoothing):
    targets = targets_of(LABELS, classes=3, smoothing=smoothing)
    known = LABELS >= 0
    expected = F.cross_entropy(LOGITS[known], LABELS[known], label_smoothing=smoothing)
    assert torch.allclose(supervised(targets), expected)
    assert targets.shares[2].tolist() == [0, 0, 0]


def test_shares_that_say_what_labels_say_cost_the_same():
    shares = F.one_hot(LABELS.clamp(min=0), 3).float() * (LABELS >= 0)[:, None]
    soft = targets_of(LABELS, classes=3, label_shares=shares)
    assert torch.allclose(supervised(soft), supervised(Targets(LABELS)))
    q, transforms = torch.randn(4, 6), torch.tensor([[1.0, 0.0]] * 4)
    hard_joint = losses.joint_supervision(q, LABELS, transforms, None, 0.0)
    soft_joint = losses.joint_supervision(q, LABELS, transforms, None, 0.0, shares=shares)
    assert torch.allclose(hard_joint, soft_joint)


def test_soft_labels_are_learned_as_they_are():
    shares = torch.tensor([[0.7, 0.3, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.2, 0.2, 0.6]])
    targets = targets_of(torch.tensor([0, 1, -1, 2]), classes=3, label_shares=shares)
    # A window without shares keeps its label.
    assert targets.shares[1].tolist() == [0, 1, 0]
    logp = F.log_softmax(LOGITS, dim=1).tolist()
    rows = [
        0.7 * logp[0][0] + 0.3 * logp[0][1],
        logp[1][1],
        0.2 * logp[3][0] + 0.2 * logp[3][1] + 0.6 * logp[3][2],
    ]
    assert float(supervised(targets)) == pytest.approx(-sum(rows) / 3, rel=1e-5)


def test_a_weak_label_pulls_less_whatever_stands_beside_it():
    weights = torch.tensor([0.5, 1.0, 1.0, 0.25])
    targets = targets_of(LABELS, classes=3, label_weight=weights)
    logp = F.log_softmax(LOGITS, dim=1).tolist()
    expected = -(0.5 * logp[0][0] + logp[1][2] + 0.25 * logp[3][1]) / 3
    assert float(supervised(targets)) == pytest.approx(expected, rel=1e-5)


def test_a_weak_label_leaves_the_transform_certain():
    """Class part times the weight, transform part whole."""
    q = torch.randn(1, 6, generator=torch.Generator().manual_seed(1))
    p = q.softmax(dim=1)[0].tolist()
    targets = targets_of(torch.tensor([2]), classes=3, label_weight=torch.tensor([0.3]))
    got = losses.joint_supervision(
        q, targets.labels, torch.tensor([[0.0, 1.0]]), None, 0.0, shares=targets.shares
    )
    transform = p[1] + p[3] + p[5]
    expected = -torch.tensor(transform).log() - 0.3 * torch.tensor(p[5] / transform).log()
    assert float(got) == pytest.approx(float(expected), rel=1e-5)
