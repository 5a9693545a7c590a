"""The alarms of a run's verdicts: scores from logits, a threshold from dev groups, and what is told."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from sensorkd.alarms import AlarmRule
from sensorkd.errors import ConfigError
from sensorkd.evaluation.alarm_curve import alarm_curve, at_budget
from sensorkd.evaluation.alarm_metrics import alarm_metrics
from sensorkd.evaluation.alarm_report import AlarmReport, choose_rule, report_alarms, scored_windows
from sensorkd.evaluation.alarm_windows import ScoredWindows
from sensorkd.runs.alarm_config import AlarmConfig
from sensorkd.timeline import SECOND

CLASSES = ("ok", "worn")
CONFIG = AlarmConfig(normal=("ok",))


def graded(truth: str, tenths: str, hop: float = 600.0) -> ScoredWindows:
    """Truth: `.` ok, `w` worn, `?` unknown. Scores in tenths, a digit a window, ten minutes apart."""
    return ScoredWindows(
        np.zeros(len(truth), int),
        (np.arange(len(truth)) * hop * SECOND).astype(np.int64),
        np.array([int(digit) / 10 for digit in tenths]),
        np.array([".w".find(mark) for mark in truth]),
        CLASSES,
    )


def scored(logits: list[list[float]], **changes: Any) -> ScoredWindows:
    count = len(logits)
    told = {
        "recordings": ["a"] * count,
        "t_ref": np.arange(count) * SECOND,
        "logits": np.array(logits, np.float32),
        "presence": np.ones((count, 2), np.float32),
        "truth": np.zeros(count, np.int64),
        "classes": CLASSES,
        "clocks": ["utc"] * count,
    }
    return scored_windows(CONFIG.rule(), **{**told, **changes})


def test_scores_are_what_speaks_against_the_normal_classes() -> None:
    found = scored([[0.0, 0.0], [2.0, 0.0], [-50.0, 50.0], [800.0, -800.0]])
    expected = [0.5, 1 / (1 + math.exp(2)), 1.0, 0.0]
    np.testing.assert_allclose(found.scores, expected, atol=1e-7)


def test_a_window_without_any_sensor_could_not_be_judged() -> None:
    presence = np.array([[1, 0], [0, 0], [0, 1]], np.float32)
    found = scored([[0.0, 3.0]] * 3, presence=presence)
    assert np.isnan(found.scores).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("clocks", "told"),
    [(["utc", "utc"], "utc"), (["utc", "relative"], "relative"), (["relative"] * 2, "relative")],
)
def test_times_are_told_by_date_only_where_all_have_one(clocks: list[str], told: str) -> None:
    assert scored([[0.0, 0.0]] * 2, clocks=clocks).clock == told


def test_without_a_budget_or_dev_windows_the_rule_is_as_configured() -> None:
    dev = graded("....ww", "111199")
    assert choose_rule(CONFIG, dev) == (CONFIG.rule(), "as configured")
    budget = CONFIG.model_copy(update={"budget": 1.0})
    assert choose_rule(budget, None) == (CONFIG.rule(), "as configured")


def test_with_both_the_threshold_is_the_best_one_on_the_dev_windows() -> None:
    config = CONFIG.model_copy(update={"budget": 5.0, "threshold": 0.95})
    dev = graded("." * 100 + "wwww" + "....", "1" * 99 + "6" + "8877" + "1111")
    rule, chosen = choose_rule(config, dev)
    assert chosen == "chosen on the dev groups for 5 false alarms a day"
    # One false alarm in 17 hours would do, but 0.8 finds the fault as soon as 0.6 and 0.7.
    assert rule == AlarmRule(("ok",), 0.8)
    best = at_budget(alarm_curve(dev, config.rule()), 5.0)
    assert best is not None
    assert rule == best.rule
    assert alarm_metrics(dev, rule).recall == 1.0


def test_a_budget_that_no_threshold_keeps_leaves_the_rule_and_says_so() -> None:
    config = CONFIG.model_copy(update={"budget": 0.001})
    rule, chosen = choose_rule(config, graded(".9.9.ww".replace("9", "."), "1919188"))
    assert rule == config.rule()
    assert chosen == "as configured, since no threshold keeps the budget on the dev groups"


def test_dev_windows_without_a_fault_choose_nothing() -> None:
    config = CONFIG.model_copy(update={"budget": 5.0})
    rule, chosen = choose_rule(config, graded("......", "112911"))
    assert rule == config.rule()
    assert chosen == "as configured, since the dev groups hold no fault to choose by"


def report(windows: ScoredWindows, **changes: Any) -> AlarmReport:
    config = CONFIG.model_copy(update=changes)
    return report_alarms(windows, config, config.rule(), "as configured")


def test_a_report_is_that_of_the_rule_and_of_all_others() -> None:
    windows = graded("....ww....ww??", "16111411117911")
    found = report(windows, budget=200.0, early=60.0)
    assert found.metrics == alarm_metrics(windows, CONFIG.rule(), early=60.0)
    assert found.curve == alarm_curve(windows, CONFIG.rule(), early=60.0)
    assert found.best == at_budget(found.curve, 200.0)
    assert report(windows).best is None
    assert report(windows).metrics.early == 1800.0


def test_what_is_told_names_the_rule_its_origin_and_hindsight() -> None:
    lines = report(graded("....ww....ww", "111114111179"), budget=2.0).lines()
    assert lines[0] == (
        "alarm: anything but ok; threshold 0.5 (as configured), 1 of 1 windows raise it, 1 clear it"
    )
    assert lines[-1] == (
        "within 2 false alarms a day, in hindsight: threshold 0.4, precision 1.00, recall 1.00"
    )
    assert not [line for line in report(graded("..ww", "1199")).lines() if "hindsight" in line]
    lines = report(graded("....ww", "919111"), budget=0.5).lines()
    assert lines[-1] == "no threshold finds a fault within 0.5 false alarms a day"


@pytest.mark.parametrize(
    ("truth", "tenths"), [("....", "1119"), ("wwww", "1999"), ("????", "1919"), ("..ww", "1111"), (".", "1")]
)
def test_a_report_bears_having_nothing_to_tell(truth: str, tenths: str) -> None:
    found = report(graded(truth, tenths), budget=1.0)
    assert all(isinstance(line, str) for line in found.lines())
    json.dumps(found.to_json(), allow_nan=False)


def test_a_report_as_plain_values() -> None:
    tree = report(graded("....ww", "161199"), budget=500.0).to_json()
    assert tree["chosen"] == "as configured"
    assert tree["budget"] == 500.0
    assert tree["best_within_budget"]["rule"]["threshold"] == 0.9
    assert [point["rule"]["threshold"] for point in tree["curve"]] == [0.1, 0.5, 0.6, 0.9]
    assert tree["episodes"][0]["faults"] == ["worn"]
    assert report(graded("..ww", "1199")).to_json()["best_within_budget"] is None


def test_classes_that_the_rule_does_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"normal class 'ok' is none of the classes(.|\n)*correct `normal`"):
        scored([[0.0, 0.0]], classes=("fine", "worn"))
    with pytest.raises(ConfigError, match="no class is left to raise an alarm"):
        scored([[0.0]], classes=("ok",))
