"""Labels by rule: the share of its life that a machine has behind it, and what holds otherwise."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sensorkd.errors import WindowError, nearest
from sensorkd.recordings import LabelTrack, Recording
from sensorkd.windows.graded_track import GradedTrack, as_graded

__all__ = ["with_life_stages", "with_otherwise"]


def with_life_stages(
    recordings: Sequence[Recording],
    target: str,
    *,
    bounds: Sequence[float],
    classes: Sequence[str],
    of: str | None = None,
    per: str | None = None,
    where: Mapping[str, str] | None = None,
) -> list[Recording]:
    """Recordings with a track of life stages: a class for each share of the life between the bounds.

    A life lasts from the first sample to the end of the last one: of the stream `of`, or of any; in one
    recording, or in all that share the identity `per`. It ends with the failure, so it is told only of
    recordings whose identity agrees with `where`; others are left as they are. The stage at a share f is
    classes[number of bounds <= f].

    Raises:
        WindowError: `per` names no identity of a recording that has a life, or its recordings overlap.
    """
    lives: dict[str, list[int]] = {}
    for index, recording in enumerate(recordings):
        stream_there = recording.streams if of is None else of in recording.streams
        if stream_there and all(recording.identity.get(key) == value for key, value in (where or {}).items()):
            lives.setdefault(_life(recording, per), []).append(index)
    result = list(recordings)
    for life, members in lives.items():
        spans = sorted(_span(recordings[index], of) for index in members)
        if any(later[0] < earlier[1] for earlier, later in itertools.pairwise(spans)):
            raise WindowError(
                "recordings of one life lie over each other in time",
                found=f"{len(members)} recordings of {per} {life!r}, clock {recordings[members[0]].clock}",
                expected="one after the other",
                mend="clocks that begin anew in each recording cannot tell a life; leave `per` out",
            )
        begin, end = min(span[0] for span in spans), max(span[1] for span in spans)
        edges = [begin, *(begin + round((end - begin) * bound) for bound in bounds), end]
        track = LabelTrack(np.array(edges[:-1]), np.array(edges[1:]), tuple(classes))
        for index in members:
            result[index] = dataclasses.replace(result[index], tracks={**result[index].tracks, target: track})
    return result


def _life(recording: Recording, per: str | None) -> str:
    if per is None:
        return recording.id
    if per not in recording.identity:
        known = sorted(recording.identity)
        raise WindowError(
            f"a recording has no identity {per!r} to tell whose life it is part of",
            file=recording.path,
            inside=recording.group,
            found=known,
            mend=f"{nearest(per, known)}correct `per` in `labels.derive`",
        )
    return recording.identity[per]


def _span(recording: Recording, of: str | None) -> tuple[int, int]:
    if of is None:
        return recording.start, recording.end
    stream = recording.streams[of]
    return stream.start, stream.end


def with_otherwise(
    recordings: Sequence[Recording], target: str, label: str, *, weight: float = 1.0
) -> list[Recording]:
    """Recordings in which `label` holds wherever their track of `target` says nothing.

    For tables that list the faults only: all other time is normal. weight: in (0, 1], how far that is to be
    trusted.
    """
    result = []
    for recording in recordings:
        track = recording.tracks.get(target)
        gaps = [(recording.start, recording.end)] if track is None else _gaps(recording, track)
        t0 = np.array([gap[0] for gap in gaps], dtype=np.int64)
        t1 = np.array([gap[1] for gap in gaps], dtype=np.int64)
        full = _joined(track, LabelTrack(t0, t1, (label,) * len(gaps)), weight)
        result.append(dataclasses.replace(recording, tracks={**recording.tracks, target: full}))
    return result


def _joined(track: LabelTrack | None, gaps: LabelTrack, weight: float) -> LabelTrack:
    """A track and what holds in its gaps; an ordinary one where both are certain."""
    if weight == 1 and not isinstance(track, GradedTrack):
        return gaps if track is None else LabelTrack(*_ends(track, gaps), (*track.label, *gaps.label))
    weak = dataclasses.replace(as_graded(gaps), weight=np.full(len(gaps.t0), weight))
    if track is None:
        return weak
    known = as_graded(track)
    return GradedTrack(
        *_ends(known, weak),
        (*known.label, *weak.label),
        np.concatenate([known.weight, weak.weight]),
        (*known.shares, *weak.shares),
    )


def _ends(first: LabelTrack, second: LabelTrack) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.concatenate([first.t0, second.t0]), np.concatenate([first.t1, second.t1])


def _gaps(recording: Recording, track: LabelTrack) -> list[tuple[int, int]]:
    gaps, reached = [], recording.start
    for row in np.argsort(track.t0, kind="stable").tolist():
        begin, end = int(track.t0[row]), int(track.t1[row])
        if min(begin, recording.end) > reached:
            gaps.append((reached, min(begin, recording.end)))
        reached = max(reached, end)
    if reached < recording.end:
        gaps.append((reached, recording.end))
    return gaps
