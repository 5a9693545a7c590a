"""Labels that somebody kept in a table beside the archives: a spreadsheet, a shift book, a list of faults."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from sensorkd.errors import ConfigError, nearest
from sensorkd.recordings import Recording
from sensorkd.windows.label_layers import cut_by_the_next, track_of
from sensorkd.windows.label_rows import WEIGHT, EventRule, LabelInterval, LabelTable, TableRow
from sensorkd.windows.label_table import TIMES, read_label_table

__all__ = ["EventRule", "LabelTable", "with_label_table", "with_label_tables"]

COLUMNS = ("class", "target", *TIMES)

# Recording and target -> what is said of them.
Said = dict[tuple[int, str], list[LabelInterval]]


def with_label_table(
    recordings: Sequence[Recording],
    path: str | Path,
    *,
    timezone: str | None = None,
    events: EventRule | None = None,
    share_of: Mapping[str, str] | None = None,
    weight: float = 1.0,
) -> tuple[list[Recording], list[str]]:
    """Recordings with label tracks from one table; see `with_label_tables`."""
    return with_label_tables(recordings, [LabelTable(Path(path), timezone, events, share_of or {}, weight)])


def with_label_tables(
    recordings: Sequence[Recording], tables: Sequence[LabelTable]
) -> tuple[list[Recording], list[str]]:
    """Recordings with label tracks from CSV or Parquet tables, and the rows that fit no recording.

    Columns: `class`; `recording` or any names of identity (machine, subject ...), all of which must agree;
    if wanted `target` (default "label"), and the time: `t0` and `t1` (each by default that of the recording,
    so that a row with neither labels the whole file), or `t`, an event. Times are seconds on a relative
    clock and ISO 8601 on a UTC clock; those without an offset from UTC need `timezone`.

    A row may tell shares in place of its class, in the columns of `share_of`: numbers of any sum, votes too;
    an empty cell is 0. Its class is that of the largest share: of equal ones that in `class`, or the first
    by name. The column `weight`, in (0, 1], says how far a row is to be trusted (default: the table's). It
    is an identity, as any other, where recordings have one of that name.

    Where events of one target overlap, the later one ends what the earlier one began. Otherwise, and where
    events share their instant, two rows that overlap must agree; of different weights, the stronger holds.

    Raises:
        ConfigError: a table lacks a column or names one that is unknown, a time, share or weight is none, a
            class is missing, or two rows of one weight contradict each other.
    """
    said: Said = {}
    unmatched: list[str] = []
    for table in tables:
        own, unused = _said_by(table, recordings)
        for key, intervals in own.items():
            said.setdefault(key, []).extend(cut_by_the_next(intervals))
        # Of several tables, a line number alone would not tell the row.
        unmatched += unused if len(tables) == 1 else [f"{table.path.name} {row}" for row in unused]
    result = list(recordings)
    for (index, target), intervals in said.items():
        tracks = {**result[index].tracks, target: track_of(intervals)}
        result[index] = dataclasses.replace(result[index], tracks=tracks)
    return result, unmatched


def _said_by(table: LabelTable, recordings: Sequence[Recording]) -> tuple[Said, list[str]]:
    identity = {name for recording in recordings for name in recording.identity}
    weighted = WEIGHT not in identity
    numbers = [*TIMES, *table.share_of.values(), *([WEIGHT] if weighted else ())]
    columns, rows = read_label_table(table.path, numbers=numbers)
    keys = _key_columns(columns, identity, table)
    if "t" in columns and table.events is None:
        raise ConfigError(
            "the label table holds events, and nothing says how long their classes hold",
            file=table.path,
            found="a column 't'",
            expected="`labels.events: {delay: SECONDS, holds: SECONDS}` in the configuration",
        )
    matching: dict[tuple[str | None, ...], list[int]] = {}
    for index, recording in enumerate(recordings):
        matching.setdefault(_identity(recording, keys), []).append(index)
    spans = [(recording.start, recording.end) for recording in recordings]
    said: Said = {}
    unmatched: list[str] = []
    for place, row in rows:
        told = TableRow(table, place, row, row.get(WEIGHT, "") if weighted else "")
        used = False
        for index in matching.get(tuple(row[key] for key in keys), ()):
            item = told.interval(recordings[index])
            if item.t0 < spans[index][1] and item.t1 > spans[index][0]:
                used = True
                said.setdefault((index, row.get("target") or "label"), []).append(item)
        if not used:
            unmatched.append(f"{place}: {row}")
    return said, unmatched


def _key_columns(columns: Sequence[str], identity: set[str], table: LabelTable) -> list[str]:
    shares = table.share_of.values()
    own = {*COLUMNS, *shares}
    keys = [name for name in columns if name == "recording" or (name in identity and name not in own)]
    unknown = sorted(set(columns) - set(keys) - own - {WEIGHT})
    missing = sorted(set(shares) - set(columns))
    labelled = "class" in columns or len(missing) < len(shares)
    if not labelled or not keys or unknown or len(set(columns)) < len(columns):
        known = ["recording", *sorted(identity), *COLUMNS, WEIGHT, *shares]
        hints = "".join(f"; unknown {name!r}: {nearest(name, known)}".rstrip(": ") for name in unknown)
        raise ConfigError(
            "the label table does not have the columns it needs",
            file=table.path,
            found=list(columns),
            expected=f"class{f' or shares in {list(shares)}' if shares else ''}, some of "
            f"{['recording', *sorted(identity)]}, and if wanted target, t0, t1 or t, and weight",
            mend=f"rename the columns{hints}",
        )
    # Of a table without any, the classes are all that is told.
    if 0 < len(missing) < len(shares):
        raise ConfigError(
            "the label table lacks a column of shares",
            file=table.path,
            found=list(columns),
            expected=f"{missing}, as `labels.share_of` says",
            mend=f"{nearest(missing[0], columns)}correct `labels.share_of`, or the header",
        )
    return keys


def _identity(recording: Recording, keys: Sequence[str]) -> tuple[str | None, ...]:
    return tuple(recording.id if key == "recording" else recording.identity.get(key) for key in keys)
