"""What one row of a label table says: an interval or an instant, a class or shares of several, a weight."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sensorkd import timeline
from sensorkd.errors import ArchiveError, ConfigError
from sensorkd.recordings import Recording
from sensorkd.recordings.recording import Clock
from sensorkd.recordings.stamps import stamps_in_ns
from sensorkd.windows.label_table import TIMES

__all__ = ["WEIGHT", "EventRule", "LabelInterval", "LabelTable", "TableRow"]

EXAMPLE = "e.g. 2024-03-01T06:00:00Z"
WEIGHT = "weight"


@dataclass(frozen=True)
class EventRule:
    """What a row with an instant `t` in place of an interval says: its class holds from `delay` ns after
    it, for `holds` ns. A fault code that comes late has a negative delay."""

    delay: int
    holds: int


@dataclass(frozen=True)
class LabelTable:
    """A label table, CSV or Parquet, and how it is to be understood.

    timezone: of times without an offset from UTC. events: for rows with an instant. share_of: class -> the
    column of its shares. weight: of rows that do not tell theirs, in (0, 1].
    """

    path: Path
    timezone: str | None = None
    events: EventRule | None = None
    share_of: Mapping[str, str] = field(default_factory=dict)
    weight: float = 1.0


@dataclass(frozen=True)
class LabelInterval:
    """A class, the one of the largest share, over [t0, t1) ns of a recording's clock; weight in (0, 1]."""

    t0: int
    t1: int
    label: str
    shares: Mapping[str, float]
    weight: float
    file: Path
    place: str
    event: bool

    @property
    def said(self) -> str:
        """The class, or all shares, for people."""
        if len(self.shares) == 1:
            return repr(self.label)
        return "(" + ", ".join(f"{name!r} {share:.4g}" for name, share in self.shares.items()) + ")"

    def told(self) -> str:
        """For people, in seconds of the recording's clock."""
        begin, end = self.t0 / timeline.SECOND, self.t1 / timeline.SECOND
        return f"{self.place}: {self.said} from {begin:.3f} s to {end:.3f} s"


class TableRow:
    """A row of a label table.

    Args:
        place: of the row in its file, such as "line 4". row: column -> text. weight: text; "" for that of
            the table.

    Raises:
        ConfigError: shares or weight are none, or the class is missing.
    """

    def __init__(self, table: LabelTable, place: str, row: Mapping[str, str], weight: str) -> None:
        self._table, self._place, self._row = table, place, row
        self._times: dict[Clock, dict[str, int]] = {}  # once a clock, not once a recording
        self._shares = self._read_shares()
        self._weight = self._read_weight(weight)
        self._label = self._read_label()

    def interval(self, recording: Recording) -> LabelInterval:
        """What the row says of a recording.

        Raises:
            ConfigError: a time is none.
        """
        if recording.clock not in self._times:
            self._times[recording.clock] = self._read_times(recording.clock)
        times, events = self._times[recording.clock], self._table.events
        t0, t1, instant = times.get("t0"), times.get("t1"), times.get("t")
        if instant is not None and events is not None:
            if t0 is not None or t1 is not None:
                raise self._bad("a row has both an instant and an interval", "t, or t0 and t1")
            begin = instant + events.delay
            return self._over(begin, begin + events.holds, event=True)
        if t0 is not None and t1 is not None and t1 <= t0:
            raise self._bad("an interval ends before it begins", "t1 after t0")
        begin, end = recording.start if t0 is None else t0, recording.end if t1 is None else t1
        return self._over(begin, end, event=False)

    def _over(self, begin: int, end: int, *, event: bool) -> LabelInterval:
        file, place = self._table.path, self._place
        return LabelInterval(begin, end, self._label, self._shares, self._weight, file, place, event)

    def _read_shares(self) -> dict[str, float]:
        """Shares of the classes that have any, by name, which sum to 1; of a hard label, its class alone."""
        told = {name: column for name, column in self._table.share_of.items() if self._row.get(column)}
        if not told:
            if not self._row.get("class"):
                wanted = "a class in every row" + (", or shares" if self._table.share_of else "")
                raise self._bad("the class is missing", wanted)
            return {self._row["class"]: 1.0}
        shares = {name: self._number(column) for name, column in told.items()}
        negative = [column for name, column in told.items() if shares[name] < 0]
        if negative:
            raise self._bad("a share is negative", "0 or more", negative)
        total = sum(shares.values())
        if not 0 < total < math.inf:
            raise self._bad("the shares of a row have no positive sum", "one above 0", [*told.values()])
        return {name: shares[name] / total for name in sorted(shares) if shares[name] > 0}

    def _read_label(self) -> str:
        largest = max(self._shares.values())
        first = [name for name, share in self._shares.items() if share == largest]
        told = self._row.get("class")
        if told and told not in first:
            raise self._bad("the class of a row is not that of its largest share", f"{first[0]}, or none")
        return told or first[0]

    def _read_weight(self, text: str) -> float:
        if not text:
            return self._table.weight
        weight = self._number(WEIGHT)
        if not 0 < weight <= 1:
            raise self._bad("a weight is out of range", "above 0, at most 1", [WEIGHT])
        return weight

    def _number(self, column: str) -> float:
        with contextlib.suppress(ValueError):
            if math.isfinite(number := float(self._row[column])):
                return number
        raise self._bad(f"{column} is not a number", "a number such as 0.25", [column])

    def _read_times(self, clock: Clock) -> dict[str, int]:
        """The times that the row tells, in ns on such a clock."""
        return {key: self._read_time(clock, key) for key in TIMES if self._row.get(key)}

    def _read_time(self, clock: Clock, key: str) -> int:
        text, relative = self._row[key], clock == "relative"
        file, inside = self._table.path, f"{self._place} {key}"
        try:
            if relative:
                return round(float(text) * timeline.SECOND)
            zone = self._table.timezone
            stamps = stamps_in_ns([text], unit="s", clock="utc", timezone=zone, file=file, inside=inside)
            return int(stamps[0])
        except (ValueError, OverflowError) as error:
            expected = (
                "seconds: the recording's clock is relative" if relative else f"a year we live in, {EXAMPLE}"
            )
            raise self._bad(f"{key} is not a time", expected) from error
        except ArchiveError as error:
            expected = str(error.expected).replace(
                "`timezone:` in the layout", f"`labels.timezone`; {EXAMPLE}"
            )
            raise self._bad(f"{key} is not a time that can be told", expected) from error

    def _bad(self, problem: str, expected: str, columns: Sequence[str] = ()) -> ConfigError:
        """columns: those at fault, where they can be told."""
        where = f", column {', '.join(columns)}" if columns else ""
        return ConfigError(
            problem,
            file=self._table.path,
            inside=self._place + where,
            found=dict(self._row),
            expected=expected,
            mend="correct or remove the row",
        )
