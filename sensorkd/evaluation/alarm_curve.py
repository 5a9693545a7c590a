"""What a rule's alarms would be at other thresholds, and the one that fits a budget of false alarms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sensorkd.alarms import AlarmRule
from sensorkd.evaluation.alarm_metrics import AlarmMetrics, judge
from sensorkd.evaluation.alarm_windows import Course, ScoredWindows, in_order
from sensorkd.evaluation.tables import text_table

__all__ = ["AlarmCurve", "alarm_curve", "at_budget"]

MAX_POINTS = 200


@dataclass(frozen=True)
class AlarmCurve:
    """points: one rule each, thresholds rising."""

    points: tuple[AlarmMetrics, ...]

    def to_json(self) -> dict[str, Any]:
        """The figures of every point, as plain values."""
        return {"points": [point.summary() for point in self.points]}

    def lines(self) -> list[str]:
        """For people: a table of at most twenty of the points."""
        rows = np.unique(np.linspace(0, len(self.points) - 1, 20).round().astype(int))
        header = ["threshold", "false/day", "95 % below", "in alarm", "precision", "recall", "delay s"]
        names = (
            "false_per_day",
            "false_per_day_upper",
            "normal_share",
            "precision",
            "recall",
            "median_delay",
        )
        summaries = [self.points[row].summary() for row in rows]
        table = [[tree["rule"]["threshold"], *(tree[name] for name in names)] for tree in summaries]
        cells = [["-" if value is None else f"{value:.3g}" for value in row] for row in table]
        return text_table(header, cells).splitlines()


def alarm_curve(windows: ScoredWindows, rule: AlarmRule, *, early: float | None = None) -> AlarmCurve:
    """The same over all thresholds that make a difference, at most about `MAX_POINTS`; else as `rule`."""
    course = in_order(windows, rule)
    points = [judge(course, rule.at(threshold), early) for threshold in _thresholds(course, rule)]
    return AlarmCurve(tuple(points))


def at_budget(curve: AlarmCurve, per_day: float, *, normal_share: float = 0.5) -> AlarmMetrics | None:
    """The point that finds most within a budget of false alarms a day; its `rule` is to be judged elsewhere.

    Ties go to the shorter median delay, then to the higher threshold. No point is one that finds nothing,
    whose rate is unknown, or that spends more than `normal_share` of normal time in alarm, since an alarm
    that never ends is within every budget. None if no point is left.
    """
    ranked = [
        (point.recall, -(point.delay(50) or 0.0), point.rule.threshold, point)
        for point in curve.points
        if point.recall
        and (point.false_per_day is not None and point.false_per_day <= per_day)
        and (point.normal_share is not None and point.normal_share <= normal_share)
    ]
    return max(ranked, key=lambda entry: entry[:3])[3] if ranked else None


def _thresholds(course: Course, rule: AlarmRule) -> list[float]:
    """The rule's own and every score; of too many, a choice from normal time and one from the rest."""
    scored = course.scores > 0
    parts = [np.unique(course.scores[scored])]
    if len(parts[0]) > MAX_POINTS:
        calm = np.unique(course.scores[scored & course.normal])[::-1]
        rest = np.unique(course.scores[scored & ~course.normal])
        # False alarms come from the upper tail of normal time: the higher, the finer.
        ranks = np.geomspace(1, max(len(calm), 1), MAX_POINTS // 2).round().astype(int) - 1
        even = np.linspace(0, max(len(rest) - 1, 0), MAX_POINTS // 2).round().astype(int)
        parts = [values[rows] for values, rows in ((calm, ranks), (rest, even)) if len(values)]
    return [float(value) for value in np.unique(np.concatenate([*parts, [rule.threshold]]))]
