"""Reads foreign HDF5 trees as a layout says, without converting them."""

from __future__ import annotations

import dataclasses
import fnmatch
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from sensorkd import timeline
from sensorkd.errors import ArchiveError, nearest
from sensorkd.recordings.guard import GuardedFile, plain
from sensorkd.recordings.layout import Attribute, Layout, MatchSpan, StampDataset, StreamLayout
from sensorkd.recordings.recording import LabelTrack, Recording
from sensorkd.recordings.segmenting import segments_of_stamps, unwrap
from sensorkd.recordings.stamps import stamps_in_ns
from sensorkd.recordings.stream import (
    SampleSource,
    Segments,
    Stream,
    check_axes,
    check_rate,
    check_segments,
)

__all__ = ["read_mapped"]


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
        pattern = pattern.replace("[", "[[]")  # only * and ? are special
        paths = [
            f"{path}/{member}"
            for path in paths
            for member in file.members(path or "/")
            if fnmatch.fnmatchcase(member, pattern) and file.is_group(f"{path}/{member}")
        ]
    if not paths:
        members = file.members("/")
        raise ArchiveError(
            "no group matches the layout's recordings",
            file=file.path,
            inside="/",
            found=f"members {', '.join(members[:8])}{' ...' if len(members) > 8 else ''}",
            expected=layout.recordings,
            mend=f"check that layout {layout.name!r} is the one for this file",
        )
    return [path or "/" for path in paths]


def map_recording(file: GuardedFile, group: str, name: str, layout: Layout) -> Recording:
    streams: dict[str, Stream] = {}
    derived = {key for key, value in layout.streams.items() if isinstance(value.rate, MatchSpan)}
    for key in sorted(layout.streams, key=lambda key: key in derived):
        stream = layout.streams[key]
        if not stream.optional or file.exists(f"{group}/{stream.samples}"):
            streams[key] = _stream(file, group, key, layout, streams)
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
    return dataclasses.replace(recording, tracks=tracks)


def _stream(file: GuardedFile, group: str, name: str, layout: Layout, others: Mapping[str, Stream]) -> Stream:
    told = layout.streams[name]
    source, dtype = _source(file, f"{group.rstrip('/')}/{told.samples}", name, told)
    inside = source.dataset

    def number(value: float | Attribute, what: str) -> float:
        if isinstance(value, Attribute):
            return _number(_attribute(file, group, value, of=inside, what=what), file, inside, value, what)
        return value

    rate: float | None = None
    if isinstance(told.rate, MatchSpan):
        rate = _rate_matching(others, told.rate, source.count, file=file, inside=inside)
    elif told.rate is not None:
        rate = number(told.rate, "rate")
    if rate is not None:
        check_rate(rate, file=file.path, inside=inside)
    scale = number(told.scale, "scale")
    unit = told.unit
    if isinstance(unit, Attribute):
        unit = str(_attribute(file, group, unit, of=inside, what="unit"))
    wrapped = [other.start for key, other in others.items() if _wraps(layout.streams[key])]
    near = wrapped[0] if wrapped else None
    segments = _segments(file, group, told, source, rate, layout=layout, near=near)
    check_segments(segments, source.count, file=file.path, inside=inside)
    return Stream(
        name=name,
        modality=told.modality,
        unit=unit,
        segments=segments,
        source=source,
        dtype=dtype,
        scale=scale,
        offset=number(told.offset, "offset"),
        channels=told.channels,
    )


def _source(
    file: GuardedFile, inside: str, name: str, told: StreamLayout
) -> tuple[SampleSource, np.dtype[Any]]:
    """Where the samples lie, and their dtype, once they are what the layout says."""
    dataset = file.dataset(inside)
    shape = dataset.shape or ()
    problem = check_axes(told.axes, shape)
    if problem or 0 in shape or dataset.dtype.kind not in "iuf":
        raise ArchiveError(
            problem or "the samples are not a filled array of numbers",
            file=file.path,
            inside=inside,
            found=f"shape {dataset.shape}, dtype {dataset.dtype}",
            expected=f"axes {list(told.axes)}",
            mend=f"correct streams.{name}.axes or .samples in the layout",
        )
    source = SampleSource(file.path, inside, told.axes, tuple(shape))
    if told.channels and len(told.channels) != source.sample_shape[-1]:
        raise ArchiveError(
            "the layout names another number of channels",
            file=file.path,
            inside=inside,
            found=f"{source.sample_shape[-1]} channels in shape {shape}",
            expected=f"{len(told.channels)}: {list(told.channels)}",
            mend=f"correct streams.{name}.channels or .axes in the layout",
        )
    return source, dataset.dtype


def _rate_matching(
    others: Mapping[str, Stream], rate: MatchSpan, count: int, *, file: GuardedFile, inside: str
) -> float:
    if rate.match_span_of not in others:
        raise ArchiveError(
            "the rate is to be derived from a stream that this recording lacks",
            file=file.path,
            inside=inside,
            found=f"streams {sorted(others)}",
            expected=rate.match_span_of,
            mend="name a rate in the layout, or make this stream optional too",
        )
    other = others[rate.match_span_of]
    return count / ((other.end - other.start) / timeline.SECOND)


def _wraps(told: StreamLayout) -> bool:
    return any(isinstance(item, StampDataset) and item.wraps is not None for item in (told.start, told.times))


def _segments(
    file: GuardedFile,
    group: str,
    told: StreamLayout,
    source: SampleSource,
    rate: float | None,
    *,
    layout: Layout,
    near: int | None,
) -> Segments:
    """Where the runs of samples lie in time; `near`: where a clock that wraps shall begin."""
    rows = source.axes[0] == "segment"
    stamps: Any
    inside, unit, wraps = source.dataset, "s", None
    where = told.times or told.start
    if isinstance(where, StampDataset):
        inside, unit, wraps = f"{group.rstrip('/')}/{where.dataset}", where.unit, where.wraps_ns
        if told.times is not None:
            stamps = _stamps(file, inside, "one time stamp a sample is needed", source.count)
        elif rows:
            stamps = _stamps(file, inside, "one start time a segment is needed", source.shape[0])
        else:
            stamps = _first_stamp(file, inside)
    elif isinstance(where, Attribute):
        stamps = _attribute(file, group, where, of=inside, what="start")
        inside += f" attribute {where.attribute}"
    else:
        stamps = where or 0.0
    t0 = stamps_in_ns(
        stamps, unit=unit, clock=layout.clock, timezone=layout.timezone, file=file.path, inside=inside
    )
    if wraps is not None:
        t0 = unwrap(t0, wraps, near=near)
    if told.times is not None:
        return segments_of_stamps(t0, file=file.path, inside=inside, rate=rate)
    assert rate is not None  # the layout demands a rate where there are no `times`
    if not rows:
        return Segments.uniform(t0=int(t0[0]), rate=rate, count=source.count)
    steps = source.shape[source.axes.index("time")]
    return Segments(
        t0=t0,
        rate=np.full(len(t0), rate),
        offset=np.arange(len(t0), dtype=np.int64) * steps,
        count=np.full(len(t0), steps, dtype=np.int64),
    )


def _stamps(file: GuardedFile, inside: str, needed: str, count: int) -> Any:
    dataset = file.dataset(inside)
    if dataset.shape != (count,):
        raise _no_stamps(needed, file, inside, dataset.shape, f"shape ({count},)")
    return dataset[()]


def _first_stamp(file: GuardedFile, inside: str) -> Any:
    dataset = file.dataset(inside)
    if dataset.shape is None or 0 in dataset.shape:
        raise _no_stamps("there is no start time", file, inside, dataset.shape, "one value")
    return dataset[(0,) * dataset.ndim]


def _no_stamps(problem: str, file: GuardedFile, inside: str, found: object, expected: str) -> ArchiveError:
    return ArchiveError(
        problem,
        file=file.path,
        inside=inside,
        found=f"shape {found}",
        expected=expected,
        mend="correct `start` or `times` in the layout",
    )


def _text(file: GuardedFile, group: str, source: str | Attribute, what: str) -> str:
    if isinstance(source, str):
        return source
    return str(_attribute(file, group, source, of=None, what=what))


def _attribute(file: GuardedFile, group: str, source: Attribute, *, of: str | None, what: str) -> Any:
    if source.of is not None:
        places = [f"{group.rstrip('/')}/{source.of}"]
    else:
        places = [place for place in (of, group, "/") if place is not None]
    seen: list[str] = []
    for place in dict.fromkeys(places):
        node = file.node(place)
        if source.attribute in node.attrs:
            value = plain(node.attrs[source.attribute])
            while isinstance(value, list) and len(value) == 1:
                value = value[0]  # some tools write every attribute as an array
            return value
        seen += list(node.attrs)
    raise ArchiveError(
        f"attribute {source.attribute!r} is missing (for {what})",
        file=file.path,
        inside=" or ".join(dict.fromkeys(places)),
        found=f"attributes {sorted(set(seen))}",
        expected=f"an attribute {source.attribute!r}",
        mend=f"{nearest(source.attribute, seen)}correct the layout, or name a constant in it",
    )


def _number(value: Any, file: GuardedFile, inside: str, source: Attribute, what: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or (what == "scale" and number == 0):
        raise ArchiveError(
            f"the {what} is not a finite number" + (" other than 0" if what == "scale" else ""),
            file=file.path,
            inside=f"{inside} attribute {source.attribute}",
            found=repr(value),
            expected="one finite number",
            mend=f"correct the attribute, or name a constant {what} in the layout",
        )
    return number
