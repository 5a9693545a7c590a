"""Labels of windows: from tracks in the archive, or from a table that somebody kept beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sensorkd import timeline
from sensorkd.encoding import InputEncoding
from sensorkd.errors import ConfigError, WindowError, nearest
from sensorkd.recordings import LabelTrack, Recording
from sensorkd.windows.plan import WindowPlan

__all__ = ["UNLABELLED", "LabelRule", "encode_labels", "label_windows", "with_label_table"]

LabelRule = Literal["reference", "majority"]
UNLABELLED = -1


def with_label_table(recordings: Sequence[Recording], path: str | Path) -> tuple[list[Recording], list[str]]:
    """Recordings with label tracks from a CSV or Parquet table, and the rows that fit no recording.

    Columns: `class`, `target` (optional: default "label"), `t0` and `t1` (optional: default the whole
    recording; seconds on a relative clock, UTC time stamps otherwise), and `recording` or any
    names of identity (machine, subject ...), all of which must agree.

    Raises:
        ConfigError: the table lacks a column, or names one that is unknown.
    """
    table = _read_table(Path(path))
    identity = {name for recording in recordings for name in recording.identity}
    keys = [name for name in table.columns if name == "recording" or name in identity]
    unknown = set(table.columns) - set(keys) - {"class", "target", "t0", "t1"}
    if "class" not in table.columns or not keys or unknown:
        raise ConfigError(
            "the label table does not have the columns it needs",
            file=path,
            found=list(table.columns),
            expected=f"class, some of {['recording', *sorted(identity)]}, and if wanted target, t0, t1",
            mend="rename the columns" + (f"; unknown: {sorted(unknown)}" if unknown else ""),
        )
    rows: dict[tuple[int, str], list[tuple[int, int, str]]] = {}
    unmatched: list[str] = []
    for number, row in enumerate(table.to_dict("records"), start=2):
        matches = [index for index, recording in enumerate(recordings) if _matches(recording, row, keys)]
        intervals = [_interval(recordings[index], row, path, number) for index in matches]
        used = False
        for index, (t0, t1) in zip(matches, intervals, strict=True):
            recording = recordings[index]
            if t0 < recording.end and t1 > recording.start:
                used = True
                target = str(row.get("target", "label"))
                rows.setdefault((index, target), []).append((t0, t1, str(row["class"])))
        if not used:
            unmatched.append(f"line {number}: {dict(row)}")
    return _with_tracks(recordings, rows), unmatched


def _with_tracks(
    recordings: Sequence[Recording], rows: Mapping[tuple[int, str], list[tuple[int, int, str]]]
) -> list[Recording]:
    result = list(recordings)
    for (index, target), intervals in rows.items():
        intervals.sort()
        track = LabelTrack(
            np.array([item[0] for item in intervals], dtype=np.int64),
            np.array([item[1] for item in intervals], dtype=np.int64),
            tuple(item[2] for item in intervals),
        )
        tracks = {**result[index].tracks, target: track}
        result[index] = dataclasses.replace(result[index], tracks=tracks)
    return result


def _read_table(path: Path) -> pd.DataFrame:
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path, dtype=str, keep_default_na=False, comment="#")
    except FileNotFoundError as error:
        raise ConfigError("no such label table", file=path) from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, ImportError) as error:
        raise ConfigError("the label table cannot be read", file=path, found=error) from error


def _matches(recording: Recording, row: Mapping[Any, Any], keys: Iterable[str]) -> bool:
    return all(
        str(row[key]) == (recording.id if key == "recording" else recording.identity.get(key)) for key in keys
    )


def _interval(recording: Recording, row: Mapping[Any, Any], path: object, number: int) -> tuple[int, int]:
    ends = []
    for key, default in (("t0", recording.start), ("t1", recording.end)):
        text = str(row.get(key, ""))
        if text in ("", "nan", "NaT"):
            ends.append(default)
            continue
        try:
            if recording.clock == "relative":
                ends.append(round(float(text) * timeline.SECOND))
            else:
                ends.append(int(pd.to_datetime(text, utc=True).as_unit("ns").value))
        except (ValueError, TypeError) as error:
            expected = "seconds" if recording.clock == "relative" else "a UTC time stamp"
            raise ConfigError(
                f"{key} is not a time", file=path, inside=f"line {number}", found=text, expected=expected
            ) from error
    return ends[0], ends[1]


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
