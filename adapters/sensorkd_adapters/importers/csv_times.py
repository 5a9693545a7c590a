"""Time stamps of tables, as numbers or text, brought to int64 nanoseconds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sensorkd.recordings.recording import Clock
from sensorkd.recordings.stamps import UNIT_IN_NS, stamps_in_ns
from sensorkd_adapters.importers.cells import Rows
from sensorkd_adapters.importers.csv_mapping import CsvMapping, TimeColumn

__all__ = ["stamp_told", "times_of"]

Int64 = NDArray[np.int64]
# A time of day with Z or an offset after it; the -01 of a bare date is none.
WITH_OFFSET = re.compile(r"\d:\d\d.*(Z|[+-]\d\d(:?\d\d)?)$")
YEARS = (1686, 2254)  # what int64 ns can hold, and archives
FARTHEST = 8.9e18


def times_of(rows: Rows, mapping: CsvMapping, time: TimeColumn) -> Int64:
    """(n,) ns, since 1970 on a UTC clock; on a relative one, whatever the stamps count from.

    Raises:
        ArchiveError: a stamp is missing, is no time, or is not one that can be told; the line is named.
    """
    cells = rows.cells[time.column]
    rows.check(
        time.column,
        np.array([bool(cell) for cell in cells]),
        "the time stamp is missing",
        expected="a time in every row",
        mend="remove the row, or correct `time.column` in the mapping",
    )
    return _text_in_ns(rows, mapping, time) if time.unit is None else _numbers_in_ns(rows, mapping, time)


def _numbers_in_ns(rows: Rows, mapping: CsvMapping, time: TimeColumn) -> Int64:
    unit, cells, values = time.unit or "s", rows.cells[time.column], rows.floats(time.column)
    rows.check(
        time.column,
        np.abs(values * UNIT_IN_NS[unit]) < FARTHEST,  # which NaN is not either
        "a time stamp cannot be used",
        expected=f"a finite time in {unit}, within 280 years",
        mend="correct the cell, or `time.unit` in the mapping",
    )
    whole = all(cell.lstrip("+-").isdecimal() for cell in cells)
    stamps: Any = np.array([int(cell) for cell in cells]) if whole else values  # integers stay exact
    return stamps_in_ns(
        stamps, unit=unit, clock=mapping.clock, timezone=None, file=rows.path, inside=time.column
    )


def _text_in_ns(rows: Rows, mapping: CsvMapping, time: TimeColumn) -> Int64:
    cells = rows.cells[time.column]
    with_offset = np.array([bool(WITH_OFFSET.search(cell)) for cell in cells])
    if time.format is not None:
        with_offset[:] = "%z" in time.format
    stamps, read = _read(cells, time.format)
    rows.check(
        time.column,
        read,
        "a time stamp cannot be read",
        expected=time.format or "ISO 8601, such as 2024-03-01 06:00:00.250",
        mend="say in the mapping how they look: `time.format` for text (such as '%d.%m.%Y %H:%M:%S'), "
        "`time.unit` for numbers; or correct the cell",
    )
    if mapping.timezone is None:
        _check_zones(rows, mapping, time, with_offset)
        return stamps
    local = pd.DatetimeIndex(stamps[~with_offset])
    zoned = local.tz_localize(mapping.timezone, ambiguous="NaT", nonexistent="NaT")
    once = np.ones(len(cells), dtype=np.bool_)
    once[~with_offset] = ~np.isnan(zoned.to_numpy(dtype="datetime64[ns]"))
    rows.check(
        time.column,
        once,
        "the clocks were changed then: this local time exists twice, or never",
        expected=f"a time that exists once in {mapping.timezone}",
        mend="write stamps in UTC, cut the file at the change, or say `clock: relative`",
    )
    stamps[~with_offset] = zoned.as_unit("ns").asi8
    return stamps


def _read(cells: Sequence[str], form: str | None) -> tuple[Int64, NDArray[np.bool_]]:
    """(n,) ns, local times as if they were UTC; and which cells are times at all."""
    times = pd.to_datetime(list(cells), format=form or "ISO8601", errors="coerce", utc=True)
    read = np.asarray((times.year >= YEARS[0]) & (times.year <= YEARS[1]))
    if form is None:  # 2024 and 20240301 may be a year and a date, or seconds
        read &= np.array([not cell.isdecimal() for cell in cells])
    return np.array(times.where(read, pd.Timestamp(0, tz="UTC")).as_unit("ns").asi8), read


def _check_zones(rows: Rows, mapping: CsvMapping, time: TimeColumn, with_offset: NDArray[np.bool_]) -> None:
    """Without a time zone, UTC needs an offset in every stamp, and no clock can have both kinds."""
    utc = mapping.clock == "utc"
    rows.check(
        time.column,
        with_offset if utc else with_offset == with_offset[0],
        "a time stamp does not say its offset from UTC"
        if utc
        else "some time stamps say their offset from UTC and some do not",
        expected="a time such as 2024-03-01T06:00:00Z or 2024-03-01 07:00:00+01:00",
        mend="say `clock: utc` and the `timezone` of local times in the mapping, such as Europe/Berlin",
    )


def stamp_told(time: int, clock: Clock) -> str:
    """A time in ns, for people."""
    return f"{time / 1e9:.6f} s" if clock == "relative" else f"{np.datetime64(time, 'ns')}Z"
