"""Training a run: what it remembers, and what it refuses before the first step."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sensorkd.errors import ConfigError, RunError
from sensorkd.locks import only_process
from sensorkd.runs import Run, RunConfig, train_run
from sensorkd.runs.data import plan_run, read_usable
from sensorkd.runs.train import _recipe, _trained_prior
from sensorkd.training.log import TrainingLog
from tests.press_run import CALM, press_config, write_press


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


SHORT: dict[str, Any] = {"steps": 6, "epoch_steps": 2, "batch_size": 8}


def cut_off(config: RunConfig, at: int) -> None:
    """Train up to a step."""

    def stop(step: int, *_: object) -> None:
        if step == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_run(config, on_step=stop)


def test_a_run_that_another_process_is_at_is_left_alone(press: Path, tmp_path: Path) -> None:
    config = press_config(press, tmp_path / "run", training=SHORT)
    cut_off(config, at=5)
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    with (
        only_process(tmp_path / "run", "run"),
        pytest.raises(RunError, match="another process is at this run"),
    ):
        train_run(config, resume=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


@pytest.mark.parametrize("weights", ["averaged", "last", "best"])
def test_a_run_that_was_cut_off_does_not_pass_for_a_finished_one(
    press: Path, tmp_path: Path, weights: str
) -> None:
    split: Any = {"by": "machine", "dev": ["p3"], "test": ["p4"]}
    config = press_config(press, tmp_path / "run", split=split, training={**SHORT, "weights": weights})
    cut_off(config, at=5)
    run = Run.load(tmp_path / "run")
    assert not run.finished
    with pytest.raises(RunError, match="was not finished"):
        run.student()
    assert train_run(config, resume=True).finished
    assert run.student().classes == 3


def test_a_damaged_state_costs_an_epoch_and_says_so(press: Path, tmp_path: Path) -> None:
    config = press_config(press, tmp_path / "run", training=SHORT)
    whole = train_run(press_config(press, tmp_path / "whole", training=SHORT)).student()
    cut_off(config, at=5)
    state = tmp_path / "run" / "last.safetensors"
    content = state.read_bytes()
    state.unlink()
    state.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    notes: list[str] = []
    resumed = train_run(config, resume=True, on_note=notes.append).student()
    assert [note for note in notes if str(state) in note and "damaged" in note]
    values = resumed.state_dict()
    assert all(torch.equal(value, values[name]) for name, value in whole.state_dict().items())
    steps = [
        record["step"]
        for record in TrainingLog(tmp_path / "run" / "metrics.jsonl").records()
        if "step" in record
    ]
    assert steps == [2, 4, 6]


def test_a_run_whose_state_is_gone_does_not_begin_anew_in_silence(press: Path, tmp_path: Path) -> None:
    config = press_config(press, tmp_path / "run", training=SHORT)
    cut_off(config, at=5)
    for name in ("last.safetensors", "before_last.safetensors"):
        (tmp_path / "run" / name).unlink()
    with pytest.raises(RunError, match="the state of this run is gone"):
        train_run(config, resume=True)


def test_damaged_weights_can_be_made_anew_from_the_state(press: Path, tmp_path: Path) -> None:
    run = train_run(press_config(press, tmp_path / "run", training=SHORT))
    path = tmp_path / "run" / "averaged.safetensors"
    whole = run.student().state_dict()
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RunError, match="cannot be read") as caught:
        run.student()
    assert "--resume" in str(caught.value.mend)
    path.unlink()
    train_run(run.config, resume=True)
    again = run.student().state_dict()
    assert all(torch.equal(value, again[name]) for name, value in whole.items())


def test_what_the_loop_would_refuse_leaves_no_run_behind(press: Path, tmp_path: Path) -> None:
    config = press_config(press, tmp_path / "run", training={**SHORT, "weights": "best"})
    with pytest.raises(ConfigError, match="dev group"):
        train_run(config)
    train_run(press_config(press, tmp_path / "run", training=SHORT))


def test_an_input_that_no_window_to_learn_from_has_is_told(tmp_path: Path) -> None:
    """Only the press that nobody labelled has it: `ce` learns nothing of it, `lsskd` does."""
    for number in range(4):
        labelled = number != 3
        until = 1 if labelled else 60
        write_press(tmp_path, f"p{number}", seed=number, heat_until=until, labelled=labelled)
    told = {}
    for method in ("ce", "lsskd"):
        notes: list[str] = []
        split: Any = {"by": "machine", "test": ["p0"]}
        config = press_config(
            tmp_path, tmp_path / method, split=split, training=SHORT, method={"name": method}
        )
        train_run(config, on_note=notes.append)
        told[method] = [note for note in notes if note.startswith("no window to learn from has heat:")]
    assert len(told["ce"]) == 1 and not told["lsskd"]
