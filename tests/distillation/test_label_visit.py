"""The earlier self labels windows under all transforms."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from sensorkd.distillation.label_visit import visit_labels
from sensorkd.distillation.methods import method_named
from sensorkd.distillation.pretext import FLIPS, FLUCTUATION, OSCILLATION, transform_all
from sensorkd.distillation.soft_targets import Ema

TRANSFORMS = {"shake": OSCILLATION, "heat": FLUCTUATION[:3], "camera": FLIPS[:2]}
VISIT = dataclasses.replace(method_named("lsskd"), sharpness=2.0, threshold=0.0)
PLAIN = dataclasses.replace(VISIT, sharpness=1.0)
WINDOWS = [7, 3, 11, 5, 20, 21]


@pytest.fixture
def prepared():
    torch.manual_seed(4)
    sizes = {"shake": (3, 24), "heat": (1, 12), "camera": (1, 4, 8, 8)}
    return {name: torch.randn(6, *size) for name, size in sizes.items()}


@pytest.fixture
def past(layered):
    return Ema(layered, decay=0.9)


def visited(past, prepared, method=PLAIN, class_shares=None, presence=None, times=1):
    presence = torch.ones(6, 3) if presence is None else presence
    chunks = [([100 * chunk + number for number in WINDOWS], prepared, presence) for chunk in range(times)]
    return visit_labels(past, chunks, TRANSFORMS, method=method, step=3, class_shares=class_shares)


def test_classifier_and_every_view_of_the_deepest_auxiliary_have_a_voice_each(past, prepared):
    shares = visited(past, prepared).shares
    presence = torch.ones(6, 3)
    with torch.no_grad():
        alone = [past.network(transform_all(prepared, TRANSFORMS, [j]), presence) for j in range(4)]
    for window in range(6):
        voices = [alone[0].trunk.logits[window].log_softmax(dim=0)]
        for j in range(4):
            joint = alone[j].fused[-1][window]
            voices.append(torch.stack([joint[name * 4 + j] for name in range(3)]).log_softmax(dim=0))
        expected = torch.stack(voices).mean(dim=0).softmax(dim=0)
        assert torch.allclose(shares[window], expected, atol=1e-5)


def test_sharpness_is_a_power(past, prepared):
    plain, sharp = visited(past, prepared).shares, visited(past, prepared, VISIT).shares
    squared = plain.square()
    assert torch.allclose(sharp, squared / squared.sum(dim=1, keepdim=True), atol=1e-5)


def test_labels_show_the_class_shares(past, prepared):
    shares = torch.tensor([0.5, 0.3, 0.2])
    labels = visited(past, prepared, class_shares=shares, times=5)
    assert torch.allclose(labels.shares.mean(dim=0), shares, atol=1e-2)


def test_lessons_are_found_by_the_number_of_the_window(past, prepared):
    labels = visited(past, prepared)
    lesson = labels.of(torch.tensor([20, 7, 7]))
    assert torch.equal(lesson.final.shares, labels.shares[[4, 0, 0]])
    assert lesson.of("fused/0") is lesson.final
    assert lesson.accepted == 1.0


def test_hard_labels_are_taught_where_they_are_likely_enough(past, prepared):
    hard = dataclasses.replace(PLAIN, pseudo="hard", threshold=0.4)
    labels, likely = visited(past, prepared, hard), visited(past, prepared).shares
    assert torch.equal(labels.shares.argmax(dim=1), likely.argmax(dim=1))
    assert set(labels.shares.flatten().tolist()) == {0.0, 1.0}
    assert torch.equal(labels.weight, (likely.max(dim=1).values >= 0.4).float())


def test_a_missing_sensor_is_no_hindrance(past, prepared):
    presence = torch.ones(6, 3)
    presence[:4, 0] = 0
    presence[4:, 2] = 0
    shares = visited(past, prepared, presence=presence).shares
    assert bool(torch.isfinite(shares).all())
    changed = {**prepared, "shake": prepared["shake"].clone()}
    changed["shake"][:4] = 9.0
    assert torch.allclose(visited(past, changed, presence=presence).shares, shares)


def test_nothing_learns_in_a_visit(past, prepared):
    visited(past, prepared)
    assert all(parameter.grad is None for parameter in past.network.parameters())
    assert not visited(past, prepared).shares.requires_grad


def test_a_few_windows_need_not_show_the_class_shares(past, prepared):
    """One alone would be taught the shares, whatever it shows."""
    shares = torch.tensor([0.9, 0.05, 0.05])
    plain, few = (visited(past, prepared, class_shares=told) for told in (None, shares))
    assert torch.equal(plain.shares, few.shares)
