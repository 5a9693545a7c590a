"""Times as loggers write them - numbers, ticks of a counter or ISO 8601 text - as int64 nanoseconds."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from sensorkd import timeline
from sensorkd.errors import ArchiveError
from sensorkd.recordings.recording import Clock

__all__ = ["UNIT_IN_NS", "stamps_in_ns", "ticks_in_ns", "ticks_of"]

SECOND = timeline.SECOND
UNIT_IN_NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
LIMIT = 9e18


def stamps_in_ns(
    stamps: Any, *, unit: str, clock: Clock, timezone: str | None, file: Path, inside: str
) -> NDArray[np.int64]:
    """Numbers in `unit` (since 1970 on a UTC clock) or text, as (n,) ns.

    Integers stay exact. Text is only for UTC clocks; naive local time needs `timezone`, and what a change
    to or from summer time makes ambiguous is refused. Text is read to the microsecond.

    Raises:
        ArchiveError: a stamp is no time, or not one that can be told.
    """
    values = np.asarray(stamps).reshape(-1)
    if values.dtype.kind in "OSU":
        texts = [text.decode(errors="replace") if isinstance(text, bytes) else str(text) for text in values]
        if clock == "relative":
            raise _unusable(texts[0], "seconds: the layout's clock is relative", file, inside)
        return np.array([_text_in_ns(text, timezone, file, inside) for text in texts], dtype=np.int64)
    with np.errstate(over="ignore", invalid="ignore"):  # what is out of range is refused below
        approximate = values.astype(np.float64) * UNIT_IN_NS[unit]
    wrong = np.flatnonzero(~(np.abs(approximate) < LIMIT))  # NaN is not below either
    if len(wrong):
        row = int(wrong[0])
        raise _unusable(f"{values[row]} {unit} (row {row})", "finite times within 285 years", file, inside)
    if values.dtype.kind == "f":
        return np.rint(approximate).astype(np.int64)
    return np.asarray(values.astype(np.int64) * UNIT_IN_NS[unit], dtype=np.int64)


def ticks_of(stamps: Any, *, file: Path, inside: str) -> NDArray[np.int64]:
    """Values of a counter as (n,) whole numbers.

    Raises:
        ArchiveError: one is none, or is too large for int64.
    """
    values = np.asarray(stamps).reshape(-1)
    if values.dtype.kind not in "iuf":
        raise _unusable(f"values of {values.dtype}", "whole numbers, for a counter", file, inside)
    wrong = np.flatnonzero(~((np.abs(values.astype(np.float64)) < LIMIT) & (values == np.trunc(values))))
    if len(wrong):
        row = int(wrong[0])
        raise _unusable(f"{values[row]} (row {row})", "whole numbers, for a counter", file, inside)
    return values.astype(np.int64)


def ticks_in_ns(ticks: NDArray[np.int64], per_second: float) -> NDArray[np.int64]:
    """Ticks (n,) of a counter that counts so many a second, in ns; to the nearest one, however many.

    >>> ticks_in_ns(np.array([1, 32768, 32768 * 10**9 + 1]), 32768).tolist()
    [30518, 1000000000, 1000000000000030518]
    """
    if per_second != round(per_second):
        return timeline.sample_times(0, per_second, ticks)
    whole, rest = np.divmod(ticks, round(per_second))
    return np.asarray(whole * SECOND + np.rint(rest / per_second * SECOND).astype(np.int64))


def _text_in_ns(text: str, timezone: str | None, file: Path, inside: str) -> int:
    try:
        stamp = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise _unusable(text, "ISO 8601, such as 2024-03-01T06:00:00Z", file, inside) from error
    if stamp.tzinfo is None:
        if timezone is None:
            raise _unusable(
                text, "a time with its offset from UTC, or `timezone:` in the layout", file, inside
            )
        stamp = stamp.replace(tzinfo=ZoneInfo(timezone))
        if stamp.utcoffset() != stamp.replace(fold=1).utcoffset():
            raise _unusable(
                text, f"a time that exists once in {timezone}: the clocks were changed then", file, inside
            )
    since = stamp - datetime(1970, 1, 1, tzinfo=UTC)
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000


def _unusable(found: str, expected: str, file: Path, inside: str) -> ArchiveError:
    return ArchiveError(
        "a start time cannot be used",
        file=file,
        inside=inside,
        found=found,
        expected=expected,
        mend="correct `start`, its unit, `clock` or `timezone` in the layout",
    )
