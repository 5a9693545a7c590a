"""Where a run's labels come from, beside those in the archives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from sensorkd import timeline
from sensorkd.errors import nearest
from sensorkd.recordings import Recording
from sensorkd.windows.derived_labels import with_life_stages, with_otherwise
from sensorkd.windows.table_labels import EventRule, LabelTable, with_label_tables

__all__ = ["EventConfig", "LabelConfig", "LifeFraction", "TableConfig"]

LISTED = 20
Finite = Annotated[float, Field(allow_inf_nan=False)]
# Identity is text; YAML may have taken it for a number or a truth value.
Text = Annotated[str, BeforeValidator(lambda value: str(value) if isinstance(value, int | float) else value)]
Share = Annotated[float, Field(gt=0, lt=1)]
# Columns of a table that mean something already.
RESERVED = ("class", "recording", "t", "t0", "t1", "target", "weight")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EventConfig(_Strict):
    """What a table's row with an instant `t` says: its class holds from `delay` seconds after it, for
    `holds` seconds. A fault code that comes late has a negative delay."""

    delay: Finite = 0.0
    holds: Annotated[float, Field(gt=0, allow_inf_nan=False)]


class LifeFraction(_Strict):
    """Classes by the share of a life that is over. bounds: rising, one fewer than classes.

    of: the stream that lasts from new to failure; default: whatever was logged. per: the identity whose
    recordings together are one life; default: each recording is one. where: identity that a recording must
    have to be such a life, e.g. {run_to_failure: "True"}.
    """

    rule: Literal["life_fraction"]
    bounds: Annotated[tuple[Share, ...], Field(min_length=1)]
    classes: tuple[str, ...]
    of: str | None = None
    per: str | None = None
    where: Mapping[str, Text] = {}

    @model_validator(mode="after")
    def _bounds_part_classes(self) -> LifeFraction:
        if list(self.bounds) != sorted(set(self.bounds)):
            raise ValueError(f"bounds {list(self.bounds)} must rise")
        if len(self.classes) != len(self.bounds) + 1:
            raise ValueError(
                f"{len(self.bounds)} bounds part {len(self.bounds) + 1} classes, got {len(self.classes)}"
            )
        return self


class TableConfig(_Strict):
    """table: CSV or Parquet. timezone: IANA name, for its times without an offset from UTC. events: for its
    rows with an instant. share_of: class -> the column of its shares, for rows that tell several classes.
    weight: how far its labels are to be trusted where its column `weight` does not tell; less than 1 for
    coarse ones, of a whole recording or machine."""

    table: str | None = None
    timezone: str | None = None
    events: EventConfig | None = None
    share_of: Mapping[str, str] = {}
    weight: Annotated[float, Field(gt=0, le=1)] = 1.0

    @model_validator(mode="after")
    def _timezone_exists(self) -> Self:
        if self.timezone is not None:
            try:
                ZoneInfo(self.timezone)
            except (ZoneInfoNotFoundError, ValueError, OSError) as error:
                raise ValueError(
                    f"timezone: {self.timezone!r} is unknown; a name like Europe/Berlin"
                ) from error
        return self

    @model_validator(mode="after")
    def _shares_have_columns_of_their_own(self) -> Self:
        columns = list(self.share_of.values())
        if len(columns) == 1:
            raise ValueError("share_of: shares are of two classes or more")
        taken = sorted({name for name in columns if name in RESERVED or columns.count(name) > 1})
        if taken:
            raise ValueError(f"share_of: a column for each class, and none of {list(RESERVED)}; got {taken}")
        return self

    def label_table(self) -> LabelTable | None:
        """The table and how it is to be understood, in nanoseconds; None where there is none."""
        if self.table is None:
            return None
        rule, second = None, timeline.SECOND
        if self.events is not None:
            rule = EventRule(round(self.events.delay * second), round(self.events.holds * second))
        return LabelTable(Path(self.table), self.timezone, rule, self.share_of, self.weight)


class LabelConfig(TableConfig):
    """`labels: FILE` is short for its table. more: further tables, such as the coarse labels of operators
    beside the exact ones of an expert: where both say something, the one of the larger weight holds.
    otherwise: target -> the class that holds wherever nothing else is known; of the weight of the table.
    derive: target -> rule."""

    more: tuple[TableConfig, ...] = ()
    derive: Mapping[str, LifeFraction] = {}
    otherwise: Mapping[str, str] = {}

    @model_validator(mode="before")
    @classmethod
    def _a_file_alone_is_the_table(cls, value: Any) -> Any:
        return {"table": value} if isinstance(value, str) else value or {}

    @model_validator(mode="after")
    def _more_are_tables(self) -> Self:
        if any(item.table is None for item in self.more):
            raise ValueError("more: each needs its `table: FILE`")
        return self

    def apply(self, recordings: Sequence[Recording]) -> tuple[list[Recording], list[str]]:
        """Recordings with all these labels, and notes on rows of the tables that fit none of them.

        Raises:
            ConfigError, WindowError: a table or a rule does not fit the recordings.
        """
        labelled, notes = list(recordings), list[str]()
        tables = [item for part in (self, *self.more) if (item := part.label_table()) is not None]
        if tables:
            labelled, unmatched = with_label_tables(labelled, tables)
            notes += [f"label row fits no recording: {row}" for row in unmatched[:LISTED]]
            if len(unmatched) > LISTED:
                notes.append(f"label rows that fit no recording: {len(unmatched) - LISTED} more")
        for target, rule in self.derive.items():
            labelled = with_life_stages(labelled, target, **rule.model_dump(exclude={"rule"}))
            if not any(target in recording.tracks for recording in labelled):
                notes.append(_no_life(target, rule, labelled))
        for target, label in self.otherwise.items():
            labelled = with_otherwise(labelled, target, label, weight=self.weight)
        return labelled, notes


def _no_life(target: str, rule: LifeFraction, recordings: Sequence[Recording]) -> str:
    known = sorted({name for recording in recordings for name in recording.streams})
    wanted = [f"a stream {rule.of!r}"] if rule.of else []
    wanted += [f"identity {dict(rule.where)}"] if rule.where else []
    told = " and ".join(wanted) or "any stream"
    meant = "" if rule.of is None or rule.of in known else nearest(rule.of, known)
    return f"labels.derive.{target}: no recording has {told}; {meant}streams are {known}"
