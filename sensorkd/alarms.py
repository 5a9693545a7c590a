"""When the scores of windows raise an alarm and when it clears, shared by reader and device. NumPy only.

Axes: W windows of one recording in order of time, N classes.
"""

from __future__ import annotations

import dataclasses
import math
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd.errors import ConfigError, nearest

__all__ = ["AlarmRule", "AlarmState", "alarm_active", "alarms_of", "window_scores"]


@dataclass(frozen=True)
class AlarmRule:
    """From the score of each window to an alarm, with debounce and hold.

    normal: classes that need no alarm. A quiet alarm is raised by the window with which `raise_count` of the
    last `raise_within` reach `threshold`. A raised one clears with the window that ends `clear_count` in a
    row below `clear_threshold` (None: the threshold); windows before that do not count towards the next.

    A window that could not be judged, its score NaN, neither raises nor clears: as if it were not there.
    """

    normal: tuple[str, ...]
    threshold: float
    raise_count: int = 1
    raise_within: int = 1
    clear_count: int = 1
    clear_threshold: float | None = None

    def __post_init__(self) -> None:
        counts = (self.raise_count, self.raise_within, self.clear_count)
        checks = {
            f"normal {self.normal} must be one class or more, each named once": isinstance(self.normal, tuple)
            and all(isinstance(name, str) and name for name in self.normal)
            and 0 < len(self.normal) == len(set(self.normal)),
            f"threshold {self.threshold} must lie in (0, 1]": _is_number(self.threshold)
            and 0 < self.threshold <= 1,
            f"raise_count, raise_within, clear_count {counts} must be whole numbers": all(
                isinstance(count, int) and not isinstance(count, bool) for count in counts
            ),
        }
        _check(checks)
        clear = self.clears_below
        checks = {
            f"raise_count {self.raise_count} must lie between 1 and raise_within {self.raise_within}": 1
            <= self.raise_count
            <= self.raise_within,
            f"clear_count {self.clear_count} must be at least 1": self.clear_count >= 1,
            f"clear_threshold {clear} must lie in (0, threshold {self.threshold}]": _is_number(clear)
            and 0 < clear <= self.threshold,
        }
        _check(checks)

    @property
    def clears_below(self) -> float:
        """The score below which a window counts towards clearing."""
        return self.threshold if self.clear_threshold is None else self.clear_threshold

    def at(self, threshold: float) -> AlarmRule:
        """The same rule with another threshold; a clear threshold that was set stays, but never above it."""
        clear = None if self.clear_threshold is None else min(self.clear_threshold, threshold)
        return dataclasses.replace(self, threshold=threshold, clear_threshold=clear)

    def is_normal(self, classes: Sequence[str]) -> NDArray[np.bool_]:
        """Which of the classes need no alarm: (N,).

        Raises:
            ConfigError: a normal class is none of them, or all of them are normal.
        """
        for name in self.normal:
            if name not in classes:
                raise ConfigError(
                    f"the alarm rule's normal class {name!r} is none of the classes",
                    found=list(self.normal),
                    expected=f"some of {list(classes)}",
                    mend=f"{nearest(name, classes)}correct `normal`",
                )
        mask = np.array([name in self.normal for name in classes])
        if mask.all():
            raise ConfigError(
                "no class is left to raise an alarm",
                found=f"normal: {list(self.normal)}",
                expected=f"some of {list(classes)}, not all",
                mend="leave the fault classes out of `normal`",
            )
        return mask

    def scores(self, probabilities: NDArray[Any], classes: Sequence[str]) -> NDArray[np.float64]:
        """How far from normal windows are: 1 - sum of the normal classes' probabilities.

        probabilities: (W, N), one column a class. Scores: (W,), in [0, 1]; NaN where one of the window's
        probabilities is: it could not be judged.

        >>> AlarmRule(("idle", "run"), 0.5).scores(np.array([[0.5, 0.25, 0.25]]), ["idle", "run", "worn"])
        array([0.25])
        """
        columns = np.flatnonzero(self.is_normal(classes))
        table = np.asarray(probabilities, np.float64)
        if table.ndim != 2 or table.shape[1] != len(classes):
            raise ValueError(f"probabilities of shape {table.shape}, expected (W, {len(classes)})")
        # Column by column: the sum does not depend on how many windows are scored at once.
        score = np.clip(1.0 - sum(table[:, column] for column in columns), 0.0, 1.0)
        return np.where(np.isnan(table).any(axis=1), np.nan, score)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**dataclasses.asdict(self), "normal": list(self.normal)}

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> AlarmRule:
        """The inverse of `to_json`.

        Raises:
            KeyError, TypeError, ValueError: a field is missing, unknown or out of range.
        """
        normal = tree["normal"]
        if isinstance(normal, str):
            raise ValueError(f"normal {normal!r} must be a list of classes, expected [{normal!r}]")
        return cls(**{**tree, "normal": tuple(normal)})


class AlarmState:
    """The alarm of one machine, told the score of one window after the other: what a device runs.

    >>> state = AlarmState(AlarmRule(("ok",), 0.5, raise_count=2, raise_within=3))
    >>> [state.push(score) for score in (0.9, 0.1, 0.9, 0.6, 0.1)]
    [False, False, True, True, False]
    """

    def __init__(self, rule: AlarmRule) -> None:
        self.rule = rule
        self.active = False
        self._reached: deque[bool] = deque(maxlen=rule.raise_within)
        self._below = 0

    def push(self, score: float) -> bool:
        """Take the next window's score, NaN if it could not be judged; whether the alarm is active now."""
        score = float(score)  # a float32 would be compared as float32
        if math.isnan(score):
            return self.active
        if self.active:
            self._below = self._below + 1 if score < self.rule.clears_below else 0
            self.active = self._below < self.rule.clear_count
            return self.active
        self._reached.append(score >= self.rule.threshold)
        if sum(self._reached) >= self.rule.raise_count:
            self.active = True
            self._below = 0
            self._reached.clear()
        return self.active

    def to_json(self) -> dict[str, Any]:
        """Plain values: what a restart must not forget."""
        return {"active": self.active, "reached": list(self._reached), "below": self._below}

    @classmethod
    def from_json(cls, rule: AlarmRule, tree: Mapping[str, Any]) -> AlarmState:
        """The inverse of `to_json`.

        Raises:
            KeyError, TypeError, ValueError: a field is missing or is no such value.
        """
        state = cls(rule)
        state.active, state._below = bool(tree["active"]), int(tree["below"])
        state._reached.extend(bool(reached) for reached in tree["reached"])
        return state


def window_scores(
    rule: AlarmRule, logits: NDArray[Any], presence: NDArray[Any], classes: Sequence[str]
) -> NDArray[np.float64]:
    """Logits (W, N) as alarm scores (W,): NaN for a window without any sensor in its presence (W, K)."""
    exact = np.asarray(logits, np.float64)
    shares = np.exp(exact - exact.max(axis=1, keepdims=True))
    scores = rule.scores(shares / shares.sum(axis=1, keepdims=True), classes)
    scores[~np.asarray(presence).any(axis=1)] = np.nan
    return scores


def alarms_of(
    scores: NDArray[np.floating[Any]], rule: AlarmRule, *, recording: NDArray[Any], t_ref: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether the alarm is active at windows (W,) in any order: recording by recording, in order of time."""
    _, index = np.unique(np.asarray(recording), return_inverse=True)
    order = np.lexsort((t_ref, index))
    active = np.empty(len(order), np.bool_)
    active[order] = alarm_active(scores[order], rule, starts=np.flatnonzero(np.diff(index[order])) + 1)
    return active


def alarm_active(
    scores: NDArray[np.floating[Any]], rule: AlarmRule, *, starts: NDArray[np.int64] | None = None
) -> NDArray[np.bool_]:
    """Whether the alarm is active at each of the scores (W,): what `AlarmState` says, for all at once.

    Args:
        starts: rising indices at which another recording begins, where the alarm starts anew.

    >>> alarm_active(np.array([0.9, np.nan, 0.7, 0.1, 0.9]), AlarmRule(("ok",), 0.8)).tolist()
    [True, True, False, False, True]
    """
    scores = np.asarray(scores, np.float64)
    starts = np.zeros(0, np.int64) if starts is None else starts
    judged = np.flatnonzero(~np.isnan(scores))
    first, last = _raising(scores[judged] >= rule.threshold, rule)
    first, last = judged[first], judged[last]
    whole = np.searchsorted(starts, first, side="right") == np.searchsorted(starts, last, side="right")
    begins, raises = first[whole].tolist(), last[whole].tolist()
    clears = judged[_row_lengths(scores[judged] < rule.clears_below) >= rule.clear_count]
    stops = np.unique(np.concatenate([clears, starts, [len(scores)]])).tolist()
    active = np.zeros(len(scores), np.bool_)
    stop = 0
    # One step an alarm. What raises the next one lies wholly after the last one's end.
    while (row := bisect_left(begins, stop)) < len(begins):
        stop = stops[bisect_right(stops, raises[row])]
        active[raises[row] : stop] = True
    return active


def _raising(reached: NDArray[np.bool_], rule: AlarmRule) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last of every `raise_count` successive windows that reach the threshold closely enough."""
    high = np.flatnonzero(reached)
    last = high[rule.raise_count - 1 :]
    first = high[: len(last)]
    close = last - first < rule.raise_within
    return first[close], last[close]


def _row_lengths(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many True in a row end at each place."""
    place = np.arange(len(mask))
    return place - np.maximum.accumulate(np.where(mask, -1, place))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check(checks: Mapping[str, bool]) -> None:
    for problem, good in checks.items():
        if not good:
            raise ValueError(problem)
