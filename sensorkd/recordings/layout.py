"""A declarative map from a foreign HDF5 tree to recordings, read from YAML. Nothing is converted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sensorkd.errors import ConfigError, nearest
from sensorkd.recordings.recording import Clock
from sensorkd.recordings.stream import Axis

__all__ = ["Attribute", "DatasetStart", "Layout", "MatchSpan", "StreamLayout", "load_layout"]


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


class DatasetStart(_Strict):
    """Start times kept in a dataset: one value a segment, or one for the stream."""

    dataset: str
    unit: Literal["s", "ms", "us", "ns"] = "s"


Number = Annotated[float, Field(allow_inf_nan=False)]


class StreamLayout(_Strict):
    """Where one stream's samples, unit, rate and start come from.

    `axes` names the array's dimensions; with `segment` first, every row is a segment of its own.
    """

    modality: str
    samples: str
    axes: tuple[Axis, ...]
    unit: str | Attribute
    rate: Number | Attribute | MatchSpan
    start: Number | DatasetStart = 0.0
    scale: Number | Attribute = 1.0
    offset: Number | Attribute = 0.0
    channels: tuple[str, ...] = ()
    optional: bool = False


class Layout(_Strict):
    """The whole map: which groups are recordings, who they are, what they hold.

    recordings: a pattern over group paths; `*` and `?` match inside one name. "/" is the file itself.
    timezone: needed when clock is utc and times in the file are naive local ones.
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


def load_layout(path: str | Path) -> Layout:
    """Read a layout from a YAML file.

    Raises:
        ConfigError: not YAML, or not a layout; every mistake is listed at once.
    """
    path = Path(path)
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError("no such layout", file=path, mend="name an existing YAML file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError("not a YAML file", file=path, found=error) from error
    return parse_layout(tree, source=path)


def parse_layout(tree: Any, *, source: object = "layout") -> Layout:
    """Check a parsed YAML tree against the layout model."""
    try:
        return Layout.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(
            "the layout is not valid",
            file=source,
            found="; ".join(
                f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()
            ),
            mend="data_schemas/layout-1.0.json describes every field; examples/layouts has one that works",
        ) from error
