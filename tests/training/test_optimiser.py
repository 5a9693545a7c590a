"""Optimisers and rates, as a configuration names them."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from sensorkd.training.config import TrainingConfig
from sensorkd.training.optimiser import learning_rate_at, optimiser_for

STEPS = TrainingConfig(
    optimiser="sgd", schedule="steps", milestones=(0.5, 0.75), learning_rate=1.0, warmup=1e-9, steps=100
)


def test_the_rate_falls_at_each_milestone_and_starts_at_once() -> None:
    rates = [learning_rate_at(step, 100, STEPS) for step in range(100)]
    assert rates[:50] == [1.0] * 50
    assert rates[50:75] == pytest.approx([0.1] * 25)
    assert rates[75:] == pytest.approx([0.01] * 25)


def test_steps_can_be_warmed_up_too() -> None:
    config = STEPS.model_copy(update={"warmup": 0.1})
    rates = [learning_rate_at(step, 100, config) for step in range(12)]
    assert rates == pytest.approx([min(1.0, (step + 1) / 11) for step in range(12)])


def test_the_cosine_is_a_linear_rise_and_half_a_cosine() -> None:
    config = TrainingConfig(learning_rate=2.0, warmup=0.2, steps=100)
    for step in range(100):
        expected = (step + 1) / 21 if step < 20 else 0.5 * (1 + math.cos(math.pi * (step - 20) / 80))
        assert learning_rate_at(step, 100, config) == pytest.approx(2 * expected)


def test_sgd_is_nesterov_and_decays_all() -> None:
    """Two steps by hand: v = m v + g + d w, then w -= r (g + d w + m v)."""
    config = STEPS.model_copy(update={"weight_decay": 0.1, "momentum": 0.5})
    network = nn.Linear(1, 1)
    optimiser = optimiser_for(network, config)
    expected = {name: (float(value.detach()), 0.0) for name, value in network.named_parameters()}
    for _ in range(2):
        optimiser.zero_grad()
        (3 * network(torch.ones(1, 1))).sum().backward()
        optimiser.step()
        for name, (value, speed) in expected.items():
            gradient = 3.0 + 0.1 * value
            speed = 0.5 * speed + gradient
            expected[name] = (value - (gradient + 0.5 * speed), speed)
    for name, value in network.named_parameters():
        assert float(value.detach()) == pytest.approx(expected[name][0], rel=1e-5)


def test_sgd_without_nesterov_steps_by_its_speed() -> None:
    """v = m v + g, then w -= r v."""
    changes = {"weight_decay": 0.0, "momentum": 0.5, "nesterov": False}
    network = nn.Linear(1, 1, bias=False)
    optimiser = optimiser_for(network, STEPS.model_copy(update=changes))
    expected, speed = float(network.weight.detach()), 0.0
    for _ in range(3):
        optimiser.zero_grad()
        (3 * network(torch.ones(1, 1))).sum().backward()
        optimiser.step()
        speed = 0.5 * speed + 3.0
        expected -= speed
    assert float(network.weight.detach()) == pytest.approx(expected, rel=1e-5)


def test_adamw_decays_weights_only() -> None:
    groups = optimiser_for(nn.Linear(2, 2), TrainingConfig(weight_decay=0.1)).param_groups
    assert [(group["weight_decay"], len(group["params"])) for group in groups] == [(0.1, 1), (0.0, 1)]


@pytest.mark.parametrize(
    "bad",
    [
        {"schedule": "steps"},
        {"milestones": (0.5,)},
        {"schedule": "steps", "milestones": (0.7, 0.5)},
        {"schedule": "steps", "milestones": (0.5, 1.0)},
        {"momentum": 1.0},
        {"optimiser": "adam"},
        {"precision": "fp16"},
    ],
)
def test_numbers_and_names_that_do_not_fit_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TrainingConfig(**bad)  # type: ignore[arg-type]
