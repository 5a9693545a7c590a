"""Labels of windows, from the label tracks of their recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sensorkd.encoding import InputEncoding
from sensorkd.errors import WindowError, nearest
from sensorkd.recordings import LabelTrack, Recording
from sensorkd.windows.plan import WindowPlan

__all__ = ["UNLABELLED", "LabelRule", "encode_labels", "label_windows", "labels_of_spans"]

LabelRule = Literal["reference", "majority"]
UNLABELLED = -1


def label_windows(
    recordings: Sequence[Recording],
    plan: WindowPlan,
    target: str,
    *,
    encodings: Mapping[str, InputEncoding],
    rule: LabelRule = "reference",
) -> list[str | None]:
    """The class of each window, or None where nothing is known.

    rule: `reference` takes what holds at the window's last instant, `majority` what holds for most
    of its longest span.

    Raises:
        WindowError: no recording has labels for this target.
    """
    known = sorted({name for recording in recordings for name in recording.tracks})
    if target not in known:
        raise WindowError(
            f"no recording has labels for target {target!r}",
            found=f"targets {known}",
            mend=f"{nearest(target, known)}correct `target`, or give a label table (`labels: FILE`)",
        )
    longest = max((encoding.span or 0) for encoding in encodings.values())
    labels = np.full(len(plan), None, dtype=object)
    order = np.argsort(plan.recording, kind="stable")
    used, first = np.unique(plan.recording[order], return_index=True)
    for index, rows in zip(used.tolist(), np.split(order, first[1:]), strict=True):
        recording = recordings[index]
        if target not in recording.tracks:
            continue
        stops = plan.t_ref[rows]
        spans = longest or recording.end - recording.start
        starts = stops - spans if rule == "majority" else stops - 1
        labels[rows] = labels_of_spans(recording.tracks[target], starts, stops)
    return list(labels)


def labels_of_spans(
    track: LabelTrack, starts: NDArray[np.int64], stops: NDArray[np.int64]
) -> list[str | None]:
    """The class that holds for more than half of each span [start, stop), or None."""
    t0, t1, names = _disjoint(track)
    first, last = np.searchsorted(t1, starts, side="right"), np.searchsorted(t0, stops, side="left")
    labels = np.full(len(starts), None, dtype=object)
    # Most windows lie within one interval or at its edge: these at once, the others one by one.
    alone = np.flatnonzero(last - first == 1)
    item = first[alone]
    share = np.minimum(t1[item], stops[alone]) - np.maximum(t0[item], starts[alone])
    holds = 2 * share > stops[alone] - starts[alone]
    labels[alone[holds]] = np.array(names, dtype=object)[item[holds]]
    for row in np.flatnonzero(last - first > 1).tolist():
        labels[row] = _majority(
            t0[first[row] : last[row]],
            t1[first[row] : last[row]],
            names[first[row] : last[row]],
            int(starts[row]),
            int(stops[row]),
        )
    return list(labels)


def _majority(
    t0: NDArray[np.int64], t1: NDArray[np.int64], names: Sequence[str], start: int, stop: int
) -> str | None:
    """The name that holds for more than half of [start, stop), or None."""
    votes: dict[str, int] = {}
    shares = np.minimum(t1, stop) - np.maximum(t0, start)
    for name, share in zip(names, shares.tolist(), strict=True):
        votes[name] = votes.get(name, 0) + share
    best = max(votes, key=lambda name: (votes[name], name))
    return best if 2 * votes[best] > stop - start else None


def _disjoint(track: LabelTrack) -> tuple[NDArray[np.int64], NDArray[np.int64], list[str]]:
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


def encode_labels(labels: Sequence[str | None], classes: Sequence[str]) -> NDArray[np.int64]:
    """Class numbers, UNLABELLED where unknown.

    Raises:
        WindowError: a label that is none of the classes.
    """
    number = {label: index for index, label in enumerate(classes)}
    strange = sorted({label for label in labels if label is not None and label not in number})
    if strange:
        raise WindowError(
            "labels that the model does not know",
            found=strange,
            expected=list(classes),
            mend="train with data that has these classes, or leave those windows out",
        )
    return np.array([UNLABELLED if label is None else number[label] for label in labels], dtype=np.int64)
