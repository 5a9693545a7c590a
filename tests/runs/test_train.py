"""Training a run: what it remembers, and what it refuses before the first step."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sensorkd.errors import ConfigError
from sensorkd.runs import Run, RunConfig, train_run
from sensorkd.runs.data import plan_run, read_usable
from sensorkd.runs.train import _recipe, _trained_prior
from tests.press_run import CALM, press_config


def shares(config: RunConfig) -> np.ndarray:
    """Of the classes among the labelled windows of the training groups, one by one."""
    planned = plan_run(config)
    counts = dict.fromkeys(planned.classes, 0)
    for label, group in zip(planned.labels.tolist(), planned.groups, strict=True):
        if label >= 0 and group in planned.split.train:
            counts[planned.classes[label]] += 1
    return np.array(list(counts.values())) / sum(counts.values())


def prior_of(config: RunConfig) -> tuple[float, ...]:
    """What the weights would answer for."""
    planned = plan_run(config)
    windows = planned.dataset(read_usable(planned, planned.rows("train"), config))
    return _trained_prior(windows, len(planned.classes), config)


def test_a_run_remembers_the_class_shares_it_was_trained_with(press_run: Run) -> None:
    assert press_run.trained_prior == pytest.approx(shares(press_run.config))
    assert press_run.trained_prior == pytest.approx([12 / 52, 28 / 52, 12 / 52])


@pytest.mark.parametrize(
    ("training", "power"),
    [
        ({}, 1.0),
        ({"sampling": "balanced"}, 0.0),
        ({"logit_adjustment": 1.0}, 0.0),
        ({"logit_adjustment": 0.25}, 0.75),
    ],
)
def test_what_evens_classes_out_evens_the_shares_that_are_answered_for(
    press: Path, tmp_path: Path, training: dict[str, Any], power: float
) -> None:
    config = press_config(press, tmp_path, training=training)
    expected = shares(config) ** power
    assert prior_of(config) == pytest.approx(expected / expected.sum())


def test_few_labels_are_what_the_shares_are_counted_from(press: Path, tmp_path: Path) -> None:
    config = press_config(press, tmp_path, labels_per_class=4)
    assert prior_of(config) == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"deployment_prior": {"ok": 0.9, "worn": 0.1}},
            "class shares are not of these classes(.|\n)*deployment_prior",
        ),
        (
            {"unlabelled_shares": {"ok": 0.9, "worn": 0.1}},
            "class shares are not of these classes(.|\n)*unlabelled_shares",
        ),
        ({"unlabelled_shares": {**CALM, "ok": 0.5}}, "unlabelled_shares is no list(.|\n)*which sum to 0.8"),
        ({"deployment_prior": {**CALM, "ok": 0.5}}, "which sum to 0.8"),
        ({"alarm": {"normal": ["fine"]}}, "the alarm rule's normal class 'fine' is none of the classes"),
        ({"alarm": {"normal": ["ok", "worn", "hot"]}}, "no class is left to raise an alarm"),
    ],
)
def test_names_and_shares_that_do_not_fit_are_told_before_training_begins(
    press: Path, tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    steps: list[int] = []
    config = press_config(press, tmp_path / "run", **changes)
    with pytest.raises(ConfigError, match=told):
        train_run(config, on_step=lambda step, *_: steps.append(step))
    assert steps == []
    assert not (tmp_path / "run").exists()


def test_a_run_with_shares_of_the_plant_is_saved_with_both(press: Path, tmp_path: Path) -> None:
    training = {"steps": 2, "batch_size": 8, "sampling": "balanced"}
    config = press_config(press, tmp_path / "run", deployment_prior=CALM, training=training)
    run = train_run(config)
    again = Run.load(tmp_path / "run")
    assert again == run
    assert again.trained_prior == pytest.approx([1 / 3] * 3)
    assert again.prior == pytest.approx((0.12, 0.7, 0.18))


def test_folds_name_the_test_groups(press: Path, tmp_path: Path) -> None:
    found = []
    for fold in range(4):
        split = {"by": "machine", "dev": ["p3"], "folds": 4, "fold": fold}
        planned = plan_run(press_config(press, tmp_path, split=split))
        assert planned.split.dev == ("p3",)
        assert set(planned.split.train) | set(planned.split.test) == {"p0", "p1", "p2", "p4"}
        found += planned.split.test
    assert sorted(found) == ["p0", "p1", "p2", "p4"]


def test_an_input_whose_level_is_the_finding_can_be_left_as_it_is(press_run: Run) -> None:
    inputs = {
        name: item.model_copy(update={"augment": name != "heat"})
        for name, item in press_run.config.inputs.items()
    }
    run = dataclasses.replace(press_run, config=press_run.config.model_copy(update={"inputs": inputs}))
    assert {name: len(some) > 0 for name, some in _recipe(press_run).augmentations.items()} == {
        "shake": True,
        "heat": True,
    }
    found = _recipe(run).augmentations
    assert found["heat"] == ()
    assert found["shake"] == _recipe(press_run).augmentations["shake"]


def test_limits_of_the_configuration_reach_the_encoding(press: Path, tmp_path: Path) -> None:
    told = {"span": 0.64, "valid_range": [-9.0, 9.0], "full_scale": [-8.0, 8.0], "stuck_after": 0}
    encoding = plan_run(press_config(press, tmp_path, inputs={"shake": told})).encodings["shake"]
    assert (encoding.valid_range, encoding.full_scale) == ((-9.0, 9.0), (-8.0, 8.0))
    assert encoding.stuck_after is None
