"""The keys of a configuration: what they mean, what they refuse, and that they survive being saved."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sensorkd.runs import RunConfig
from sensorkd.runs.config import SplitConfig
from sensorkd.runs.config_file import parse_config
from sensorkd.timeline import SECOND
from tests.runs.conftest import TREE

LIFE = {"rule": "life_fraction", "bounds": [0.5], "classes": ["new", "old"], "where": {"failed": "yes"}}
RICH: list[dict[str, Any]] = [
    {},
    {"labels": "shifts.csv"},
    {"labels": {"table": "shifts.csv", "timezone": "Europe/Berlin", "events": {"holds": 3}}},
    {"labels": {"derive": {"stage": {**LIFE, "of": "shake", "per": "m"}}, "otherwise": {"fault": "none"}}},
    {"labels": {"table": "votes.csv", "share_of": {"ok": "n_ok", "worn": "n_worn"}, "weight": 0.5,
                "more": [{"table": "shifts.csv", "weight": 0.25, "events": {"holds": 3}}]}},
    {"labels_share": 0.25, "label_rule": "share"},
    {"alarm": {"normal": ["ok"], "raise_count": 2, "raise_within": 3, "budget": 1.5, "early": 30}},
    {"deployment_prior": {"ok": 0.97, "worn": 0.03}},
    {"split": {"by": "machine", "dev": ["m1"], "folds": 4, "fold": 3}},
    {"windows": {"reference": "segment", "segment_of": "shake"}},
    {"windows": {"reference": "whole"}, "inputs": {"shake": {"steps": 64, "options": {"gain": 6.0}}}},
    {
        "inputs": {
            "shake": {"span": 1, "valid_range": [-50, 50], "full_scale": [-20, 20], "stuck_after": 0},
            "heat": {"span": 10, "required": True, "min_coverage": 0.5, "stuck_after": 900.5},
        }
    },
    {"training": {"sampling": "balanced", "max_steps": 7}, "method": {"name": "ce"}, "layout": "x.yaml"},
    {"labels_per_class": 3, "label_rule": "majority", "model": {"size": "small"}, "seed": 7},
]  # fmt: skip


@pytest.mark.parametrize("changes", RICH, ids=lambda changes: "+".join(changes) or "plain")
def test_a_configuration_survives_being_saved(configured: Any, changes: dict[str, Any]) -> None:
    config = configured(**changes)
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    again = parse_config(yaml.safe_load(text))
    assert again == config
    assert again.model_dump() == config.model_dump()


@given(
    low=st.floats(-1e6, 1e6), width=st.floats(1e-3, 1e6), stuck=st.none() | st.floats(0, 1e6),
    span=st.floats(1e-3, 1e5), shares=st.lists(st.floats(0.01, 1), min_size=2, max_size=5),
)  # fmt: skip
def test_numbers_survive_being_saved_to_the_last_bit(
    low: float, width: float, stuck: float | None, span: float, shares: list[float]
) -> None:
    limits = {"valid_range": [low, low + width], "full_scale": [low, low + width], "stuck_after": stuck}
    prior = {f"c{place}": share for place, share in enumerate(shares)}
    config = parse_config({**TREE, "inputs": {"shake": {"span": span, **limits}}, "deployment_prior": prior})
    again = parse_config(yaml.safe_load(yaml.safe_dump(config.model_dump(mode="json"))))
    assert again == config


def test_an_input_is_asked_for_as_it_was_told(configured: Any) -> None:
    told = {
        "span": 0.5,
        "valid_range": [-3, 4],
        "full_scale": [-2, 2],
        "stuck_after": 12.0,
        "options": {"a": 1},
    }
    request = configured(inputs={"shake": told}).requests["shake"]
    assert request.span == SECOND // 2
    assert (request.valid_range, request.full_scale, request.stuck_after) == ((-3, 4), (-2, 2), 12.0)
    assert (request.steps, request.required, request.min_coverage) == (None, False, 0.8)
    assert request.options == {"a": 1}
    plain = configured().requests["shake"]
    assert (plain.valid_range, plain.full_scale, plain.stuck_after) == (None, None, None)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"valid_range": [3, 1]}, "inputs.shake: Value error, valid_range: [3.0, 1.0] must rise"),
        ({"valid_range": [1, 1]}, "valid_range: [1.0, 1.0] must rise"),
        ({"full_scale": [2, -2]}, "inputs.shake: Value error, full_scale: [2.0, -2.0] must rise"),
        ({"valid_range": [1]}, "inputs.shake.valid_range.1: Field required"),
        ({"valid_range": [0, float("inf")]}, "inputs.shake.valid_range.1: Input should be a finite number"),
        ({"full_scale": 3}, "inputs.shake.full_scale: Input should be a valid tuple"),
        ({"stuck_after": -1}, "inputs.shake.stuck_after: Input should be greater than or equal to 0"),
        ({"stuck_after": float("nan")}, "inputs.shake.stuck_after"),
        ({"min_coverage": 0}, "inputs.shake.min_coverage: Input should be greater than 0"),
        ({"augment": "a little"}, "inputs.shake.augment: Input should be a valid boolean"),
        ({"span": 0}, "inputs.shake.span: Input should be greater than 0"),
        ({"steps": 0}, "inputs.shake.steps: Input should be greater than or equal to 1"),
        (
            {"stuck_aftr": 1},
            "inputs.shake.stuck_aftr: unknown key; did you mean 'stuck_after'? known here: [",
        ),
        ({"fullscale": [0, 1]}, "inputs.shake.fullscale: unknown key; did you mean 'full_scale'?"),
    ],
)
def test_what_is_wrong_with_an_input_is_told(refused: Any, changes: dict[str, Any], told: str) -> None:
    assert told in refused(inputs={"shake": {"span": 1.0, **changes}})


@pytest.mark.parametrize(
    ("windows", "told"),
    [
        ({"reference": "segment"}, "`segment_of: STREAM` goes with `reference: segment`, and only with it"),
        ({"reference": "hop", "hop": 1, "segment_of": "shake"}, "`segment_of: STREAM` goes with"),
        ({"reference": "segment", "segment_of": "shake", "hop": 1}, "`hop: SECONDS` goes with"),
        ({"reference": "hop"}, "`hop: SECONDS` goes with `reference: hop`, and only with it"),
        ({"reference": "whole", "hop": 1}, "`hop: SECONDS` goes with `reference: hop`"),
        ({"reference": "hop", "hop": 0}, "windows.hop: Input should be greater than 0"),
        ({"reference": "bursts"}, "windows.reference: Input should be 'whole', 'hop' or 'segment'"),
        ({"reference": "segment", "segmentof": "x"}, "unknown key; did you mean 'segment_of'?"),
    ],
)
def test_windows_that_cannot_be_laid_are_told(refused: Any, windows: dict[str, Any], told: str) -> None:
    assert told in refused(windows=windows)


def test_windows_at_the_end_of_bursts_have_no_hop(configured: Any) -> None:
    config = configured(windows={"reference": "segment", "segment_of": "shake"})
    assert (config.hop, config.windows.segment_of) == (None, "shake")


@pytest.mark.parametrize(
    ("split", "told"),
    [
        ({"folds": 3, "test": ["a"]}, "name `test` groups, or say `folds` and `fold`, not both"),
        ({"fold": 1}, "`fold` goes with `folds: N`"),
        ({"folds": 3, "fold": 3}, "fold 3 of 3: they are counted from 0"),
        ({"folds": 3, "fold": -1}, "split.fold: Input should be greater than or equal to 0"),
        ({"folds": 1}, "split.folds: Input should be greater than or equal to 2"),
        ({"fods": 3}, "split.fods: unknown key; did you mean 'folds'? known here: ['by', 'dev', 'fold', "),
    ],
)
def test_a_split_that_cannot_be_made_is_told(refused: Any, split: dict[str, Any], told: str) -> None:
    assert told in refused(split={"by": "machine", **split})


def test_folds_go_with_dev_groups_and_begin_at_nought() -> None:
    split = SplitConfig(by="machine", dev=("m1",), folds=3)
    assert (split.folds, split.fold, split.test) == (3, 0, ())


@pytest.mark.parametrize(
    ("prior", "told"),
    [
        ({"ok": 0}, "deployment_prior.ok: Input should be greater than 0"),
        ({"ok": 1.2}, "deployment_prior.ok: Input should be less than or equal to 1"),
        ({"ok": "most"}, "deployment_prior.ok: Input should be a valid number"),
        ([0.9, 0.1], "deployment_prior: Input should be a valid dictionary"),
    ],
)
def test_shares_of_a_plant_are_numbers_by_class(refused: Any, prior: Any, told: str) -> None:
    assert told in refused(deployment_prior=prior)


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("labls", "labels"),
        ("alarms", "alarm"),
        ("deploymentprior", "deployment_prior"),
        ("imputs", "inputs"),
    ],
)
def test_an_unknown_key_is_told_with_the_nearest_and_all_there_are(
    refused: Any, key: str, meant: str
) -> None:
    told = refused(**{key: {}})
    assert f"{key}: unknown key; did you mean {meant!r}? known here: {sorted(RunConfig.model_fields)}" in told


def test_every_mistake_is_told_at_once(refused: Any) -> None:
    told = refused(
        alarm={"normal": []}, labels={"events": {}}, split={"by": "m", "fold": 2}, deployment_prior={"a": -1}
    )
    places = [line.split(":")[0].strip() for line in told.splitlines() if line.strip()]
    assert places == ["labels.events.holds", "split", "alarm.normal", "deployment_prior.a"]


def test_nothing_can_be_changed_afterwards(configured: Any) -> None:
    config = configured(alarm={"normal": ["ok"]})
    for part, key in ((config, "seed"), (config.alarm, "budget"), (config.labels, "table")):
        with pytest.raises(ValueError, match="frozen"):
            setattr(part, key, 1)


def test_one_budget_of_labels_is_told(refused: Any) -> None:
    assert "give `labels_per_class` or `labels_share`, not both" in refused(
        labels_per_class=2, labels_share=0.5
    )


@pytest.mark.parametrize(("share", "told"), [(0, "greater than 0"), (1.5, "less than or equal to 1")])
def test_a_share_of_the_labels_lies_between_none_and_all(refused: Any, share: float, told: str) -> None:
    assert f"labels_share: Input should be {told}" in refused(labels_share=share)
