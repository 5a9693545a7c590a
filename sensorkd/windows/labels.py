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

__all__ = ["UNLABELLED", "LabelRule", "encode_labels", "label_windows"]

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
    labels: list[str | None] = []
    for row in range(len(plan)):
        recording = recordings[plan.recording[row]]
        track = recording.tracks.get(target)
        stop = int(plan.t_ref[row])
        start = stop - longest if longest else recording.start
        labels.append(_label(track, start if rule == "majority" else stop - 1, stop))
    return labels


def _label(track: LabelTrack | None, start: int, stop: int) -> str | None:
    if track is None:
        return None
    shared = np.minimum(track.t1, stop) - np.maximum(track.t0, start)
    votes: dict[str, int] = {}
    for label, share in zip(track.label, shared, strict=True):
        if share > 0:
            votes[label] = votes.get(label, 0) + int(share)
    if not votes:
        return None
    best = max(votes, key=lambda label: (votes[label], label))
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
