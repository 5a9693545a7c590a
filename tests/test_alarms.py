"""When an alarm is raised, how long it stays, and that the device and the judge agree on it."""

from __future__ import annotations

import doctest
import json
import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sensorkd import alarms
from sensorkd.alarms import AlarmRule, AlarmState, alarm_active
from sensorkd.errors import ConfigError

NAN = math.nan
# Few values, so that thresholds are met exactly and rows occur.
SCORES = st.lists(st.sampled_from([0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0, NAN]), max_size=60)
LEVELS = st.sampled_from([0.2, 0.4, 0.5, 0.6, 0.8, 1.0])


@st.composite
def rules(draw: st.DrawFn) -> AlarmRule:
    threshold, clear = draw(LEVELS), draw(st.none() | LEVELS)
    within = draw(st.integers(1, 6))
    return AlarmRule(
        normal=("ok",),
        threshold=threshold,
        raise_count=draw(st.integers(1, within)),
        raise_within=within,
        clear_count=draw(st.integers(1, 4)),
        clear_threshold=None if clear is None else min(clear, threshold),
    )


def rule(threshold: float = 0.5, **changes: Any) -> AlarmRule:
    return AlarmRule(("ok",), threshold, **changes)


def pushed(scores: list[float], by: AlarmRule) -> list[bool]:
    state = AlarmState(by)
    return [state.push(score) for score in scores]


def both(scores: list[float], by: AlarmRule) -> str:
    """`#` where the alarm is active, by the state and by the batch alike."""
    active = alarm_active(np.array(scores), by).tolist()
    assert active == pushed(scores, by)
    return "".join("#" if on else "." for on in active)


def by_the_book(scores: list[float], by: AlarmRule) -> list[bool]:
    """The rule's own words, with every window since the last change remembered."""
    active, seen, verdicts = False, [], []
    below = by.threshold if by.clear_threshold is None else by.clear_threshold
    for score in scores:
        if not math.isnan(score):
            seen.append(score)
            if active:
                change = len(seen) >= by.clear_count and all(s < below for s in seen[-by.clear_count :])
            else:
                change = sum(s >= by.threshold for s in seen[-by.raise_within :]) >= by.raise_count
            if change:
                active, seen = not active, []
        verdicts.append(active)
    return verdicts


@given(SCORES, rules())
@example([0.9, NAN, 0.9], rule(raise_count=2, raise_within=2))
def test_state_batch_and_the_rules_own_words_agree(scores: list[float], by: AlarmRule) -> None:
    assert pushed(scores, by) == by_the_book(scores, by)
    assert alarm_active(np.array(scores), by).tolist() == by_the_book(scores, by)


@given(st.lists(SCORES, min_size=1, max_size=5), rules())
def test_every_recording_starts_anew(recordings: list[list[float]], by: AlarmRule) -> None:
    starts = np.cumsum([0, *(len(scores) for scores in recordings[:-1])])
    active = alarm_active(np.concatenate(recordings), by, starts=starts)
    assert active.tolist() == [on for scores in recordings for on in pushed(scores, by)]


def test_a_plain_rule_follows_its_threshold() -> None:
    assert both([0.4, 0.5, 0.6, 0.4, 0.5], rule()) == ".##.#"


def test_debounce_waits_for_enough_of_the_last_windows() -> None:
    by = rule(raise_count=2, raise_within=3)
    assert both([0.9, 0.0, 0.0, 0.9, 0.0, 0.9, 0.0], by) == ".....#."


def test_an_alarm_holds_until_enough_windows_in_a_row_are_calm() -> None:
    assert both([0.9, 0.0, 0.0, 0.9, 0.0, 0.0, 0.0, 0.0], rule(clear_count=3)) == "######.."


def test_between_the_thresholds_an_alarm_is_neither_raised_nor_cleared() -> None:
    assert both([0.6, 0.8, 0.6, 0.5, 0.4, 0.6], rule(0.8, clear_threshold=0.5)) == ".###.."


def test_what_raised_one_alarm_does_not_raise_the_next() -> None:
    by = rule(raise_count=2, raise_within=4)
    assert both([0.9, 0.9, 0.0, 0.9, 0.9], by) == ".#..#"


def test_a_window_that_could_not_be_judged_neither_raises_nor_clears() -> None:
    assert both([NAN, 0.9, NAN, NAN, 0.0, NAN], rule()) == ".###.."
    assert both([0.9, NAN, NAN, 0.9], rule(raise_count=2, raise_within=2)) == "...#"
    assert both([0.9, 0.0, NAN, 0.0], rule(clear_count=2)) == "###."


def test_nothing_judged_is_no_alarm() -> None:
    assert both([], rule()) == ""
    assert both([NAN, NAN], rule()) == ".."


def test_single_precision_is_compared_as_double_by_both() -> None:
    scores = np.array([0.7, 0.1], np.float32)  # 0.7 rounds down
    assert alarm_active(scores, rule(0.7)).tolist() == [False, False]
    assert not AlarmState(rule(0.7)).push(scores[0])


def test_a_score_is_what_the_normal_classes_leave() -> None:
    by = AlarmRule(("idle", "run"), 0.5)
    probabilities = np.array([[0.25, 0.5, 0.25], [0.0, 1.0, 0.0], [0.5, 0.0, 0.5]], np.float32)
    assert by.scores(probabilities, ["idle", "worn", "run"]).tolist() == [0.5, 1.0, 0.0]


def test_rounding_never_makes_a_score_negative() -> None:
    probabilities = np.array([[np.nextafter(np.float32(1), np.float32(2)), 0]], np.float32)
    assert rule().scores(probabilities, ["ok", "worn"]).tolist() == [0.0]


@pytest.mark.parametrize("column", [0, 1, 2])
def test_a_window_with_a_nan_among_its_probabilities_has_no_score(column: int) -> None:
    probabilities = np.full((2, 3), 1 / 3)
    probabilities[0, column] = NAN
    scores = rule().scores(probabilities, ["ok", "worn", "hot"])
    assert np.isnan(scores).tolist() == [True, False]


@given(st.integers(0, 10**6))
def test_a_window_scores_the_same_alone_and_among_others(seed: int) -> None:
    by, classes = AlarmRule(tuple("abcdefghij"), 0.5), list("abcdefghijk")
    probabilities = np.random.default_rng(seed).dirichlet(np.ones(11), 20).astype(np.float32)
    together = by.scores(probabilities, classes)
    assert together.tolist() == [by.scores(row[None], classes)[0] for row in probabilities]


def test_an_unknown_normal_class_is_told_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"'healty' is none of the classes(?s:.*)did you mean 'healthy'"):
        AlarmRule(("healty",), 0.5).scores(np.zeros((1, 2)), ["healthy", "worn"])


def test_some_class_must_be_left_to_raise_an_alarm() -> None:
    with pytest.raises(ConfigError, match="no class is left"):
        AlarmRule(("healthy", "worn"), 0.5).is_normal(["healthy", "worn"])


def test_probabilities_must_have_a_column_a_class() -> None:
    with pytest.raises(ValueError, match=r"shape \(1, 3\), expected \(W, 2\)"):
        rule().scores(np.zeros((1, 3)), ["ok", "worn"])


@given(rules())
def test_a_rule_survives_json(by: AlarmRule) -> None:
    assert AlarmRule.from_json(json.loads(json.dumps(by.to_json()))) == by


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"normal": []}, "normal .* must be one class or more"),
        ({"normal": ["ok", "ok"]}, "each named once"),
        ({"normal": [""]}, "one class or more"),
        ({"normal": "ok"}, r"must be a list of classes, expected \['ok'\]"),
        ({"threshold": 0.0}, r"threshold 0.0 must lie in \(0, 1\]"),
        ({"threshold": 1.01}, "threshold 1.01"),
        ({"threshold": NAN}, "threshold nan"),
        ({"threshold": True}, "threshold True"),
        ({"threshold": "0.5"}, "threshold 0.5 must lie"),
        ({"raise_count": 0}, "raise_count 0 must lie between 1 and raise_within 1"),
        ({"raise_count": 3, "raise_within": 2}, "raise_count 3 must lie between 1 and raise_within 2"),
        ({"raise_within": 2.0}, "must be whole numbers"),
        ({"clear_count": True}, "must be whole numbers"),
        ({"clear_count": 0}, "clear_count 0 must be at least 1"),
        ({"clear_threshold": 0.0}, r"clear_threshold 0.0 must lie in \(0, threshold 0.5\]"),
        ({"clear_threshold": 0.6}, r"clear_threshold 0.6 must lie in \(0, threshold 0.5\]"),
    ],
)
def test_a_field_out_of_range_is_told_with_what_was_found(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        AlarmRule.from_json({"normal": ["ok"], "threshold": 0.5, **changes})


def test_missing_and_unknown_fields_are_errors() -> None:
    with pytest.raises(KeyError, match="normal"):
        AlarmRule.from_json({"threshold": 0.5})
    with pytest.raises(TypeError, match="hold"):
        AlarmRule.from_json({"normal": ["ok"], "threshold": 0.5, "hold": 3})


def test_another_threshold_keeps_the_rest_of_the_rule() -> None:
    by = rule(0.8, clear_threshold=0.5, raise_within=3)
    assert by.at(0.6) == rule(0.6, clear_threshold=0.5, raise_within=3)
    assert by.at(0.3) == rule(0.3, clear_threshold=0.3, raise_within=3)
    assert rule(0.8).at(0.3).clears_below == 0.3


def test_the_examples_in_docstrings_are_true() -> None:
    result = doctest.testmod(alarms)
    assert (result.attempted > 0, result.failed) == (True, 0)


def test_a_device_needs_numpy_only() -> None:
    heavy = {"torch", "h5py", "pandas", "scipy", "sklearn"}
    code = f"import sys, sensorkd.alarms; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
