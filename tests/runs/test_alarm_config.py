"""When verdicts raise an alarm, as a configuration says it."""

from __future__ import annotations

from typing import Any

import pytest

from sensorkd.alarms import AlarmRule
from sensorkd.runs.alarm_config import AlarmConfig


def test_a_normal_class_is_all_that_must_be_said(configured: Any) -> None:
    alarm = configured(alarm={"normal": ["ok"]}).alarm
    assert alarm.rule() == AlarmRule(("ok",), 0.5)
    assert (alarm.budget, alarm.early) == (None, None)
    assert configured().alarm is None


def test_every_number_of_the_rule_reaches_it(configured: Any) -> None:
    numbers = {"threshold": 0.7, "raise_count": 2, "raise_within": 4, "clear_count": 3}
    told = {"normal": ["idle", "run"], **numbers, "clear_threshold": 0.2, "budget": 0.5, "early": 60}
    alarm = configured(alarm=told).alarm
    assert alarm.rule() == AlarmRule(("idle", "run"), **numbers, clear_threshold=0.2)
    assert (alarm.budget, alarm.early) == (0.5, 60.0)


def test_the_rule_has_no_number_that_the_configuration_lacks() -> None:
    assert set(AlarmConfig.model_fields) - {"budget", "early"} == set(AlarmRule.__dataclass_fields__)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"normal": []}, "alarm.normal: Tuple should have at least 1 item"),
        ({"normal": "ok"}, "alarm.normal: Input should be a valid tuple"),
        ({"normal": ["ok", "ok"]}, "normal ('ok', 'ok') must be one class or more, each named once"),
        ({"normal": [""]}, "normal ('',) must be one class or more"),
        ({"threshold": 0}, "alarm.threshold: Input should be greater than 0"),
        ({"threshold": 1.1}, "alarm.threshold: Input should be less than or equal to 1"),
        ({"threshold": float("nan")}, "alarm.threshold"),
        ({"raise_count": 0}, "alarm.raise_count: Input should be greater than or equal to 1"),
        ({"raise_count": 1.5}, "alarm.raise_count: Input should be a valid integer"),
        ({"raise_count": 3, "raise_within": 2}, "raise_count 3 must lie between 1 and raise_within 2"),
        ({"raise_count": 2}, "raise_count 2 must lie between 1 and raise_within 1"),
        ({"clear_count": 0}, "alarm.clear_count: Input should be greater than or equal to 1"),
        ({"clear_threshold": 0}, "alarm.clear_threshold: Input should be greater than 0"),
        ({"clear_threshold": 0.6}, "clear_threshold 0.6 must lie in (0, threshold 0.5]"),
        ({"budget": 0}, "alarm.budget: Input should be greater than 0"),
        ({"budget": float("inf")}, "alarm.budget: Input should be a finite number"),
        ({"early": -1}, "alarm.early: Input should be greater than or equal to 0"),
        ({"budgt": 1}, "alarm.budgt: unknown key; did you mean 'budget'? known here: ['budget', "),
    ],
)
def test_what_cannot_be_is_told_with_its_place(refused: Any, changes: dict[str, Any], told: str) -> None:
    assert told in refused(alarm={"normal": ["ok"], **changes})


def test_an_alarm_without_a_normal_class_is_none(refused: Any) -> None:
    assert "alarm.normal: Field required" in refused(alarm={"threshold": 0.5})
