"""The alarms that a run's verdicts would have raised, by the rule of its configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd.alarms import AlarmRule, window_scores
from sensorkd.evaluation.alarm_curve import AlarmCurve, alarm_curve, at_budget
from sensorkd.evaluation.alarm_metrics import AlarmMetrics, alarm_metrics
from sensorkd.evaluation.alarm_windows import ScoredWindows
from sensorkd.runs.alarm_config import AlarmConfig

__all__ = ["AlarmReport", "choose_rule", "report_alarms", "scored_windows"]


@dataclass(frozen=True)
class AlarmReport:
    """metrics: of the rule that is used. chosen: how its threshold came about. curve: over all thresholds of
    the judged windows. best: the point within the budget, in hindsight: what a better threshold could have
    given, never what was achieved. windows: what it was all judged by.
    """

    metrics: AlarmMetrics
    chosen: str
    curve: AlarmCurve
    budget: float | None
    best: AlarmMetrics | None
    windows: ScoredWindows = field(repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            **self.metrics.to_json(),
            "chosen": self.chosen,
            "budget": self.budget,
            "best_within_budget": None if self.best is None else self.best.summary(),
            "curve": self.curve.to_json()["points"],
        }

    def lines(self) -> list[str]:
        """For people."""
        rule = self.metrics.rule
        text = [
            f"alarm: anything but {', '.join(rule.normal)}; threshold {rule.threshold:.3g} ({self.chosen}), "
            f"{rule.raise_count} of {rule.raise_within} windows raise it, {rule.clear_count} clear it",
            *self.metrics.lines(),
        ]
        if self.budget is None:
            return text
        if self.best is None:
            return [*text, f"no threshold finds a fault within {self.budget:g} false alarms a day"]
        precision, recall = self.best.precision, self.best.recall
        return [
            *text,
            f"within {self.budget:g} false alarms a day, in hindsight: threshold "
            f"{self.best.rule.threshold:.3g}, precision {precision:.2f}, recall {recall:.2f}",
        ]


def scored_windows(
    rule: AlarmRule,
    *,
    recordings: Sequence[str],
    t_ref: NDArray[np.int64],
    logits: NDArray[np.floating[Any]],
    presence: NDArray[np.float32],
    truth: NDArray[np.int64],
    classes: tuple[str, ...],
    clocks: Sequence[str],
) -> ScoredWindows:
    """Logits (W, N) as alarm scores; a window without any sensor (presence (W, K)) could not be judged."""
    scores = window_scores(rule, logits, presence, classes)
    clock = "utc" if set(clocks) == {"utc"} else "relative"
    return ScoredWindows(np.array(recordings, np.str_), t_ref, scores, truth, classes, clock)  # type: ignore[arg-type]


def choose_rule(config: AlarmConfig, dev: ScoredWindows | None) -> tuple[AlarmRule, str]:
    """The rule to judge by, and how its threshold came about.

    With a budget and dev windows it is the one that finds most there within the budget; otherwise the
    configuration's. Training windows are no help: their scores are too good.
    """
    rule = config.rule()
    if config.budget is None or dev is None:
        return rule, "as configured"
    curve = alarm_curve(dev, rule, early=config.early)
    if not curve.points[0].episodes:
        return rule, "as configured, since the dev groups hold no fault to choose by"
    point = at_budget(curve, config.budget)
    if point is None:
        return rule, "as configured, since no threshold keeps the budget on the dev groups"
    return point.rule, f"chosen on the dev groups for {config.budget:g} false alarms a day"


def report_alarms(windows: ScoredWindows, config: AlarmConfig, rule: AlarmRule, chosen: str) -> AlarmReport:
    """Judge a rule, and draw its curve."""
    curve = alarm_curve(windows, rule, early=config.early)
    best = None if config.budget is None else at_budget(curve, config.budget)
    metrics = alarm_metrics(windows, rule, early=config.early)
    return AlarmReport(metrics, chosen, curve, config.budget, best, windows)
