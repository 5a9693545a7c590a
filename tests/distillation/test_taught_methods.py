"""`kd`, `sskd` and `hsakd` whole, weights included, by numbers worked by hand from their formulas.

The student knows nothing: every softmax of it is uniform, at any temperature. A teacher that has an opinion
on two classes says (3/4, 1/4) under the temperature of the method: KL = 3/4 log 3 - log 2, times tau^2.
"""

from __future__ import annotations

import math

import pytest
import torch

from sensorkd.distillation.methods import METHODS
from sensorkd.distillation.terms import loss_terms, unlabelled_terms
from sensorkd.models.layered import LayeredOutput
from sensorkd.models.student import TrunkOutput

OPINION = 3 / 4 * math.log(3) - math.log(2)


def said(logits, *, fused=(), projections=()):
    trunk = TrunkOutput({}, {"shake": None}, [logits], logits, logits)
    return LayeredOutput(trunk, {}, list(fused), list(projections))


def opinions(*has, tau):
    """(R, 2) logits of a teacher: an opinion, or none."""
    rows = [[tau * math.log(3 / 4), tau * math.log(1 / 4)] if some else [0.0, 0.0] for some in has]
    return torch.tensor(rows)


def asked(method, rows):
    return {
        "method": method,
        "presence": torch.ones(rows, 1),
        "views": list(range(method.views)),
        "families": {"shake": 4},
        "earlier": None,
        "alpha": 0.0,
    }


def loss_of(name, student, teacher, labels):
    """The terms of labelled windows, and their weighted sum."""
    method = METHODS[name]
    terms = loss_terms(
        student, labels=torch.tensor(labels), teacher=teacher, **asked(method, len(student.trunk.logits))
    )
    weights = method.weights()
    assert set(weights) == set(terms)
    return terms, sum(weight * float(terms[name]) for name, weight in weights.items())


def test_kd():
    """Of two windows, the teacher has an opinion on one: 0.1 log 2 + 0.9 * 16 * OPINION / 2."""
    student, teacher = said(torch.zeros(2, 2)), said(opinions(True, False, tau=4.0))
    _, loss = loss_of("kd", student, teacher, [0, 1])
    assert loss == pytest.approx(0.1 * math.log(2) + 0.9 * 16 * OPINION / 2, rel=1e-5)


def test_sskd():
    """Two windows, four views. SSKD: 0.1 CE + 0.9 KD + 2.7 KD of transformed views + 10 likeness.

    The teacher has an opinion on both windows as they are, and on one of their six transformed views:
    KD = 16 * OPINION, of views 16 * OPINION / 6. To it every view is wholly like its own window (1) and
    not at all like the other (0): over 1/2 that is (e^2, 1) / (e^2 + 1) = (0.880797, 0.119203), whose KL from
    the student's even guess is log 2 - 0.365334 = 0.327813, times 1/4: 0.0819533.
    """
    student = said(torch.zeros(8, 2), projections=[torch.ones(8, 3)])
    own = torch.eye(2).repeat(4, 1)
    has = [True, True, True, False, False, False, False, False]
    terms, loss = loss_of("sskd", student, said(opinions(*has, tau=4.0), projections=[own]), [0, 1])
    assert float(terms["relation"]) == pytest.approx(0.0819533, rel=1e-5)
    expected = 0.1 * math.log(2) + 0.9 * 16 * OPINION + 2.7 * 16 * OPINION / 6 + 10 * 0.0819533
    assert loss == pytest.approx(expected, rel=1e-5)


def test_hsakd():
    """One window, four views, three stages. HSAKD: CE + mean_j KL of verdicts + sum_l KL of joint labels.

    The teacher's classifier has an opinion on two of the four views: 9 * OPINION / 2. On joint labels it says
    (1/2, 1/4, 1/8, 1/8) in stages 1 and 3, of all views: KL = log(2) / 4, times 9, twice.
    """
    flat = torch.zeros(4, 4)
    shares = 3 * torch.tensor([[1 / 2, 1 / 4, 1 / 8, 1 / 8]]).log().repeat(4, 1)
    student = said(torch.zeros(4, 2), fused=[flat, flat, flat])
    teacher = said(opinions(True, False, True, False, tau=3.0), fused=[shares, flat, shares])
    _, loss = loss_of("hsakd", student, teacher, [1])
    assert loss == pytest.approx(math.log(2) + 9 * OPINION / 2 + 2 * 9 * math.log(2) / 4, rel=1e-5)


def test_what_needs_no_label_is_taught_of_windows_without_one_too():
    flat = torch.zeros(4, 4)
    teacher = said(opinions(True, False, True, False, tau=3.0), fused=[flat])
    student = said(torch.zeros(4, 2), fused=[flat])
    got = unlabelled_terms(student, teacher=teacher, **asked(METHODS["hsakd"], 4))
    assert set(got) == {"kd_unlabelled", "kd_views_unlabelled", "joint_unlabelled"}
    assert float(got["kd_unlabelled"]) == pytest.approx(9 * OPINION, rel=1e-5)
    assert float(got["kd_views_unlabelled"]) == pytest.approx(9 * OPINION / 3, rel=1e-5)
