"""Label tracks that are less than certain: an interval has a weight, and shares of several classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensorkd.recordings import LabelTrack

__all__ = ["GradedTrack", "as_graded", "disjoint"]


@dataclass(frozen=True)
class GradedTrack(LabelTrack):
    """A label track of I intervals, none of which overlap, with what is known of each.

    label: the class of the largest share. weight: (I,) in (0, 1], how far the interval is to be trusted.
    shares: I mappings, class -> share; the shares of an interval sum to 1.
    """

    weight: NDArray[np.float64]
    shares: tuple[Mapping[str, float], ...]

    @property
    def soft(self) -> bool:
        """Whether an interval is of more than one class."""
        return any(len(shares) > 1 for shares in self.shares)

    @property
    def weak(self) -> bool:
        """Whether an interval is trusted less than fully."""
        return bool((self.weight < 1).any())


def as_graded(track: LabelTrack) -> GradedTrack:
    """Any track as a graded one: where it is an ordinary one, of weight 1 and one class an interval."""
    if isinstance(track, GradedTrack):
        return track
    t0, t1, names = disjoint(track)
    return GradedTrack(t0, t1, tuple(names), np.ones(len(names)), tuple({name: 1.0} for name in names))


def disjoint(track: LabelTrack) -> tuple[NDArray[np.int64], NDArray[np.int64], list[str]]:
    """The intervals in order of time; those that overlap, which agree, as one."""
    starts: list[int] = []
    stops: list[int] = []
    names: list[str] = []
    for row in np.argsort(track.t0, kind="stable").tolist():
        begin, end = int(track.t0[row]), int(track.t1[row])
        if stops and begin < stops[-1]:
            stops[-1] = max(stops[-1], end)
        else:
            starts.append(begin)
            stops.append(end)
            names.append(track.label[row])
    return np.array(starts, dtype=np.int64), np.array(stops, dtype=np.int64), names
