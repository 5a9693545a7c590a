"""The mapping of importer `csv`: which columns of a table are time, streams and labels."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from sensorkd.recordings.recording import Clock
from sensorkd_adapters.importers.mapping import ImportMapping, Rate, StreamMapping, Strict, Target, Timezone

__all__ = ["CsvMapping", "CsvStream", "TimeColumn"]


def _delimiter(text: str) -> str:
    text = "\t" if text == "tab" else text
    if len(text) != 1 or text in '"\r\n':
        raise ValueError(f"{text!r} is not one character; a tab is 'tab' or \"\\t\"")
    return text


def _encoding(name: str) -> str:
    try:
        return codecs.lookup(name).name
    except LookupError as error:
        raise ValueError(f"{name!r} is unknown; a name like utf-8-sig or cp1252") from error


class TimeColumn(Strict):
    """The column of time stamps: numbers in `unit`, else text in `format`, else ISO 8601.

    format: as of strptime, such as "%d.%m.%Y %H:%M:%S.%f".
    """

    column: str
    unit: Literal["s", "ms", "us", "ns"] | None = None
    format: str | None = None

    @model_validator(mode="after")
    def _numbers_or_text(self) -> TimeColumn:
        if self.unit is not None and self.format is not None:
            raise ValueError("unit is for numbers and format for text: name one of them")
        return self


class CsvStream(StreamMapping):
    """The columns of one stream. Rows in which all of them are empty are none of its samples.

    optional: files that lack a column, or in which all are empty, are without the stream.
    """

    columns: Annotated[tuple[str, ...], Field(min_length=1)]
    optional: bool = False

    @model_validator(mode="after")
    def _a_name_a_channel(self) -> CsvStream:
        if len(set(self.columns)) != len(self.columns):
            raise ValueError(f"columns: {list(self.columns)} names one twice")
        if self.channels and len(self.channels) != len(self.columns):
            raise ValueError(f"channels: {len(self.channels)} names for {len(self.columns)} columns")
        return self


class CsvMapping(ImportMapping):
    """The whole map of a table with one row an instant: CSV and the like, or Parquet.

    delimiter: "tab", or one character; left out, it is the one of comma, semicolon and tab that cuts the
    line of names into most. header: number of that line; lines before it are passed over.
    missing: texts of cells that mean the same as an empty one.
    clock: utc; or relative, on which the first row is at 0. timezone: for naive local times on utc.
    time or rate: a column of stamps, or rows at a fixed rate in Hz, which have no date.
    """

    importer: Literal["csv"]
    delimiter: Annotated[str, AfterValidator(_delimiter)] | None = None
    decimal: Literal[".", ","] = "."
    encoding: Annotated[str, AfterValidator(_encoding)] = "utf-8-sig"
    header: Annotated[int, Field(ge=1)] = 1
    missing: tuple[str, ...] = ()
    clock: Clock
    timezone: Timezone | None = None
    time: TimeColumn | None = None
    rate: Rate | None = None
    streams: Annotated[Mapping[str, CsvStream], Field(min_length=1)]
    labels: Mapping[str, Target] = {}

    @model_validator(mode="after")
    def _times_can_be_told(self) -> CsvMapping:
        if (self.time is None) == (self.rate is None):
            raise ValueError("time, rate: one of them is needed, and not both")
        if self.rate is not None and self.clock == "utc":
            raise ValueError("rate: rows without stamps have no date; say `clock: relative`")
        if self.timezone is not None and self.clock == "relative":
            raise ValueError("timezone: a relative clock has none")
        if self.decimal == self.delimiter:
            raise ValueError("decimal: a comma cannot end numbers and cells alike")
        return self

    def columns(self) -> dict[str, bool]:
        """Every column that is used, and whether a file must have it."""
        used = {self.time.column: True} if self.time else {}
        for stream in self.streams.values():
            for column in stream.columns:
                used[column] = used.get(column, False) or not stream.optional
        for target in self.labels.values():
            used[target.column] = used.get(target.column, False) or not target.optional
        return used
