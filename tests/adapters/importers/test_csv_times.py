"""Stamps of tables: what they may look like, and the lines of those that are none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sensorkd.recordings import Recording
from sensorkd.timeline import SECOND

Imported = Callable[..., Recording]
Refused = Callable[..., Any]
MORNING = 1_709_272_800 * SECOND  # 2024-03-01T06:00:00Z
TEXT = {"column": "t"}
BERLIN = {"clock": "utc", "timezone": "Europe/Berlin", "time": TEXT}
UTC = {"clock": "utc", "time": TEXT}


def table(*stamps: object) -> str:
    return "t;flow\n" + "".join(f"{stamp};{row}\n" for row, stamp in enumerate(stamps))


def start(recording: Recording) -> int:
    return recording.streams["flow"].start


@pytest.mark.parametrize(
    ("first", "second", "changes"),
    [
        ("2024-03-01T06:00:00Z", "2024-03-01T06:00:01Z", UTC),
        ("2024-03-01 07:00:00+01:00", "2024-03-01 06:00:01+00", UTC),
        ("2024-03-01 06:00:00", "2024-03-01 06:00:01.000", {**UTC, "timezone": "UTC"}),
        ("2024-03-01 07:00", "2024-03-01 07:00:01", BERLIN),
        ("2024-03-01 07:00", "2024-03-01 06:00:01Z", BERLIN),
        ("01.03.2024 07:00:00,0", "01.03.2024 07:00:01,0",
         {**BERLIN, "time": {"column": "t", "format": "%d.%m.%Y %H:%M:%S,%f"}}),
        ("07:00:00 +0100 01/03/24", "07:00:01 +0100 01/03/24",
         {**UTC, "time": {"column": "t", "format": "%H:%M:%S %z %d/%m/%y"}}),
        ("1709272800", "1709272801", {"clock": "utc"}),
        ("1709272800,0", "1709272801,0", {"clock": "utc", "decimal": ","}),
        ("1.7092728e12", "1709272801000", {"clock": "utc", "time": {"column": "t", "unit": "ms"}}),
    ],
)  # fmt: skip
def test_times_of_day_come_to_utc(
    imported: Imported, first: str, second: str, changes: dict[str, Any]
) -> None:
    recording = imported(table(first, second), **changes)
    assert (recording.clock, start(recording), recording.streams["flow"].rate) == ("utc", MORNING, 1.0)


def test_nanoseconds_stay_exact(imported: Imported) -> None:
    now = 1_772_000_000_123_456_789
    unit = {"clock": "utc", "time": {"column": "t", "unit": "ns"}}
    assert start(imported(table(now, now + 1000), **unit)) == now
    assert start(imported(table("2024-03-01T06:00:00.123456789Z", "2024-03-01T06:00:01Z"), **UTC)) == (
        MORNING + 123_456_789
    )


@pytest.mark.parametrize(
    ("stamps", "time"),
    [
        ((5, 6, 7), {"column": "t", "unit": "s"}),
        ((-1500.5, -500.5, 499.5), {"column": "t", "unit": "ms"}),
        (("2024-03-31 01:59:59", "2024-03-31 02:00:00", "2024-03-31 02:00:01"), TEXT),
        (("2024-03-01T06:00:00Z", "2024-03-01T07:00:01+01:00", "2024-03-01T06:00:02Z"), TEXT),
    ],
)
def test_on_a_relative_clock_the_first_row_is_at_nought(
    imported: Imported, stamps: tuple[object, ...], time: dict[str, str]
) -> None:
    stream = imported(table(*stamps), time=time).streams["flow"]
    assert (stream.start, stream.rate, len(stream.segments)) == (0, 1.0, 1)


@pytest.mark.parametrize(
    ("stamp", "changes", "told"),
    [
        ("", {}, "the time stamp is missing"),
        ("soon", {}, "'soon' in column 't'"),
        ("nan", {}, "a time stamp cannot be used"),
        ("1e11", {}, "within 280 years"),
        ("01.03.2024 07:00", BERLIN, "time.format"),
        ("2024-02-30 07:00", BERLIN, "ISO 8601"),
        ("20240301", BERLIN, "time.unit"),
        ("9999-12-31 00:00", BERLIN, "cannot be read"),
        ("1600-12-31 00:00", BERLIN, "cannot be read"),
        ("2024-03-01 07:00", {**BERLIN, "time": {"column": "t", "format": "%d.%m.%Y"}}, "expected: %d.%m.%Y"),
        ("2024-10-27 02:30", BERLIN, "this local time exists twice, or never"),
        ("2024-03-31 02:30", BERLIN, "exists once in Europe/Berlin"),
        ("2024-03-01 06:00", UTC, "does not say its offset from UTC"),
        ("2024-03-01 06:00", {"time": TEXT}, "some do not"),
    ],
)
def test_the_line_of_what_is_no_time_is_told(
    imported: Imported, refused: Refused, stamp: str, changes: dict[str, Any], told: str
) -> None:
    good: tuple[object, ...] = (0, 1)
    if "time" in changes:
        good = ("2024-03-01T06:00:00Z", "2024-03-01T06:00:01Z")
    if "format" in changes.get("time", {}):
        good = ("01.03.2024", "02.03.2024")
    with refused(told, file="press.csv", inside="line 4"):
        imported(table(*good, stamp), **changes)


def test_the_first_line_whose_stamp_does_not_rise_is_told(imported: Imported, refused: Refused) -> None:
    with refused(
        "time stamps go backwards", "1.000000 s after 2.000000 s at line 4; 1 more", inside="line 5"
    ):
        imported(table(0, 1, 2, 1, 3, 2))
    with refused("time stamps repeat", "in place of `time`", inside="line 4"):
        imported(table(0, 1, 1, 2))
    stamps = [f"2024-03-01T06:00:0{second}Z" for second in (0, 2, 1)]
    with refused("2024-03-01T06:00:01.000000000Z after 2024-03-01T06:00:02", inside="line 4"):
        imported(table(*stamps), **UTC)


def test_one_stamp_tells_no_rate(imported: Imported, refused: Refused) -> None:
    with refused("too few time stamps", file="press.csv", inside="stream 'flow'"):
        imported(table(0))
