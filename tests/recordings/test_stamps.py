from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sensorkd.errors import ArchiveError
from sensorkd.recordings.stamps import stamps_in_ns, ticks_in_ns, ticks_of


def ns(stamps: Any, unit: str = "s", clock: str = "utc", timezone: str | None = None) -> list[int]:
    made = stamps_in_ns(
        stamps, unit=unit, clock=clock, timezone=timezone, file=Path("a.h5"), inside="/start"  # type: ignore[arg-type]
    )  # fmt: skip
    assert made.dtype == np.int64
    return made.tolist()


def test_numbers_are_taken_in_their_unit() -> None:
    assert ns(1.5) == [1_500_000_000]
    assert ns([1, 2], "ms") == [1_000_000, 2_000_000]
    assert ns(np.float32(0.5), "us", "relative") == [500]
    assert ns(np.array([-2], np.int8)) == [-2_000_000_000]


def test_integers_of_today_are_exact_to_the_nanosecond() -> None:
    now = 1_772_000_000_123_456_789
    assert ns(np.int64(now), "ns") == [now]
    assert ns(np.uint64(now), "ns") == [now]
    assert ns(np.array([now // 1000]), "us") == [now // 1000 * 1000]


def test_text_is_iso_8601_with_its_offset() -> None:
    midnight = round(datetime(2024, 3, 1, tzinfo=UTC).timestamp()) * 10**9
    assert ns("2024-03-01T00:00:00Z") == [midnight]
    assert ns(np.array([b"2024-03-01 01:00:00.000250+01:00"])) == [midnight + 250_000]
    assert ns(["1969-12-31T23:59:59Z"]) == [-(10**9)]


def test_naive_text_needs_a_time_zone_and_follows_its_summer_time() -> None:
    assert ns("2024-01-15T12:00", timezone="Europe/Berlin") == ns("2024-01-15T11:00Z")
    assert ns("2024-07-15T12:00", timezone="Europe/Berlin") == ns("2024-07-15T10:00Z")
    assert ns("2024-07-15T12:00+00:00", timezone="Europe/Berlin") == ns("2024-07-15T12:00Z")


@pytest.mark.parametrize(
    ("stamps", "options", "told"),
    [
        ("2024-01-15T12:00", {}, "timezone"),
        ("2024-10-27T02:30", {"timezone": "Europe/Berlin"}, "clocks were changed"),  # twice
        ("2024-03-31T02:30", {"timezone": "Europe/Berlin"}, "clocks were changed"),  # never
        ("15.01.2024 12:00", {"timezone": "Europe/Berlin"}, "ISO 8601"),
        ("2024-01-15T12:00Z", {"clock": "relative"}, "seconds"),
        (None, {}, "None"),
        (np.nan, {}, "finite"),
        ([0.0, np.inf], {}, "row 1"),
        (1.7e18, {}, "finite"),  # nanoseconds taken for seconds
        (np.uint64(2**64 - 1), {"unit": "ns"}, "285 years"),
    ],
)
def test_what_is_no_time_is_told(stamps: Any, options: dict[str, Any], told: str) -> None:
    with pytest.raises(ArchiveError, match="to mend") as caught:
        ns(stamps, **options)
    assert told in str(caught.value)
    assert (caught.value.file, caught.value.inside) == ("a.h5", "/start")


def test_ticks_are_counted_to_the_nanosecond_however_many() -> None:
    ticks = np.array([0, 1, 2, 32_768, -1, 10**13 + 1])
    assert ticks_in_ns(ticks, 32_768).tolist() == [0, 30_518, 61_035, 10**9, -30_518, 305_175_781_250_030_518]
    assert ticks_in_ns(np.array([3, 6]), 1.5).tolist() == [2 * 10**9, 4 * 10**9]


@pytest.mark.parametrize(
    ("values", "told"),
    [([1.0, 2.5], "2.5 (row 1)"), ([np.nan], "nan"), (["1"], "<U1"), (np.uint64([2**64 - 1]), "(row 0)")],
)
def test_what_is_no_counter_is_told(values: Any, told: str) -> None:
    with pytest.raises(ArchiveError, match="whole numbers") as caught:
        ticks_of(values, file=Path("a.h5"), inside="/t")
    assert told in str(caught.value)
