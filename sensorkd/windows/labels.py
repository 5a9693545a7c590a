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
    labels: list[str | None] = [None] * len(plan)
    for index in np.unique(plan.recording).tolist():
        recording = recordings[index]
        if target not in recording.tracks:
            continue
        rows = np.flatnonzero(plan.recording == index)
        stops = plan.t_ref[rows]
        spans = longest or recording.end - recording.start
        starts = stops - spans if rule == "majority" else stops - 1
        for row, label in zip(rows, labels_of_spans(recording.tracks[target], starts, stops), strict=True):
            labels[row] = label
    return labels


def labels_of_spans(
    track: LabelTrack, starts: NDArray[np.int64], stops: NDArray[np.int64]
) -> list[str | None]:
    """The class that holds for more than half of each span [start, stop), or None."""
    t0, t1, names = _disjoint(track)
    first, last = np.searchsorted(t1, starts, side="right"), np.searchsorted(t0, stops, side="left")
    labels: list[str | None] = []
    for start, stop, low, high in zip(
        starts.tolist(), stops.tolist(), first.tolist(), last.tolist(), strict=True
    ):
        votes: dict[str, int] = {}
        for item in range(low, high):
            share = min(int(t1[item]), stop) - max(int(t0[item]), start)
            votes[names[item]] = votes.get(names[item], 0) + share
        best = max(votes, key=lambda name: (votes[name], name), default=None)
        labels.append(best if best is not None and 2 * votes[best] > stop - start else None)
    return labels


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
