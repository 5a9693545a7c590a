"""Labels of windows, from the label tracks of their recordings: classes, and shares of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sensorkd.encoding import InputEncoding
from sensorkd.errors import WindowError, nearest
from sensorkd.recordings import LabelTrack, Recording
from sensorkd.windows.graded_spans import mean_of_spans, most_of_spans
from sensorkd.windows.graded_track import GradedTrack, as_graded, disjoint
from sensorkd.windows.plan import WindowPlan

__all__ = [
    "UNLABELLED",
    "LabelRule",
    "WindowLabels",
    "encode_labels",
    "encode_shares",
    "grade_windows",
    "label_windows",
    "labels_of_spans",
]

LabelRule = Literal["reference", "majority", "share"]
UNLABELLED = -1


@dataclass(frozen=True)
class WindowLabels:
    """What is known of W windows.

    names: W classes, None where unknown. classes: all that occur. shares: (W, len(classes)) float32, whose
    known rows sum to 1 and others are 0; None where every label is of one class. weights: (W,) float32 in
    (0, 1], 1 where unknown; None where every label is certain.
    """

    names: list[str | None]
    classes: tuple[str, ...]
    shares: NDArray[np.float32] | None = None
    weights: NDArray[np.float32] | None = None


def label_windows(
    recordings: Sequence[Recording],
    plan: WindowPlan,
    target: str,
    *,
    encodings: Mapping[str, InputEncoding],
    rule: LabelRule = "reference",
) -> list[str | None]:
    """The class of each window, or None where nothing is known; see `grade_windows`."""
    return grade_windows(recordings, plan, target, encodings=encodings, rule=rule).names


def grade_windows(
    recordings: Sequence[Recording],
    plan: WindowPlan,
    target: str,
    *,
    encodings: Mapping[str, InputEncoding],
    rule: LabelRule = "reference",
) -> WindowLabels:
    """The class of each window, with its shares and its weight where labels are soft or weak.

    rule: `reference` takes what holds at the window's last instant, `majority` what holds for most
    of its longest span, `share` the share of that span that each class covers; there a window is unknown
    when no more than half of it is labelled, and its class is that of the largest share (of equal ones, the
    first by name). Of soft labels, the first two take the shares of the class that they find, averaged
    over its time in the window; so is the weight.

    Raises:
        WindowError: no recording has labels for this target.
    """
    tracks = {row: item.tracks[target] for row, item in enumerate(recordings) if target in item.tracks}
    if not tracks:
        known = sorted({name for recording in recordings for name in recording.tracks})
        raise WindowError(
            f"no recording has labels for target {target!r}",
            found=f"targets {known}",
            mend=f"{nearest(target, known)}correct `target`, or give a label table (`labels: FILE`)",
        )
    longest = max((encoding.span or 0) for encoding in encodings.values())
    found = _Graded(len(plan), list(tracks.values()), rule)
    order = np.argsort(plan.recording, kind="stable")
    used, first = np.unique(plan.recording[order], return_index=True)
    for index, rows in zip(used.tolist(), np.split(order, first[1:]), strict=True):
        if index not in tracks:
            continue
        stops = plan.t_ref[rows]
        spans = longest or recordings[index].end - recordings[index].start
        starts = stops - 1 if rule == "reference" else stops - spans
        found.label(rows, tracks[index], starts, stops)
    return found.labels()


class _Graded:
    """Labels of windows as they are found, recording by recording."""

    def __init__(self, windows: int, tracks: Sequence[LabelTrack], rule: LabelRule) -> None:
        graded = [track for track in tracks if isinstance(track, GradedTrack)]
        names = {name for track in tracks for name in track.label}
        names |= {name for track in graded for shares in track.shares for name in shares}
        soft = rule == "share" or any(track.soft for track in graded)
        self._classes, self._rule = tuple(sorted(names)), rule
        self._names = np.full(windows, None, dtype=object)
        self._shares = np.zeros((windows, len(names)), np.float32) if soft else None
        self._weights = np.ones(windows, np.float32) if any(track.weak for track in graded) else None

    def label(
        self,
        rows: NDArray[np.int64],
        track: LabelTrack,
        starts: NDArray[np.int64],
        stops: NDArray[np.int64],
    ) -> None:
        """Label the windows of a recording."""
        if self._shares is None and self._weights is None:
            self._names[rows] = labels_of_spans(track, starts, stops)
            return
        of_spans = mean_of_spans if self._rule == "share" else most_of_spans
        found = of_spans(as_graded(track), starts, stops, self._classes)
        # Column -1, where nothing is known, is the last.
        self._names[rows] = np.array([*self._classes, None], dtype=object)[found.column]
        if self._shares is not None:
            self._shares[rows] = found.shares
        if self._weights is not None:
            self._weights[rows] = found.weights

    def labels(self) -> WindowLabels:
        """What was found."""
        return WindowLabels(list(self._names), self._classes, self._shares, self._weights)


def labels_of_spans(
    track: LabelTrack, starts: NDArray[np.int64], stops: NDArray[np.int64]
) -> list[str | None]:
    """The class that holds for more than half of each span [start, stop), or None."""
    t0, t1, names = disjoint(track)
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


def strange_labels(labels: Iterable[str | None], classes: Sequence[str]) -> dict[str, int]:
    """Labels that are none of the classes, and how often each occurs, the commonest first."""
    strange = Counter(label for label in labels if label is not None and label not in classes)
    return dict(strange.most_common())


def counted(labels: Mapping[str, int]) -> str:
    """Labels and how often each occurs, to be read.

    >>> counted({"worn": 12, "new": 3})
    "'worn' 12, 'new' 3"
    """
    return ", ".join(f"{label!r} {count}" for label, count in labels.items())


def encode_shares(found: WindowLabels, classes: Sequence[str]) -> NDArray[np.float32] | None:
    """Shares (W, N) of the classes, whose known rows sum to 1 and others are 0; None where labels are hard.

    What other classes have of a window is left out, and the rest made to sum to 1.
    """
    if found.shares is None:
        return None
    place = {name: column for column, name in enumerate(found.classes)}
    shares = np.zeros((len(found.shares), len(classes)), np.float32)
    for number, name in enumerate(classes):
        if name in place:
            shares[:, number] = found.shares[:, place[name]]
    total = shares.sum(axis=1, keepdims=True)
    total[total == 0] = 1.0
    shares /= total
    return shares
