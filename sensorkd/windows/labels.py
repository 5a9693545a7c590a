"""Labels of windows: from tracks in the archive, or from a table that somebody kept beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sensorkd import timeline
from sensorkd.encoding import InputEncoding
from sensorkd.errors import ConfigError, WindowError, nearest
from sensorkd.recordings import LabelTrack, Recording
from sensorkd.windows.label_table import read_label_table
from sensorkd.windows.plan import WindowPlan

__all__ = ["UNLABELLED", "LabelRule", "encode_labels", "label_windows", "with_label_table"]

LabelRule = Literal["reference", "majority"]
UNLABELLED = -1

_Interval = tuple[int, int, str, str]  # t0, t1, class, place in the table


def with_label_table(recordings: Sequence[Recording], path: str | Path) -> tuple[list[Recording], list[str]]:
    """Recordings with label tracks from a CSV or Parquet table, and the rows that fit no recording.

    Columns: `class`, `target` (optional: default "label"), `t0` and `t1` (optional: default the whole
    recording; seconds on a relative clock, UTC time stamps otherwise), and `recording` or any
    names of identity (machine, subject ...), all of which must agree.

    Raises:
        ConfigError: the table lacks a column or names one that is unknown, a time is none, a class is
            missing, or two rows contradict each other.
    """
    columns, table = read_label_table(path)
    keys = _key_columns(columns, {name for recording in recordings for name in recording.identity}, path)
    rows: dict[tuple[int, str], list[_Interval]] = {}
    unmatched: list[str] = []
    for place, row in table:
        if not row["class"]:
            raise _bad_row("the class is missing", path, place, row, "a class in every row")
        target = row.get("target") or "label"
        used = False
        for index, recording in enumerate(recordings):
            if not _matches(recording, row, keys):
                continue
            t0, t1 = _interval(recording, row, path, place)
            if t0 < recording.end and t1 > recording.start:
                used = True
                rows.setdefault((index, target), []).append((t0, t1, row["class"], place))
        if not used:
            unmatched.append(f"{place}: {row}")
    result = list(recordings)
    for (index, target), intervals in rows.items():
        track = _track(intervals, path)
        result[index] = dataclasses.replace(result[index], tracks={**result[index].tracks, target: track})
    return result, unmatched


def _key_columns(columns: Sequence[str], identity: set[str], path: object) -> list[str]:
    keys = [name for name in columns if name == "recording" or name in identity]
    unknown = sorted(set(columns) - set(keys) - {"class", "target", "t0", "t1"})
    if "class" not in columns or not keys or unknown or len(set(columns)) < len(columns):
        known = ["class", "recording", *sorted(identity), "target", "t0", "t1"]
        hints = "".join(f"; unknown {name!r}: {nearest(name, known)}".rstrip(": ") for name in unknown)
        raise ConfigError(
            "the label table does not have the columns it needs",
            file=path,
            found=list(columns),
            expected=f"class, some of {['recording', *sorted(identity)]}, and if wanted target, t0, t1",
            mend=f"rename the columns{hints}",
        )
    return keys


def _matches(recording: Recording, row: Mapping[str, str], keys: Sequence[str]) -> bool:
    return all(
        row[key] == (recording.id if key == "recording" else recording.identity.get(key)) for key in keys
    )


def _track(intervals: Sequence[_Interval], path: object) -> LabelTrack:
    track = LabelTrack(
        np.array([item[0] for item in intervals], dtype=np.int64),
        np.array([item[1] for item in intervals], dtype=np.int64),
        tuple(item[2] for item in intervals),
    )
    fault = track.fault()
    if fault is not None:
        raise ConfigError(
            fault[0],
            file=path,
            inside=" and ".join(intervals[row][3] for row in fault[1]),
            found=track.told(fault[1]),
            expected="one class at a time for each target",
            mend="correct t0 and t1, or give the rows different targets",
        )
    return track


def _interval(recording: Recording, row: Mapping[str, str], path: object, place: str) -> tuple[int, int]:
    relative = recording.clock == "relative"
    ends = []
    for key, default in (("t0", recording.start), ("t1", recording.end)):
        text = row.get(key, "")
        try:
            if not text:
                ends.append(default)
            elif relative:
                ends.append(round(float(text) * timeline.SECOND))
            else:
                ends.append(int(pd.to_datetime(text, utc=True, format="ISO8601").as_unit("ns").value))
        except (ValueError, OverflowError) as error:
            expected = "seconds" if relative else "a UTC time stamp such as 2024-03-01T06:00:00Z"
            raise _bad_row(f"{key} is not a time", path, place, row, expected) from error
    if row.get("t0") and row.get("t1") and ends[1] <= ends[0]:
        raise _bad_row("an interval ends before it begins", path, place, row, "t1 after t0")
    return ends[0], ends[1]


def _bad_row(problem: str, path: object, place: str, row: object, expected: str) -> ConfigError:
    return ConfigError(
        problem, file=path, inside=place, found=row, expected=expected, mend="correct or remove the row"
    )


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
