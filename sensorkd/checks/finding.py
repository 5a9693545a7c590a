"""What a check is, and what it found."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sensorkd import timeline
from sensorkd.errors import SensorkdError
from sensorkd.recordings import Recording

__all__ = ["IMPORTANCES", "Check", "Finding", "Importance", "Place", "counted", "when"]

Importance = Literal["critical", "warning", "hint"]
IMPORTANCES: tuple[Importance, ...] = ("critical", "warning", "hint")


@dataclass(frozen=True)
class Place:
    """Where something was found: a file and, where it is known, a recording's id, its stream, a path "
    "inside."""

    file: str
    recording: str | None = None
    stream: str | None = None
    inside: str | None = None

    @classmethod
    def of(cls, recording: Recording, stream: str | None = None) -> Place:
        """A recording, or one of its streams."""
        inside = recording.group if stream is None else recording.streams[stream].source.dataset
        return cls(str(recording.path), recording.id, stream, inside)

    def __str__(self) -> str:
        told = self.recording or self.file
        return f"{told} {self.stream}" if self.stream else told


@dataclass(frozen=True)
class Finding:
    """One thing that a check found. found, expected, cure: as in the errors of sensorkd.

    value: the number that was measured, in `unit`, where there is one. size: how bad it is among findings of
    the same check; larger is worse.
    """

    check: str
    importance: Importance
    title: str
    place: Place
    found: str
    expected: str
    cure: str
    value: float | None = None
    unit: str = ""
    size: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain values, one level deep."""
        told = {key: value for key, value in dataclasses.asdict(self).items() if key not in ("place", "size")}
        return {**told, **dataclasses.asdict(self.place)}


@dataclass(frozen=True)
class Check:
    """A rule for archives. reason: why it matters for learning. reads_samples: metadata do not suffice."""

    id: str
    importance: Importance
    title: str
    reason: str
    cure: str
    reads_samples: bool = False

    def at(
        self,
        place: Place,
        *,
        found: object,
        expected: object,
        cure: str | None = None,
        value: float | None = None,
        unit: str = "",
        size: float = 0.0,
    ) -> Finding:
        """A finding of this check; `cure` where the place allows better advice than the check's own."""
        return Finding(
            check=self.id,
            importance=self.importance,
            title=self.title,
            place=place,
            found=str(found),
            expected=str(expected),
            cure=cure or self.cure,
            value=value,
            unit=unit,
            size=size,
        )

    def of_error(self, error: SensorkdError, place: Place) -> Finding:
        """An error of the reader as a finding."""
        found = error.problem if error.found is None else f"{error.problem}: {error.found}"
        return self.at(
            dataclasses.replace(place, inside=error.inside or place.inside),
            found=found,
            expected="a file that can be read" if error.expected is None else error.expected,
            cure=error.mend,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return dataclasses.asdict(self)


def when(recording: Recording, time: int) -> str:
    """A time of a recording's clock, for people: UTC, or seconds on a relative clock."""
    if recording.clock == "relative":
        return f"{time / timeline.SECOND:,.3f} s"
    since = timedelta(microseconds=time // 1000)
    return (
        (datetime(1970, 1, 1, tzinfo=UTC) + since).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def counted(number: int, noun: str) -> str:
    """`1 file`, `2,000 files`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
