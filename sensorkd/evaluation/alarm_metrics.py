"""What a plant lives with: alarms. How many are false a day, which faults are found, and how late.

Scores make alarms (`sensorkd.alarms`), truth makes fault episodes, and the two are set against each other:

- A *fault episode* is a maximal run of windows of one recording whose truth is not normal. Windows of unknown
  truth neither begin nor end one: between two faults they belong to it, at its edges they do not. Neither a
  gap in time nor a change from one fault to another ends it.
- An *alarm* is a maximal run of active windows. It is true when it meets an episode, with one exception: an
  alarm raised in normal time more than `early` before is *premature*. Whoever came when it was raised found
  nothing wrong, so it counts as false, though the episode it runs into counts as detected. An alarm that is
  raised after a fault has gone is false. One that meets windows of unknown truth only is not judged.
- A window stands for the time since the one before it in its recording, at most `MAX_HOPS` median hops, since
  a gap was not observed; the first of a recording stands for one median hop, one without a score for nothing.

An alarm that never ends is counted once: read false alarms a day beside the share of normal time in alarm.

Axes: W windows, E episodes.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from sensorkd.alarms import AlarmRule, alarm_active
from sensorkd.evaluation.alarm_windows import MAX_HOPS, Course, Episode, Int64, ScoredWindows, in_order, runs
from sensorkd.timeline import SECOND

__all__ = ["AlarmMetrics", "alarm_metrics", "judge"]

DAY = 86_400.0
CONFIDENCE = 0.95
LISTED = 10


@dataclass(frozen=True)
class AlarmMetrics:
    """How the alarms of a rule did. Rates and shares are None where there was nothing to take them from.

    early: s, the longest that a true alarm may come before a fault. unscored: windows without a score.
    observed, normal, normal_in_alarm: s of observed time, of what was normal of it, and of that in alarm.
    premature_alarms are among the false ones; unjudged_alarms are neither true nor false.
    """

    rule: AlarmRule
    early: float
    clock: str
    recordings: int
    windows: int
    unscored: int
    observed: float
    normal: float
    normal_in_alarm: float
    true_alarms: int
    false_alarms: int
    premature_alarms: int
    unjudged_alarms: int
    episodes: tuple[Episode, ...]

    @property
    def false_per_day(self) -> float | None:
        """False alarms a day of normal time observed."""
        return _ratio(self.false_alarms, self.normal / DAY)

    @property
    def false_per_day_upper(self) -> float | None:
        """Exact one-sided 95 % upper limit of that rate, were false alarms a Poisson process.

        Source: Garwood, Biometrika 28 (1936). An hour without one shows no more than "below 72 a day".
        """
        return _ratio(float(chi2.ppf(CONFIDENCE, 2 * (self.false_alarms + 1))) / 2, self.normal / DAY)

    @property
    def normal_share(self) -> float | None:
        """Share of normal time in alarm."""
        return _ratio(self.normal_in_alarm, self.normal)

    @property
    def precision(self) -> float | None:
        """True alarms among those that could be judged."""
        return _ratio(self.true_alarms, self.true_alarms + self.false_alarms)

    @property
    def recall(self) -> float | None:
        """Share of the episodes with an alarm active in one of their windows."""
        return _ratio(len(self.episodes) - len(self.missed), len(self.episodes))

    @property
    def missed(self) -> list[Episode]:
        """Episodes without an alarm."""
        return [episode for episode in self.episodes if episode.delay is None]

    def delay(self, percentile: float) -> float | None:
        """Percentile (50: the median) in s of the delays of detected episodes."""
        delays = [episode.delay for episode in self.episodes if episode.delay is not None]
        return float(np.percentile(delays, percentile)) if delays else None

    def summary(self) -> dict[str, Any]:
        """The figures without the episodes, as plain values."""
        counts = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in ("rule", "episodes")
        }
        return {
            "rule": self.rule.to_json(),
            **counts,
            "false_per_day": self.false_per_day,
            "false_per_day_upper": self.false_per_day_upper,
            "normal_share": self.normal_share,
            "precision": self.precision,
            "recall": self.recall,
            "median_delay": self.delay(50),
            "p90_delay": self.delay(90),
        }

    def to_json(self) -> dict[str, Any]:
        """The figures and every episode, as plain values."""
        return {**self.summary(), "episodes": [episode.to_json() for episode in self.episodes]}

    def lines(self) -> list[str]:
        """For people: what was found, how late, what was false, and what was missed."""
        return [*self._found_lines(), *self._alarm_lines(), *self._time_lines()]

    def _found_lines(self) -> list[str]:
        if not self.episodes:
            return ["no fault in the truth: recall and delay are unknown"]
        missed, standing = self.missed, sum(episode.standing for episode in self.episodes)
        found = len(self.episodes) - len(missed)
        text = [f"faults found: {found} of {len(self.episodes)} (recall {self.recall:.2f})"]
        if found:
            text += [f"found after {self.delay(50):.1f} s (median), 90 % within {self.delay(90):.1f} s"]
        if standing:
            text += [f"the alarm was active before the fault began: {standing} of them"]
        text += [f"missed: {self._where(episode)}" for episode in missed[:LISTED]]
        return text + ([f"missed: {len(missed) - LISTED} more"] if len(missed) > LISTED else [])

    def _alarm_lines(self) -> list[str]:
        judged = self.true_alarms + self.false_alarms
        precision = f"precision {self.precision:.2f}" if judged else "precision is unknown"
        text = [
            f"alarms: {judged}, of which {self.true_alarms} true, {self.false_alarms} false ({precision})"
        ]
        if self.premature_alarms:
            text += [
                f"false, since over {self.early:.1f} s before the fault: {self.premature_alarms} of them"
            ]
        if self.unjudged_alarms:
            text += [f"not judged, since the truth is unknown there: {self.unjudged_alarms} more"]
        return text

    def _time_lines(self) -> list[str]:
        if not self.normal:
            return ["no normal time was observed: the rate of false alarms is unknown"]
        return [
            f"{self.false_per_day:.3g} false alarms a day in {self.normal / DAY:.3g} days of normal time;"
            f" with 95 % confidence below {self.false_per_day_upper:.3g} a day",
            f"in alarm for {self.normal_share:.1%} of normal time",
        ]

    def _where(self, episode: Episode) -> str:
        begin, end = (
            f"{np.datetime64(time, 'ns').astype('M8[s]')}Z"
            if self.clock == "utc"
            else f"{time / SECOND:.3f} s"
            for time in (episode.start, episode.stop)
        )
        return f"{'+'.join(episode.faults)} in {episode.recording}, {begin} to {end}"


def alarm_metrics(windows: ScoredWindows, rule: AlarmRule, *, early: float | None = None) -> AlarmMetrics:
    """Judge a rule by windows.

    Args:
        early: s that a true alarm may come before its fault; default `MAX_HOPS` median hops, since labels are
            no finer than windows. Where faults announce themselves, the warning time that is of use.

    Raises:
        ConfigError: the rule's normal classes do not fit the windows' classes.
        WindowError: a recording has two windows at one time.
    """
    return judge(in_order(windows, rule), rule, early)


def judge(course: Course, rule: AlarmRule, early: float | None) -> AlarmMetrics:
    """`alarm_metrics` of windows that were brought in order once."""
    early = MAX_HOPS * course.hop / SECOND if early is None else early
    starts = np.flatnonzero(np.diff(course.recording, prepend=-1))
    active = alarm_active(course.scores, rule, starts=starts)
    begin, end = runs(active, course.recording).T
    # The first episode that is not over and the first normal window, from each alarm's beginning on.
    episode = _from(course.spans[:, 0], np.searchsorted(course.spans[:, 1], begin), len(active))
    calm_at = np.flatnonzero(course.normal)
    calm = _from(calm_at, np.searchsorted(calm_at, begin), len(active))
    lead = course.t.take(episode, mode="clip") - course.t.take(calm, mode="clip")
    meets = episode <= end
    premature = meets & (calm < episode) & (lead > early * SECOND)
    unjudged = ~meets & (calm > end)
    return AlarmMetrics(
        rule=rule,
        early=early,
        clock=course.clock,
        recordings=len(starts),
        windows=len(active),
        unscored=int(np.isnan(course.scores).sum()),
        observed=float(course.stands.sum() / SECOND),
        normal=float(course.stands[course.normal].sum() / SECOND),
        normal_in_alarm=float(course.stands[course.normal & active].sum() / SECOND),
        true_alarms=int((meets & ~premature).sum()),
        false_alarms=int((premature | (~meets & ~unjudged)).sum()),
        premature_alarms=int(premature.sum()),
        unjudged_alarms=int(unjudged.sum()),
        episodes=_detected(course, active),
    )


def _from(places: Int64, rows: Int64, beyond: int) -> Int64:
    """places[rows], and `beyond` where there are none left."""
    return np.asarray(np.append(places, beyond)[rows])


def _detected(course: Course, active: NDArray[np.bool_]) -> tuple[Episode, ...]:
    on = np.flatnonzero(active)
    alarms = _from(on, np.searchsorted(on, course.spans[:, 0]), len(active))
    carried = active[1:] & active[:-1] & (course.recording[1:] == course.recording[:-1])
    standing = np.r_[False, carried]
    return tuple(
        dataclasses.replace(
            episode, delay=float((course.t[alarm] - course.t[a]) / SECOND), standing=bool(standing[a])
        )
        if alarm <= b
        else episode
        for episode, (a, b), alarm in zip(course.episodes, course.spans, alarms, strict=True)
    )


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
