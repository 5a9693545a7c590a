"""Labels that somebody kept in a table beside the archives: a spreadsheet, a shift book, a list of faults."""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sensorkd import timeline
from sensorkd.errors import ArchiveError, ConfigError, nearest
from sensorkd.recordings import LabelTrack, Recording
from sensorkd.recordings.recording import Clock
from sensorkd.recordings.stamps import stamps_in_ns
from sensorkd.windows.label_table import TIMES, read_label_table

__all__ = ["EventRule", "with_label_table"]

EXAMPLE = "e.g. 2024-03-01T06:00:00Z"
COLUMNS = ("class", "target", *TIMES)


@dataclass(frozen=True)
class EventRule:
    """What a row with an instant `t` in place of an interval says: its class holds from `delay` ns after
    it, for `holds` ns. A fault code that comes late has a negative delay."""

    delay: int
    holds: int


@dataclass(frozen=True)
class _Interval:
    t0: int
    t1: int
    label: str
    place: str
    event: bool

    def told(self) -> str:
        """For people, in seconds of the recording's clock."""
        begin, end = self.t0 / timeline.SECOND, self.t1 / timeline.SECOND
        return f"{self.place}: {self.label!r} from {begin:.3f} s to {end:.3f} s"


def with_label_table(
    recordings: Sequence[Recording],
    path: str | Path,
    *,
    timezone: str | None = None,
    events: EventRule | None = None,
) -> tuple[list[Recording], list[str]]:
    """Recordings with label tracks from a CSV or Parquet table, and the rows that fit no recording.

    Columns: `class`; `recording` or any names of identity (machine, subject ...), all of which must agree;
    if wanted `target` (default "label"), and the time: `t0` and `t1` (each by default that of the recording,
    so that a row with neither labels the whole file), or `t`, an event. Times are seconds on a relative
    clock and ISO 8601 on a UTC clock; those without an offset from UTC need `timezone`.

    Where events of one target overlap, the later one ends what the earlier one began. Otherwise, and where
    events share their instant, two rows that overlap must agree.

    Raises:
        ConfigError: the table lacks a column or names one that is unknown, a time is none, a class is
            missing, or two rows contradict each other.
    """
    columns, table = read_label_table(path)
    keys = _key_columns(columns, {name for recording in recordings for name in recording.identity}, path)
    if "t" in columns and events is None:
        raise ConfigError(
            "the label table holds events, and nothing says how long their classes hold",
            file=path,
            found="a column 't'",
            expected="`labels.events: {delay: SECONDS, holds: SECONDS}` in the configuration",
        )
    matching: dict[tuple[str | None, ...], list[int]] = {}
    for index, recording in enumerate(recordings):
        matching.setdefault(_identity(recording, keys), []).append(index)
    spans = [(recording.start, recording.end) for recording in recordings]
    rows: dict[tuple[int, str], list[_Interval]] = {}
    unmatched: list[str] = []
    for place, row in table:
        if not row["class"]:
            raise _bad_row("the class is missing", path, place, row, "a class in every row")
        target = row.get("target") or "label"
        used = False
        parsed: dict[Clock, dict[str, int]] = {}  # once a clock, not once a recording
        for index in matching.get(tuple(row[key] for key in keys), ()):
            recording, (start, end) = recordings[index], spans[index]
            if recording.clock not in parsed:
                parsed[recording.clock] = _times(recording.clock, row, path, place, timezone)
            item = _interval(recording, row, parsed[recording.clock], path, place, events)
            if item.t0 < end and item.t1 > start:
                used = True
                rows.setdefault((index, target), []).append(item)
        if not used:
            unmatched.append(f"{place}: {row}")
    result = list(recordings)
    for (index, target), intervals in rows.items():
        track = _track(_cut_by_the_next(intervals), path)
        result[index] = dataclasses.replace(result[index], tracks={**result[index].tracks, target: track})
    return result, unmatched


def _key_columns(columns: Sequence[str], identity: set[str], path: object) -> list[str]:
    keys = [name for name in columns if name == "recording" or (name in identity and name not in COLUMNS)]
    unknown = sorted(set(columns) - set(keys) - set(COLUMNS))
    if "class" not in columns or not keys or unknown or len(set(columns)) < len(columns):
        known = ["recording", *sorted(identity), *COLUMNS]
        hints = "".join(f"; unknown {name!r}: {nearest(name, known)}".rstrip(": ") for name in unknown)
        raise ConfigError(
            "the label table does not have the columns it needs",
            file=path,
            found=list(columns),
            expected=f"class, some of {['recording', *sorted(identity)]}, and if wanted target, t0, t1 or t",
            mend=f"rename the columns{hints}",
        )
    return keys


def _identity(recording: Recording, keys: Sequence[str]) -> tuple[str | None, ...]:
    return tuple(recording.id if key == "recording" else recording.identity.get(key) for key in keys)


def _cut_by_the_next(intervals: Sequence[_Interval]) -> list[_Interval]:
    """Events end where the next one begins."""
    begins = sorted(item.t0 for item in intervals if item.event)
    cut = []
    for item in sorted(intervals, key=lambda item: item.t0):
        later = bisect.bisect_right(begins, item.t0)
        if item.event and later < len(begins):
            item = dataclasses.replace(item, t1=min(item.t1, begins[later]))
        cut.append(item)
    return cut


def _track(intervals: Sequence[_Interval], path: object) -> LabelTrack:
    track = LabelTrack(
        np.array([item.t0 for item in intervals], dtype=np.int64),
        np.array([item.t1 for item in intervals], dtype=np.int64),
        tuple(item.label for item in intervals),
    )
    fault = track.fault()
    if fault is not None:
        raise ConfigError(
            fault[0],
            file=path,
            inside=" and ".join(intervals[row].place for row in fault[1]),
            found="; ".join(intervals[row].told() for row in fault[1]),
            expected="one class at a time for each target",
            mend="correct t0 and t1, or give the rows different targets",
        )
    return track


def _interval(
    recording: Recording,
    row: Mapping[str, str],
    times: Mapping[str, int],
    path: str | Path,
    place: str,
    events: EventRule | None,
) -> _Interval:
    t0, t1, instant = times.get("t0"), times.get("t1"), times.get("t")
    if instant is not None and events is not None:
        if t0 is not None or t1 is not None:
            raise _bad_row("a row has both an instant and an interval", path, place, row, "t, or t0 and t1")
        begin = instant + events.delay
        return _Interval(begin, begin + events.holds, row["class"], place, event=True)
    if t0 is not None and t1 is not None and t1 <= t0:
        raise _bad_row("an interval ends before it begins", path, place, row, "t1 after t0")
    return _Interval(
        recording.start if t0 is None else t0,
        recording.end if t1 is None else t1,
        row["class"],
        place,
        event=False,
    )


def _times(
    clock: Clock, row: Mapping[str, str], path: str | Path, place: str, timezone: str | None
) -> dict[str, int]:
    """The times that a row tells, in ns on such a clock."""
    return {key: _time(clock, row, key, path, place, timezone) for key in TIMES if row.get(key)}


def _time(
    clock: Clock, row: Mapping[str, str], key: str, path: str | Path, place: str, timezone: str | None
) -> int:
    text, relative = row[key], clock == "relative"
    try:
        if relative:
            return round(float(text) * timeline.SECOND)
        return int(
            stamps_in_ns(
                [text], unit="s", clock="utc", timezone=timezone, file=Path(path), inside=f"{place} {key}"
            )[0]
        )
    except (ValueError, OverflowError) as error:
        expected = (
            "seconds: the recording's clock is relative" if relative else f"a year we live in, {EXAMPLE}"
        )
        raise _bad_row(f"{key} is not a time", path, place, row, expected) from error
    except ArchiveError as error:
        expected = str(error.expected).replace("`timezone:` in the layout", f"`labels.timezone`; {EXAMPLE}")
        raise _bad_row(f"{key} is not a time that can be told", path, place, row, expected) from error


def _bad_row(problem: str, path: object, place: str, row: object, expected: str) -> ConfigError:
    return ConfigError(
        problem, file=path, inside=place, found=row, expected=expected, mend="correct or remove the row"
    )
