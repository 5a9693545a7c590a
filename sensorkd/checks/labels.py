"""Checks of what is known of a recording: its identity and its label tracks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sensorkd.checks.finding import Check, Finding, Place, when
from sensorkd.recordings import Recording

__all__ = ["CHECKS", "check_labels"]

NO_IDENTITY = Check(
    id="no-identity",
    importance="warning",
    title="nothing says which machine, line or subject this is",
    reason="Splits go by identity: without it, the same machine may stand on both sides, and the score is "
    "worth nothing.",
    cure="give the recording an attribute such as `machine`, or `identity` in the layout",
)
EMPTY_IDENTITY = Check(
    id="empty-identity",
    importance="warning",
    title="an identity is named but empty",
    reason="All recordings without a value count as one and the same machine.",
    cure="fill in the attribute, or leave it out",
)
LABEL_OUTSIDE = Check(
    id="label-outside",
    importance="warning",
    title="labels lie outside the recording",
    reason="No window gets them. Often the labels are in local time, or of another recording.",
    cure="correct the times of the intervals, or the clock of the recording",
)
CHECKS = (NO_IDENTITY, EMPTY_IDENTITY, LABEL_OUTSIDE)

EMPTY = frozenset({"", "nan", "none", "null", "n/a", "?"})


def check_labels(recording: Recording) -> Iterator[Finding]:
    """Findings in identity and label tracks."""
    place = Place.of(recording)
    if not recording.identity:
        yield NO_IDENTITY.at(place, found="no identity", expected="an attribute such as machine or subject")
    for key, value in recording.identity.items():
        if value.strip().lower() in EMPTY:
            yield EMPTY_IDENTITY.at(place, found=f"{key} = {value!r}", expected="a name")
    for target, track in recording.tracks.items():
        outside = np.flatnonzero((track.t1 <= recording.start) | (track.t0 >= recording.end))
        if len(outside) and recording.streams:
            first = int(outside[0])
            yield LABEL_OUTSIDE.at(
                place,
                found=f"{len(outside)} of {len(track.label)} intervals of {target!r}, the first "
                f"{track.label[first]!r} in {when(recording, int(track.t0[first]))} to "
                f"{when(recording, int(track.t1[first]))}",
                expected=f"{when(recording, recording.start)} to {when(recording, recording.end)}",
                size=len(outside) / len(track.label),
            )
