"""A declarative map from a foreign HDF5 tree to recordings, read from YAML. Nothing is converted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sensorkd.errors import ConfigError, nearest
from sensorkd.recordings.recording import Clock
from sensorkd.recordings.stamps import UNIT_IN_NS
from sensorkd.recordings.stream import Axis, check_axes
from sensorkd.yaml_files import mistakes, read_yaml

__all__ = [
    "Attribute",
    "Layout",
    "MatchSpan",
    "SampleCounter",
    "StampDataset",
    "StreamLayout",
    "load_layout",
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Attribute(_Strict):
    """A value kept as an HDF5 attribute.

    `of` is a path relative to the recording. Without it the attribute is looked for on the samples
    (for a stream), else on the recording's group, else on the file's root.
    """

    attribute: str
    of: str | None = None


class MatchSpan(_Strict):
    """A rate derived so that this stream lasts as long as another: its own rate is not to be trusted."""

    match_span_of: str


class StampDataset(_Strict):
    """Time stamps kept in a dataset: text, numbers in `unit`, or ticks of a counter.

    ticks_per_second: the numbers count ticks, so many a second; there is no `unit` then.
    wraps: after so many `unit`s or ticks the clock begins anew: 86400 for seconds of day, 65536 for ticks of
    16 bits. Streams of a recording whose clocks wrap are brought together, even if midnight fell between
    their first samples.
    longest_gap: seconds; no pause between stamps of a clock that wraps was longer. A longer one is an error,
    for it may hide a whole turn; so is, without this, one of more than a quarter turn.
    set_back: what to do where the clock was set back, so that stamps come again: `refuse` the file, or `cut`
    what was logged before with stamps that come again after it.
    """

    dataset: str
    unit: Literal["s", "ms", "us", "ns"] = "s"
    ticks_per_second: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    wraps: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    longest_gap: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    set_back: Literal["refuse", "cut"] = "refuse"

    @property
    def wraps_ns(self) -> int | None:
        """`wraps` in nanoseconds."""
        return None if self.wraps is None else round(self.wraps / self.per_second * UNIT_IN_NS["s"])

    @property
    def per_second(self) -> float:
        """How many of the numbers make a second."""
        return self.ticks_per_second or UNIT_IN_NS["s"] / UNIT_IN_NS[self.unit]

    @model_validator(mode="after")
    def _turns_make_sense(self) -> StampDataset:
        if self.ticks_per_second is not None and self.unit != "s":
            raise ValueError("say `unit` or `ticks_per_second`, not both")
        if self.ticks_per_second is not None and self.wraps is not None and self.wraps % 1:
            raise ValueError("wraps: a counter begins anew after a whole number of ticks")
        if self.longest_gap is not None:
            if self.wraps is None:
                raise ValueError("longest_gap: only a clock that `wraps` needs it")
            if self.longest_gap * self.per_second >= self.wraps:
                raise ValueError("longest_gap: a pause as long as a turn leaves no trace; name a shorter one")
        return self


class SampleCounter(_Strict):
    """A dataset that numbers the samples, one number each, in which lost samples are missing.

    wraps: after so many it begins anew: 65536 for 16 bits.
    """

    dataset: str
    wraps: Annotated[int, Field(ge=4)] | None = None


Number = Annotated[float, Field(allow_inf_nan=False)]


class StreamLayout(_Strict):
    """Where one stream's samples, unit, rate and start come from.

    `axes` names the array's dimensions; with `segment` first, every row is a segment of its own.
    Either `rate` and `start` say when samples were taken, or `times` does: one stamp a sample, whose gaps
    begin new segments; a `rate` beside it is compared with it. `start` is in seconds, on a UTC clock
    since 1970 or as ISO 8601 text, or a dataset (one stamp a segment, or the stream's first); left out,
    it is 0 on a relative clock. A `counter` beside `rate` and `start` tells where samples were lost.
    `nominal_rate` is what the file claims the rate to be: it is compared with the true one, never used.
    """

    modality: str
    samples: str
    axes: tuple[Axis, ...]
    unit: str | Attribute
    rate: Number | Attribute | MatchSpan | None = None
    start: Number | Attribute | StampDataset | None = None
    times: StampDataset | None = None
    counter: SampleCounter | None = None
    nominal_rate: Number | Attribute | None = None
    scale: Number | Attribute = 1.0
    offset: Number | Attribute = 0.0
    channels: tuple[str, ...] = ()
    optional: bool = False

    @model_validator(mode="after")
    def _axes_make_sense(self) -> StreamLayout:
        problem = check_axes(self.axes, [1] * len(self.axes))
        if problem:
            raise ValueError(f"axes {list(self.axes)}: {problem}")
        if self.axes[0] == "segment" and not isinstance(self.start, StampDataset):
            raise ValueError("segments need a start time each: `start: {dataset: PATH}`")
        if self.times is None and self.rate is None:
            raise ValueError("say `rate`, or `times: {dataset: PATH}` with one stamp a sample")
        if self.times is not None and (self.start is not None or isinstance(self.rate, MatchSpan)):
            raise ValueError("`times` says it all: leave out `start`, and a derived `rate`")
        alone = self.times is None and self.axes[0] != "segment" and not isinstance(self.rate, MatchSpan)
        if self.counter is not None and not alone:
            raise ValueError("`counter` goes with a `rate` of its own and one `start`, not with segments")
        if self.scale == 0:
            raise ValueError("scale must not be 0")
        return self


class Layout(_Strict):
    """The whole map: which groups are recordings, who they are, what they hold.

    recordings: a pattern over group paths; `*` and `?` match inside one name. "/" is the file itself.
    timezone: an IANA name, needed when clock is utc and times in the file are naive local ones.
    """

    schema_: Literal["layout-1.0"] = Field(alias="schema")
    name: str
    about: str = ""
    recordings: str = "/"
    clock: Clock
    timezone: str | None = None
    identity: Mapping[str, str | Attribute] = {}
    labels: Mapping[str, str | Attribute] = {}
    streams: Mapping[str, StreamLayout]

    @model_validator(mode="after")
    def _references_exist(self) -> Layout:
        if not self.recordings.startswith("/"):
            raise ValueError(f"recordings: {self.recordings!r} must begin with '/'")
        if not self.streams:
            raise ValueError("streams: at least one is needed")
        for name, stream in self.streams.items():
            if isinstance(stream.rate, MatchSpan):
                other = stream.rate.match_span_of
                if other == name or other not in self.streams:
                    hint = nearest(other, set(self.streams) - {name})
                    raise ValueError(
                        f"streams.{name}.rate.match_span_of: {other!r} is no other stream; {hint}"
                        f"there are {sorted(self.streams)}"
                    )
                if isinstance(self.streams[other].rate, MatchSpan):
                    raise ValueError(
                        f"streams.{name}.rate.match_span_of: {other!r} has itself a derived rate"
                    )
        return self

    @model_validator(mode="after")
    def _times_can_be_told(self) -> Layout:
        if self.timezone is not None:
            if self.clock == "relative":
                raise ValueError("timezone: a relative clock has none")
            try:
                ZoneInfo(self.timezone)
            except (ZoneInfoNotFoundError, ValueError, OSError) as error:
                raise ValueError(
                    f"timezone: {self.timezone!r} is unknown; a name like Europe/Berlin"
                ) from error
        without = [name for name, item in self.streams.items() if item.start is None and item.times is None]
        if self.clock == "utc" and without:
            raise ValueError(f"a UTC clock needs `start` for every stream; {without} have none")
        return self


def load_layout(path: str | Path) -> Layout:
    """Read a layout from a YAML file.

    Raises:
        ConfigError: not YAML, or not a layout; every mistake is listed at once.
    """
    path = Path(path)
    tree = read_yaml(path, what="layout", examples="examples/layouts")
    return parse_layout(tree, source=path)


def parse_layout(tree: Any, *, source: object = "layout") -> Layout:
    """Check a parsed YAML tree against the layout model."""
    try:
        return Layout.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(
            "the layout is not valid",
            file=source,
            found=mistakes(error, _keys, listed=False),
            mend="data_schemas/layout-1.0.json describes every field; examples/layouts has one that works",
        ) from error


def _keys(_: Sequence[str]) -> set[str]:
    """Those of any place: a key is often right, and where it stands wrong."""
    models = (Layout, StreamLayout, Attribute, MatchSpan, StampDataset, SampleCounter)
    return {field.alias or name for model in models for name, field in model.model_fields.items()}
