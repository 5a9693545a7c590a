"""PS-KD by numbers worked by hand from its formulas (Kim et al., ICCV 2021, equations 4 and 8).

Loss: CE against (1 - alpha_t) onehot(y) + alpha_t p_(t-1)(x), with alpha_t = alpha_T * t / T.
"""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from sensorkd.distillation.methods import METHODS
from sensorkd.distillation.terms import loss_terms
from sensorkd.models.layered import LayeredOutput
from sensorkd.models.student import TrunkOutput

PS_KD = METHODS["ps_kd"]


def said(probabilities):
    logits = torch.tensor([[math.log(p) for p in row] for row in probabilities])
    return LayeredOutput(TrunkOutput({}, {"shake": None}, [logits], logits, logits), {}, [], [])


def cost(output, earlier, labels, alpha, trust=None, method=PS_KD):
    rows = len(output.trunk.logits)
    return loss_terms(
        output,
        method=method,
        labels=torch.tensor(labels),
        presence=torch.ones(rows, 1),
        views=[0],
        families={"shake": 4},
        earlier=earlier,
        alpha=alpha,
        trust=trust,
    )


def test_alpha_rises_linearly_to_the_published_end():
    assert PS_KD.alpha == 0.8
    assert [PS_KD.alpha_at(step, 300) for step in (0, 75, 150, 300)] == pytest.approx([0, 0.2, 0.4, 0.8])


def test_one_window_halfway():
    """p = (1/2, 1/4, 1/4), before (1/4, 1/2, 1/4), y = 0, alpha = 0.8 / 2: target (0.7, 0.2, 0.1).

    -(0.7 log 1/2 + 0.2 log 1/4 + 0.1 log 1/4) = 0.7 log 2 + 0.6 log 2 = 1.3 log 2 = 0.901091.
    """
    got = cost(said([[0.5, 0.25, 0.25]]), said([[0.25, 0.5, 0.25]]), [0], PS_KD.alpha_at(150, 300))
    assert list(got) == ["label"]
    assert float(got["label"]) == pytest.approx(0.901091, abs=1e-5)


def test_two_windows_at_the_end():
    """The same, alpha 0.8: targets (0.4, 0.4, 0.2) and, of y = 2 before (1/8, 1/8, 3/4), (0.1, 0.1, 0.8).

    First: 0.4 log 2 + 0.6 * 2 log 2 = 1.6 log 2. Second, p = (1/4, 1/4, 1/2): 0.2 * 2 log 2 + 0.8 log 2 = 1.2
    log 2. Mean 1.4 log 2 = 0.970406.
    """
    output = said([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]])
    before = said([[0.25, 0.5, 0.25], [0.125, 0.125, 0.75]])
    assert float(cost(output, before, [0, 2], 0.8)["label"]) == pytest.approx(0.970406, abs=1e-5)


def test_a_window_not_seen_before_keeps_its_label():
    """Published: in the first epoch the label stands. Mean of log 2 and 1.2 log 2."""
    output = said([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]])
    before = said([[0.25, 0.5, 0.25], [0.125, 0.125, 0.75]])
    got = cost(output, before, [0, 2], 0.8, trust=torch.tensor([0.0, 1.0]))
    assert float(got["label"]) == pytest.approx(1.1 * math.log(2), abs=1e-5)


def test_an_earlier_self_that_is_not_sure_softens_nothing():
    """Confidence 0.6: of the two windows above only the second was that sure."""
    output = said([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]])
    before = said([[0.25, 0.5, 0.25], [0.125, 0.125, 0.75]])
    sure = dataclasses.replace(PS_KD, confidence=0.6)
    got = cost(output, before, [0, 2], 0.8, method=sure)
    assert float(got["label"]) == pytest.approx(1.1 * math.log(2), abs=1e-5)
