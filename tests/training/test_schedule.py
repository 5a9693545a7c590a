"""The loop's small parts: rates, batches, views, hiding."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from sensorkd.distillation.methods import Method
from sensorkd.training.config import TrainingConfig
from sensorkd.training.optimiser import learning_rate_at, optimiser_for
from sensorkd.training.order import EpochBatches
from sensorkd.training.step import draw_views, hide


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def labelled_batches(windows, size, count, chance):
    with EpochBatches(windows, None, sizes=(size, size), count=count, generator=chance) as draws:
        return [draw.labelled for draw in draws]


def test_the_rate_rises_linearly_then_falls_along_a_half_cosine():
    config = TrainingConfig(learning_rate=1.0, warmup=0.2, steps=100)
    rates = [learning_rate_at(step, 100, config) for step in range(100)]
    assert np.allclose(np.diff(rates[:20]), 1 / 21)
    assert max(rates) == rates[20] == pytest.approx(1.0)
    assert rates[60] == pytest.approx(0.5)
    assert 0 < rates[99] < 0.001
    assert all(a > b for a, b in itertools.pairwise(rates[20:]))
    assert learning_rate_at(0, 1, config) > 0


def test_batches_pass_over_all_windows_before_any_repeats(make_windows):
    windows = make_windows(20)
    windows._columns["t_ref"] = np.arange(20)
    seen = [batch["t_ref"].tolist() for batch in labelled_batches(windows, 6, 7, generator())]
    assert [len(rows) for rows in seen] == [6] * 7
    for first in (0, 3):
        assert len({row for rows in seen[first : first + 3] for row in rows}) == 18
    assert len({row for rows in seen for row in rows}) == 20


def test_batches_of_few_windows_hold_them_all(make_windows):
    seen = [
        sorted(batch["label"].tolist()) for batch in labelled_batches(make_windows(5), 32, 3, generator())
    ]
    assert seen == [[0, 0, 1, 1, 2]] * 3


@pytest.mark.parametrize("views", [1, 2, 4])
def test_views_are_the_identity_and_others_without_repetition(views):
    method = Method("some", sad=1, views=views)
    drawn = [draw_views(method, 4, generator(seed)) for seed in range(40)]
    assert all(v[0] == 0 and len(set(v)) == len(v) == views for v in drawn)
    assert {j for v in drawn for j in v} == ({0} if views == 1 else {0, 1, 2, 3})


def test_hiding_never_takes_the_last_sensor_nor_brings_one():
    presence = (torch.rand(500, 3, generator=generator()) > 0.4).float()
    seen = hide(presence, 0.9, generator(1))
    assert (seen <= presence).all()
    assert torch.equal(seen.sum(1) > 0, presence.sum(1) > 0)
    assert torch.equal(hide(presence, 0.0, generator(1)), presence)


def test_hiding_has_its_probability():
    seen = hide(torch.ones(20_000, 3), 0.25, generator())
    # All three at once would be hidden with 0.25 ** 3; one of them is then kept.
    assert float(1 - seen.mean()) == pytest.approx(0.25 - 0.25**3 / 3, abs=0.01)


def test_only_weights_are_decayed(layered):
    optimiser = optimiser_for(layered, TrainingConfig(weight_decay=0.1))
    decayed, others = optimiser.param_groups
    assert decayed["weight_decay"] == 0.1
    assert others["weight_decay"] == 0.0
    assert {p.dim() for p in others["params"]} == {1}
    assert len(decayed["params"]) + len(others["params"]) == len(list(layered.parameters()))


def test_an_epoch_is_a_pass_but_no_less_than_a_twentieth():
    config = TrainingConfig(steps=600, batch_size=32)
    assert config.steps_per_epoch(3200) == 100
    assert config.steps_per_epoch(64) == 30
    assert config.steps_per_epoch(10**6) == 600
    assert TrainingConfig(steps=600, epoch_steps=7).steps_per_epoch(64) == 7
    assert TrainingConfig(steps=600, max_steps=10).total_steps == 10
    assert TrainingConfig(steps=5, epoch_steps=50).steps_per_epoch(64) == 5


@pytest.mark.parametrize("bad", [{"steps": 0}, {"batch_size": 1}, {"warmup": 0.0}, {"modality_dropout": 1.0}])
def test_numbers_out_of_range_and_unknown_keys_are_refused(bad):
    with pytest.raises(ValidationError):
        TrainingConfig(**bad)
    with pytest.raises(ValidationError, match="step_count"):
        TrainingConfig(step_count=3)
