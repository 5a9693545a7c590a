"""Scored windows in order of time, and the fault episodes in them; `alarm_metrics` says what counts as one.

Axes: W windows, E episodes.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sensorkd.alarms import AlarmRule
from sensorkd.errors import WindowError
from sensorkd.timeline import SECOND

__all__ = ["MAX_HOPS", "Course", "Episode", "ScoredWindows", "in_order", "runs"]

MAX_HOPS = 3
Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class ScoredWindows:
    """W windows in any order, several recordings among each other.

    recording: (W,) ids or indices. t_ref: (W,) int64 ns. scores: (W,) in [0, 1], as `AlarmRule.scores` gives
    them; NaN where a window could not be judged. truth: (W,) index into `classes`, -1 unknown. clock: of the
    recordings, for people to read; relative when they differ.
    """

    recording: NDArray[Any]
    t_ref: Int64
    scores: NDArray[np.float64]
    truth: Int64
    classes: tuple[str, ...]
    clock: Literal["utc", "relative"] = "relative"

    def __post_init__(self) -> None:
        counts = [len(column) for column in (self.recording, self.t_ref, self.scores, self.truth)]
        if len(set(counts)) != 1 or not counts[0]:
            raise ValueError(f"columns of {counts} windows, expected as many each, and one at least")
        if ((self.truth < -1) | (self.truth >= len(self.classes))).any():
            raise ValueError(f"truth must lie in [-1, {len(self.classes)}), got up to {self.truth.max()}")
        if not ((self.scores >= 0) & (self.scores <= 1) | np.isnan(self.scores)).all():
            raise ValueError("scores must lie in [0, 1] or be NaN")


@dataclass(frozen=True)
class Episode:
    """A fault. start, stop: ns, t_ref of its first and last window; faults: the classes it went through.

    delay: s from its first window to the first one in alarm; None when it was missed. standing: the alarm was
    active already in the window before it.
    """

    recording: str | int
    start: int
    stop: int
    faults: tuple[str, ...]
    delay: float | None = None
    standing: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**dataclasses.asdict(self), "faults": list(self.faults)}


@dataclass(frozen=True)
class Course:
    """The windows recording by recording, each in order of time; positions are places in this order.

    recording: (W,) its number. stands: (W,) ns that a window stands for. hop: ns, the median one. spans:
    (E, 2) first and last position of each episode.
    """

    recording: Int64
    t: Int64
    scores: NDArray[np.float64]
    stands: Int64
    hop: int
    normal: NDArray[np.bool_]
    spans: Int64
    episodes: tuple[Episode, ...]
    clock: str


def in_order(windows: ScoredWindows, rule: AlarmRule) -> Course:
    """Order windows and find the episodes of what the rule does not call normal.

    Raises:
        ConfigError: the rule's normal classes do not fit the windows' classes.
        WindowError: a recording has two windows at one time.
    """
    names, index = np.unique(np.asarray(windows.recording), return_inverse=True)
    order = np.lexsort((windows.t_ref, index))
    index, t, truth = index[order], np.asarray(windows.t_ref)[order], np.asarray(windows.truth)[order]
    first = np.diff(index, prepend=-1) > 0
    step = np.diff(t, prepend=t[0])
    if (step[~first] <= 0).any():
        place = np.flatnonzero(~first & (step <= 0))[0]
        raise WindowError(
            "a recording has two windows at one time",
            found=f"{names[index[place]]} at {t[place] / SECOND:.3f} s",
            mend="name each archive once",
        )
    hop = int(np.median(step[~first])) if not first.all() else 0
    known, needs_none = np.flatnonzero(truth >= 0), rule.is_normal(windows.classes)
    spans = known[runs(~needs_none[truth[known]], index[known])]
    labels, scores = names.tolist(), np.asarray(windows.scores, np.float64)[order]
    stands = np.where(first, hop, np.minimum(step, MAX_HOPS * hop))
    episodes = []
    for a, b in spans:
        faults = tuple(windows.classes[kind] for kind in np.unique(truth[a : b + 1]) if kind >= 0)
        episodes.append(Episode(labels[index[a]], int(t[a]), int(t[b]), faults))
    return Course(
        recording=index,
        t=t,
        scores=scores,
        stands=np.where(np.isnan(scores), 0, stands),
        hop=hop,
        normal=(truth >= 0) & needs_none[truth],
        spans=spans,
        episodes=tuple(episodes),
        clock=windows.clock,
    )


def runs(mask: NDArray[np.bool_], group: Int64) -> Int64:
    """First and last place (R, 2) of the maximal runs of True within a group; equal groups lie together."""
    if not len(mask):
        return np.zeros((0, 2), np.int64)
    cuts = np.flatnonzero((mask[1:] != mask[:-1]) | (group[1:] != group[:-1])) + 1
    ends = np.stack([np.r_[0, cuts], np.r_[cuts, len(mask)] - 1], axis=1)
    return np.asarray(ends[mask[ends[:, 0]]])
