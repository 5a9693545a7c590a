"""Reads foreign HDF5 trees as a layout says, without converting them."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

from sensorkd import timeline
from sensorkd.errors import ArchiveError
from sensorkd.recordings.guard import GuardedFile, plain
from sensorkd.recordings.layout import Attribute, DatasetStart, Layout, MatchSpan, StreamLayout
from sensorkd.recordings.recording import LabelTrack, Recording
from sensorkd.recordings.stream import (
    SampleSource,
    Segments,
    Stream,
    check_axes,
    check_rate,
    check_segments,
)

__all__ = ["read_mapped"]

UNIT_IN_NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}


def read_mapped(file: GuardedFile, name: str, layout: Layout) -> list[Recording]:
    """All recordings that the layout selects in a foreign file.

    Raises:
        ArchiveError: the file is not what the layout says.
    """
    return [map_recording(file, group, name, layout) for group in matching_groups(file, layout)]


def matching_groups(file: GuardedFile, layout: Layout) -> list[str]:
    """Paths of the groups that the layout's pattern selects, one path part at a time."""
    paths = [""]
    for pattern in [part for part in layout.recordings.split("/") if part]:
        paths = [
            f"{path}/{member}"
            for path in paths
            for member in file.members(path or "/")
            if fnmatch.fnmatchcase(member, pattern)
        ]
    if not paths:
        members = file.members("/")
        raise ArchiveError(
            "no group matches the layout's recordings",
            file=file.path,
            found=", ".join(members[:8]) + (" ..." if len(members) > 8 else ""),
            expected=layout.recordings,
            mend=f"check that layout {layout.name!r} is the one for this file",
        )
    return [path or "/" for path in paths]


def map_recording(file: GuardedFile, group: str, name: str, layout: Layout) -> Recording:
    streams: dict[str, Stream] = {}
    derived = {key for key, value in layout.streams.items() if isinstance(value.rate, MatchSpan)}
    for key in sorted(layout.streams, key=lambda key: key in derived):
        stream_layout = layout.streams[key]
        if stream_layout.optional and not file.exists(f"{group}/{stream_layout.samples}"):
            continue
        streams[key] = _stream(file, group, key, stream_layout, streams)
    recording = Recording(
        id=f"{name}::{group.strip('/')}",
        path=file.path,
        group=group,
        clock=layout.clock,
        identity={
            key: _text(file, group, source, f"identity.{key}") for key, source in layout.identity.items()
        },
        streams={key: streams[key] for key in layout.streams if key in streams},
    )
    if not streams:
        return recording
    tracks = {
        target: LabelTrack.constant(
            _text(file, group, source, f"labels.{target}"), start=recording.start, end=recording.end
        )
        for target, source in layout.labels.items()
    }
    return Recording(**{**recording.__dict__, "tracks": tracks})


def _stream(
    file: GuardedFile, group: str, name: str, layout: StreamLayout, others: Mapping[str, Stream]
) -> Stream:
    inside = f"{group.rstrip('/')}/{layout.samples}"
    dataset = file.dataset(inside)
    problem = check_axes(layout.axes, dataset.shape)
    if problem or 0 in dataset.shape or not _is_numeric(dataset):
        raise ArchiveError(
            problem or "the samples are not a filled array of numbers",
            file=file.path,
            inside=inside,
            found=f"shape {dataset.shape}, dtype {dataset.dtype}",
            expected=f"axes {list(layout.axes)}",
            mend=f"correct streams.{name}.axes or .samples in the layout",
        )
    source = SampleSource(file.path, inside, layout.axes, tuple(dataset.shape))
    if layout.channels and len(layout.channels) != source.sample_shape[-1]:
        raise ArchiveError(
            "the layout names another number of channels",
            file=file.path,
            inside=inside,
            found=source.sample_shape[-1],
            expected=f"{len(layout.channels)}: {list(layout.channels)}",
        )

    def number(value: float | Attribute, what: str) -> float:
        if isinstance(value, Attribute):
            return _number(_attribute(file, group, value, of=inside), file, inside, value, what)
        return value

    if isinstance(layout.rate, MatchSpan):
        rate = _rate_matching(others, layout.rate, source.count, file=file, inside=inside)
    else:
        rate = number(layout.rate, "rate")
    check_rate(rate, file=file.path, inside=inside)
    unit = layout.unit
    if isinstance(unit, Attribute):
        unit = str(_attribute(file, group, unit, of=inside))
    return Stream(
        name=name,
        modality=layout.modality,
        unit=unit,
        segments=_segments(file, group, layout, source, rate),
        source=source,
        dtype=dataset.dtype,
        scale=number(layout.scale, "scale"),
        offset=number(layout.offset, "offset"),
        channels=layout.channels,
    )


def _rate_matching(
    others: Mapping[str, Stream], rate: MatchSpan, count: int, *, file: GuardedFile, inside: str
) -> float:
    if rate.match_span_of not in others:
        raise ArchiveError(
            "the rate is to be derived from a stream that this recording lacks",
            file=file.path,
            inside=inside,
            expected=rate.match_span_of,
        )
    other = others[rate.match_span_of]
    return count / ((other.end - other.start) / timeline.SECOND)


def _segments(
    file: GuardedFile, group: str, layout: StreamLayout, source: SampleSource, rate: float
) -> Segments:
    rows = layout.axes[0] == "segment"
    if not isinstance(layout.start, DatasetStart):
        if rows:
            raise ArchiveError(
                "segments need a start time each",
                file=file.path,
                inside=source.dataset,
                expected="start: {dataset: ...} in the layout",
            )
        start = round(layout.start * timeline.SECOND)
        return Segments.uniform(t0=start, rate=rate, count=source.count)
    inside = f"{group.rstrip('/')}/{layout.start.dataset}"
    stamps = file.dataset(inside)
    unit = UNIT_IN_NS[layout.start.unit]
    if not rows:
        first = float(np.asarray(stamps[...] if stamps.ndim == 0 else stamps[:1]).reshape(-1)[0])
        return Segments.uniform(t0=round(first * unit), rate=rate, count=source.count)
    if stamps.shape != (source.shape[0],):
        raise ArchiveError(
            "one start time a segment is needed",
            file=file.path,
            inside=inside,
            found=f"shape {stamps.shape}",
            expected=f"({source.shape[0]},)",
        )
    steps = source.shape[layout.axes.index("time")]
    count = np.full(source.shape[0], steps, dtype=np.int64)
    segments = Segments(
        t0=np.rint(stamps[()].astype(np.float64) * unit).astype(np.int64),
        rate=np.full(source.shape[0], rate),
        offset=np.arange(source.shape[0], dtype=np.int64) * steps,
        count=count,
    )
    check_segments(segments, source.count, file=file.path, inside=inside)
    return segments


def _is_numeric(dataset: h5py.Dataset) -> bool:
    return dataset.dtype.kind in "iuf"


def _text(file: GuardedFile, group: str, source: str | Attribute, what: str) -> str:
    if isinstance(source, str):
        return source
    return str(_attribute(file, group, source, of=None, what=what))


def _attribute(file: GuardedFile, group: str, source: Attribute, *, of: str | None, what: str = "") -> Any:
    if source.of is not None:
        places = [f"{group.rstrip('/')}/{source.of}"]
    else:
        places = [place for place in (of, group, "/") if place is not None]
    seen: list[str] = []
    for place in dict.fromkeys(places):
        node = file.node(place)
        if source.attribute in node.attrs:
            return plain(node.attrs[source.attribute])
        seen += list(node.attrs)
    raise ArchiveError(
        f"attribute {source.attribute!r} is missing{f' (for {what})' if what else ''}",
        file=file.path,
        inside=" or ".join(dict.fromkeys(places)),
        found=f"attributes {sorted(set(seen))}",
        mend="correct the layout, or name a constant in it",
    )


def _number(value: Any, file: GuardedFile, inside: str, source: Attribute, what: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ArchiveError(
            f"the {what} is not a finite number",
            file=file.path,
            inside=f"{inside} attribute {source.attribute}",
            found=repr(value),
        )
    return number
