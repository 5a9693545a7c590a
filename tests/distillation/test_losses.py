"""Every loss against plain float64 loops written from the formulas of the method."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorkd.distillation import losses


def softmax(row, temperature=1.0):
    row = np.asarray(row, np.float64) / temperature
    exponents = [math.exp(value - max(row)) for value in row]
    return [value / sum(exponents) for value in exponents]


def cross_entropy(target, logits):
    return -sum(t * math.log(p) for t, p in zip(target, softmax(logits), strict=True) if t)


def kl(teacher, student):
    return sum(t * (math.log(t) - math.log(s)) for t, s in zip(teacher, student, strict=True))


def random_logits(rows, columns, seed=0, scale=2.0):
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)) * scale


def slow_label_supervision(logits, labels, earlier, alpha):
    classes = logits.shape[1]
    hard = [
        cross_entropy([float(y == n) for n in range(classes)], row)
        for row, y in zip(logits.tolist(), labels, strict=True)
        if y >= 0
    ]
    hard = sum(hard) / len(hard) if hard else 0.0
    if earlier is None:
        return hard
    pairs = zip(logits.tolist(), earlier.tolist(), strict=True)
    soft = [cross_entropy(softmax(before), row) for row, before in pairs]
    return (1 - alpha) * hard + alpha * sum(soft) / len(soft)


def slow_joint_supervision(logits, labels, transforms, earlier, alpha):
    size = transforms.shape[1]
    classes = logits.shape[1] // size
    total = 0.0
    for r, row in enumerate(logits.tolist()):
        p = softmax(row)
        loss = 0.0
        for j in range(size):
            if labels[r] >= 0:
                loss -= float(transforms[r, j]) * math.log(p[labels[r] * size + j])
            else:
                loss -= float(transforms[r, j]) * math.log(sum(p[y * size + j] for y in range(classes)))
        if earlier is not None:
            loss = (1 - alpha) * loss + alpha * cross_entropy(softmax(earlier[r].tolist()), row)
        total += loss
    return total / len(logits)


@pytest.mark.parametrize("labels", [[0, 2, 1, 2], [0, -1, 1, -1], [-1, -1, 3, -1]])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.9])
def test_label_supervision_is_the_softened_cross_entropy(labels, alpha):
    logits, earlier = random_logits(4, 5), random_logits(4, 5, seed=1)
    got = losses.label_supervision(logits, torch.tensor(labels), earlier, alpha)
    assert float(got) == pytest.approx(slow_label_supervision(logits, labels, earlier, alpha), rel=1e-5)


@pytest.mark.parametrize("labels", [[0, 2, 1, 2], [4, -1, -1, -1]])
def test_label_supervision_without_an_earlier_self_is_cross_entropy_over_labelled_rows(labels):
    logits = random_logits(4, 5)
    got = losses.label_supervision(logits, torch.tensor(labels), None, 0.0)
    assert float(got) == pytest.approx(slow_label_supervision(logits, labels, None, 0.0), rel=1e-5)


def test_fully_labelled_rows_see_one_softened_target():
    """(1 - alpha) onehot + alpha softmax as a single target, as the formula writes it."""
    logits, earlier, labels = random_logits(6, 4), random_logits(6, 4, seed=1), [0, 1, 2, 3, 0, 1]
    expected = 0.0
    for row, before, y in zip(logits.tolist(), earlier.tolist(), labels, strict=True):
        target = [0.7 * (y == n) + 0.3 * p for n, p in enumerate(softmax(before))]
        expected += cross_entropy(target, row) / 6
    got = losses.label_supervision(logits, torch.tensor(labels), earlier, 0.3)
    assert float(got) == pytest.approx(expected, rel=1e-5)


def test_unlabelled_rows_do_not_dilute_the_labelled_ones():
    logits, earlier = random_logits(32, 5), random_logits(32, 5, seed=1)
    labels = torch.full((32,), -1)
    labels[3] = 2
    without = losses.label_supervision(logits, labels, None, 0.0)
    barely = losses.label_supervision(logits, labels, earlier, 1e-6)
    assert float(barely) == pytest.approx(float(without), rel=1e-4)


def test_label_supervision_of_no_label_and_no_past_is_zero():
    assert float(losses.label_supervision(random_logits(3, 4), torch.full((3,), -1), None, 0.0)) == 0.0


@pytest.mark.parametrize("labels", [[0, 2, 1, 2], [0, -1, 1, -1], [-1, -1, -1, -1]])
@pytest.mark.parametrize("alpha", [None, 0.0, 0.4])
def test_joint_supervision_names_class_and_transform(labels, alpha):
    logits = random_logits(4, 3 * 4)
    earlier = None if alpha is None else random_logits(4, 3 * 4, seed=1)
    transforms = torch.tensor([[1, 0, 0, 0], [0, 0, 1, 0], [0.5, 0, 0.5, 0], [0.25] * 4])
    got = losses.joint_supervision(logits, torch.tensor(labels), transforms, earlier, alpha or 0.0)
    expected = slow_joint_supervision(logits, labels, transforms, earlier, alpha or 0.0)
    assert float(got) == pytest.approx(expected, rel=1e-5)


def test_the_joint_label_of_class_y_under_transform_j_is_y_times_m_plus_j():
    classes, size = 3, 4
    for y in range(classes):
        for j in range(size):
            sure = torch.full((1, classes * size), -20.0)
            sure[0, y * size + j] = 20.0
            transform = torch.eye(size)[[j]]
            assert float(losses.joint_supervision(sure, torch.tensor([y]), transform, None, 0)) < 1e-5
            wrong = losses.joint_supervision(sure, torch.tensor([(y + 1) % classes]), transform, None, 0)
            assert float(wrong) > 10


def test_a_softened_joint_target_is_one_mixture():
    logits, earlier = random_logits(5, 6), random_logits(5, 6, seed=1)
    labels, views = [0, 1, 2, 1, 0], [0, 1, 0, 1, 1]
    expected = 0.0
    for row, before, y, j in zip(logits.tolist(), earlier.tolist(), labels, views, strict=True):
        target = [0.8 * (k == y * 2 + j) + 0.2 * p for k, p in enumerate(softmax(before))]
        expected += cross_entropy(target, row) / 5
    got = losses.joint_supervision(logits, torch.tensor(labels), torch.eye(2)[views], earlier, 0.2)
    assert float(got) == pytest.approx(expected, rel=1e-5)


def test_an_adjustment_moves_a_class_and_all_its_transforms_alike():
    logits, joint = random_logits(4, 3), random_logits(4, 3 * 2)
    moved = losses.adjusted(logits, torch.tensor([0.0, -1.0, 2.0])) - logits
    assert torch.allclose(moved, torch.tensor([[0.0, -1.0, 2.0]]).expand(4, 3), atol=1e-6)
    moved = losses.adjusted(joint, torch.tensor([0.0, -1.0, 2.0])) - joint
    assert torch.allclose(moved, torch.tensor([[0.0, 0.0, -1.0, -1.0, 2.0, 2.0]]).expand(4, 6), atol=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_class_marginal_sums_the_transforms_out(temperature):
    logits = random_logits(3, 4 * 3)
    got = losses.class_marginal(logits, 4, temperature).exp()
    for r, row in enumerate(logits.tolist()):
        p = softmax(row, temperature)
        assert got[r].tolist() == pytest.approx([sum(p[y * 3 : y * 3 + 3]) for y in range(4)], rel=1e-5)


@pytest.mark.parametrize(("size", "family"), [(4, 4), (4, 2), (4, 1), (4, 3), (5, 2), (6, 4)])
def test_shared_marginal_gathers_the_indices_a_modality_cannot_tell_apart(size, family):
    classes = 3
    logits = random_logits(4, classes * size)
    got = losses.shared_marginal(logits, classes, family, 2.0).exp()
    for r, row in enumerate(logits.tolist()):
        p = softmax(row, 2.0)
        expected = [0.0] * (classes * family)
        for y in range(classes):
            for j in range(size):
                expected[y * family + j % family] += p[y * size + j]
        assert got[r].tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_divergence_is_tau_squared_kl_from_teacher_to_student(temperature):
    teacher, student = random_logits(4, 5), random_logits(4, 5, seed=1)
    got = losses.divergence(
        torch.log_softmax(teacher / temperature, 1), torch.log_softmax(student / temperature, 1), temperature
    )
    rows = zip(teacher.tolist(), student.tolist(), strict=True)
    expected = sum(kl(softmax(t, temperature), softmax(s, temperature)) for t, s in rows) / 4
    assert float(got) == pytest.approx(temperature**2 * expected, rel=1e-4)
    same = torch.log_softmax(teacher, 1)
    assert float(losses.divergence(same, same, temperature)) == pytest.approx(0.0, abs=1e-6)


def test_alignment_is_the_squared_distance_summed_over_the_embedding():
    shallow, deep = random_logits(3, 7), random_logits(3, 7, seed=1)
    rows = zip(shallow.tolist(), deep.tolist(), strict=True)
    expected = sum(sum((a - b) ** 2 for a, b in zip(x, y, strict=True)) for x, y in rows) / 3
    assert float(losses.alignment(shallow, deep)) == pytest.approx(expected, rel=1e-5)


def test_no_gradient_reaches_a_teaching_side():
    learner, teacher = random_logits(4, 6), random_logits(4, 6, seed=1)
    labels = torch.tensor([0, 1, -1, 1])
    calls = [
        lambda a, b: losses.label_supervision(a, labels, b, 0.5),
        lambda a, b: losses.joint_supervision(a, labels, torch.eye(3)[[0, 1, 2, 0]], b, 0.5),
        lambda a, b: losses.divergence(torch.log_softmax(b, 1), torch.log_softmax(a, 1), 2.0),
        losses.alignment,
    ]
    for call in calls:
        a, b = learner.clone().requires_grad_(), teacher.clone().requires_grad_()
        call(a, b).backward()
        assert a.grad is not None
        assert a.grad.abs().max() > 0
        assert b.grad is None


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(-30, 30))
def test_losses_ignore_the_order_of_rows_and_constants_added_to_logits(seed, constant):
    logits, earlier = random_logits(6, 8, seed), random_logits(6, 8, seed + 1)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(6, generator=generator)
    labels = torch.randint(-1, 4, (6,), generator=generator)
    transforms = torch.eye(2)[torch.randint(0, 2, (6,), generator=generator)]
    shift = constant * torch.arange(6)[:, None] / 6

    def every(rows, x, before):
        return torch.stack(
            [
                losses.label_supervision(x, labels[rows], before, 0.3),
                losses.joint_supervision(x, labels[rows], transforms[rows], before, 0.3),
                losses.divergence(losses.class_marginal(before, 4, 2), losses.class_marginal(x, 4, 2), 2),
            ]
        )

    plain = every(torch.arange(6), logits, earlier)
    assert torch.allclose(every(order, logits[order], earlier[order]), plain, atol=1e-4)
    assert torch.allclose(every(torch.arange(6), logits + shift, earlier - shift), plain, atol=1e-3)
