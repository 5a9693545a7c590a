"""What a teacher asks of a student, against loops, and against numbers worked by hand."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from sensorkd.distillation.pretext import transform_all
from sensorkd.distillation.teacher import Teacher
from sensorkd.distillation.teaching import joint_teaching, logit_teaching, relation_teaching
from sensorkd.models.layered import LayeredOutput
from sensorkd.models.student import TrunkOutput

VIEWS = [0, 3, 2]
# Six windows; the second has no vibration, the fifth nothing but heat.
PRESENCE = torch.tensor([[1, 1, 1], [0, 1, 1], [1, 1, 1], [1, 1, 0], [0, 1, 0], [1, 1, 1]]).float()


def softmax(row, temperature):
    exponents = [math.exp((value - max(row)) / temperature) for value in row]
    return [value / sum(exponents) for value in exponents]


def slow_kl(teacher, student, tau):
    """tau^2 KL, mean over rows, row by row and label by label."""
    rows = [
        tau**2
        * sum(t * (math.log(t) - math.log(s)) for t, s in zip(softmax(a, tau), softmax(b, tau), strict=True))
        for a, b in zip(teacher.tolist(), student.tolist(), strict=True)
    ]
    return sum(rows) / len(rows)


def slow_relation(teacher, student, views, tau, kept):
    """Cosines one by one; rows ranked, and cut off, as the paper tells."""
    batch = len(teacher) // views

    def cosines(vectors):
        return [
            [
                sum(a * b for a, b in zip(row, other, strict=True)) / math.hypot(*row) / math.hypot(*other)
                for other in vectors[:batch]
            ]
            for row in vectors[batch:]
        ]

    said, learned = cosines(teacher.tolist()), cosines(student.tolist())
    order = []
    for number, row in enumerate(said):
        by_likeness = sorted(range(batch), key=lambda window: -row[window])
        order.append((by_likeness.index(number % batch), number))
    right = [number for rank, number in order if rank == 0]
    wrong = [number for rank, number in sorted(order) if rank > 0]
    chosen = right + wrong[: int(len(wrong) * kept)]
    parts = [slow_kl(torch.tensor([said[number]]), torch.tensor([learned[number]]), tau) for number in chosen]
    return sum(parts) / len(parts)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def logs(*shares, tau=2.0):
    """Logits that are these shares under the temperature."""
    return torch.tensor([[tau * math.log(share) for share in shares]])


def output(fused, modality=None, rows=None, logits=None):
    """Of so many stages; a modality's rows are all of them where not told."""
    logits = torch.zeros(len(fused[0]), 2) if logits is None else logits
    modality = modality or {}
    trunk = TrunkOutput({}, {name: (rows or {}).get(name) for name in modality}, [], logits, logits)
    return LayeredOutput(trunk, modality, fused, [])


@pytest.mark.parametrize("tau", [1.0, 2.0, 4.0])
def test_verdicts_are_taught_as_loops_would(tau):
    teacher, student = randn(7, 5), randn(7, 5, seed=1)
    assert float(logit_teaching(teacher, student, tau)) == pytest.approx(slow_kl(teacher, student, tau))


def test_verdicts_worked_by_hand():
    """KL((1/2, 1/4, 1/8, 1/8) || uniform) = 1/2 log 2 - 2/8 log 2 = log(2) / 4, and tau is 2."""
    loss = logit_teaching(logs(1 / 2, 1 / 4, 1 / 8, 1 / 8), logs(1 / 4, 1 / 4, 1 / 4, 1 / 4), 2.0)
    assert float(loss) == pytest.approx(math.log(2))


def test_hsakd_worked_by_hand():
    """Two classes, two transforms, tau 2. Three auxiliaries: stage 1 and 2 of the fusion, one of `heat`.

    fused 1: KL((1/2, 1/4, 1/8, 1/8) || uniform) = log(2) / 4, times 4: log 2. fused 2: the same on both
    sides: 0. heat, present in the second row alone: KL((3/4, 1/12, 1/12, 1/12) || uniform)
    = 3/4 log 3 - 1/4 log 3 = log(3) / 2, times 4: 2 log 3. HSAKD's sum is log 2 + 2 log 3.
    """
    far, flat = logs(1 / 2, 1 / 4, 1 / 8, 1 / 8), logs(1 / 4, 1 / 4, 1 / 4, 1 / 4)
    sure = logs(3 / 4, 1 / 12, 1 / 12, 1 / 12)
    second = torch.tensor([1])
    teacher = output([far.repeat(2, 1), far.repeat(2, 1)], {"heat": [torch.cat([flat, sure])]})
    student = output([flat.repeat(2, 1), far.repeat(2, 1)], {"heat": [flat]}, {"heat": second})
    expected = (math.log(2) + 0 + 2 * math.log(3)) / 3
    assert float(joint_teaching(teacher, student, 2.0)) == pytest.approx(expected)


def test_every_stage_is_taught_by_the_same_stage_as_loops_would(make_layered, prepared, families):
    """A wider teacher that sees everything, a student in training from which a sensor is hidden."""
    teacher = Teacher(make_layered(widths=(6, 9), seed=4))
    student = make_layered()
    rows, presence = transform_all(prepared, families, VIEWS), PRESENCE.repeat(3, 1)
    seen = presence.clone()
    seen[7, 1] = 0
    said = teacher.say(rows, presence, seen, views=VIEWS)
    with torch.no_grad():
        learned = student.by_view(rows, presence, seen, views=3)

    parts = [slow_kl(t, s, 3.0) for t, s in zip(said.fused, learned.fused, strict=True)]
    every = teacher.network(rows, presence)  # all rows, blank ones too
    for column, name in enumerate(families):
        kept = [row for row in range(18) if presence[row, column]]
        for t, s in zip(every.modality[name], learned.modality[name], strict=True):
            parts.append(slow_kl(t[kept], s, 3.0))
    assert len(parts) == 2 * 4
    assert float(joint_teaching(said, learned, 3.0)) == pytest.approx(sum(parts) / len(parts), rel=1e-4)


def test_a_student_learns_from_the_auxiliaries_that_it_has(make_layered, prepared, families):
    said = Teacher(make_layered(seed=4)).say(prepared, PRESENCE, PRESENCE, views=[0])
    with torch.no_grad():
        learned = make_layered().by_view(prepared, PRESENCE, PRESENCE, views=1)
    fused = dataclasses.replace(learned, modality={})
    alone = dataclasses.replace(learned, fused=[])
    both = [joint_teaching(said, some, 2.0) * count for some, count in ((fused, 2), (alone, 6))]
    assert float(sum(both)) / 8 == pytest.approx(float(joint_teaching(said, learned, 2.0)))


def test_a_modality_that_no_window_has_teaches_nothing(make_layered, prepared):
    presence = PRESENCE.clone()
    presence[:, 2] = 0
    said = Teacher(make_layered(seed=4)).say(prepared, presence, presence, views=[0])
    learned = make_layered().by_view(prepared, presence, presence, views=1)
    assert said.modality["camera"] == learned.modality["camera"] == []
    assert torch.isfinite(joint_teaching(said, learned, 2.0))
    nobody = dataclasses.replace(learned, fused=[], modality={})
    assert float(joint_teaching(said, nobody, 2.0)) == 0


def test_stages_that_differ_are_not_paired(make_layered, prepared):
    said = Teacher(make_layered(widths=(4, 6, 8))).say(prepared, PRESENCE, PRESENCE, views=[0])
    learned = make_layered().by_view(prepared, PRESENCE, PRESENCE, views=1)
    with pytest.raises(ValueError, match="argument 2"):
        joint_teaching(said, learned, 2.0)


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.75, 1.0])
def test_likeness_is_taught_as_loops_would(kept):
    teacher, student = randn(4 * 5, 6), randn(4 * 5, 3, seed=1)
    got = relation_teaching(teacher, student, [0, 1, 2, 3], 0.5, kept=kept)
    assert float(got) == pytest.approx(slow_relation(teacher, student, 4, 0.5, kept))


def test_of_the_wrong_answers_the_worst_quarter_is_not_passed_on():
    """Four windows on the axes; transformed views of them, of which the teacher takes all for another."""
    axes = torch.eye(4)
    # Second, second, third and fourth likest is the right one.
    likeness = torch.tensor(
        [[0.8, 0.9, 0.1, 0.0], [0.9, 0.8, 0.1, 0.0], [0.9, 0.8, 0.7, 0.1], [0.9, 0.8, 0.7, 0.6]]
    )
    teacher, student = torch.cat([axes, likeness]), torch.cat([axes, likeness.flip(0)])
    student.requires_grad_()
    relation_teaching(teacher, student, [0, 1], 0.5).backward()
    moved = student.grad[4:].abs().sum(dim=1) > 0
    assert moved.tolist() == [True, True, True, False]
    student.grad = None
    relation_teaching(teacher, student, [0, 1], 0.5, kept=1.0).backward()
    assert (student.grad[4:].abs().sum(dim=1) > 0).all()


def test_where_nothing_the_teacher_says_is_right_nothing_may_be_left():
    teacher = torch.cat([torch.eye(2), torch.eye(2).flip(0)])
    student = torch.randn(4, 3, requires_grad=True)
    loss = relation_teaching(teacher, student, [0, 1], 0.5, kept=0.0)
    loss.backward()
    assert float(loss.detach()) == 0
    assert float(student.grad.abs().sum()) == 0


def test_likeness_does_not_depend_on_the_size_of_embeddings():
    teacher, student = randn(8, 6), randn(8, 3, seed=1)
    once = relation_teaching(teacher, student, [0, 2], 0.5)
    assert float(relation_teaching(9 * teacher, 0.1 * student, [0, 2], 0.5)) == pytest.approx(float(once))


def test_likeness_needs_a_view_beside_the_identity():
    with pytest.raises(ValueError, match=r"transformed view.*\[0\]"):
        relation_teaching(randn(4, 2), randn(4, 2), [0], 0.5)


def test_whoever_agrees_with_the_teacher_is_not_moved():
    same = randn(8, 6)
    assert float(logit_teaching(same, same, 2.0)) == pytest.approx(0, abs=1e-12)
    assert float(relation_teaching(same, same.clone(), [0, 1], 0.5)) == pytest.approx(0, abs=1e-12)


def test_no_gradient_reaches_the_teacher():
    teacher, student = randn(8, 6).requires_grad_(), randn(8, 6, seed=1).requires_grad_()
    losses = [
        logit_teaching(teacher, student, 2.0),
        joint_teaching(output([teacher]), output([student]), 2.0),
        relation_teaching(teacher, student, [0, 1], 0.5),
    ]
    torch.stack(losses).sum().backward()
    assert teacher.grad is None
    assert float(student.grad.abs().sum()) > 0
