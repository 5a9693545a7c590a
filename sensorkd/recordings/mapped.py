"""Reads foreign HDF5 trees as a layout says, without converting them."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Mapping
from typing import Any

import numpy as np

from sensorkd import timeline
from sensorkd.errors import ArchiveError
from sensorkd.recordings.attributes import attribute, number_of, text_of
from sensorkd.recordings.guard import GuardedFile
from sensorkd.recordings.layout import Attribute, Layout, MatchSpan, StreamLayout
from sensorkd.recordings.mapped_times import lay_in_time, wraps
from sensorkd.recordings.recording import LabelTrack, Recording
from sensorkd.recordings.stream import (
    SampleSource,
    Stream,
    check_axes,
    check_rate,
    check_segments,
    written_segments,
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
            key: text_of(file, group, source, f"identity.{key}") for key, source in layout.identity.items()
        },
        streams={key: streams[key] for key in layout.streams if key in streams},
    )
    if not streams:
        return recording
    tracks = {
        target: LabelTrack.constant(
            text_of(file, group, source, f"labels.{target}"), start=recording.start, end=recording.end
        )
        for target, source in layout.labels.items()
    }
    return dataclasses.replace(recording, tracks=tracks)


def _stream(file: GuardedFile, group: str, name: str, layout: Layout, others: Mapping[str, Stream]) -> Stream:
    told = layout.streams[name]
    source, dtype = _source(file, f"{group.rstrip('/')}/{told.samples}", name, told)
    inside = source.dataset

    numbers = {
        what: number_of(value, file, group, of=inside, what=what)
        for what in ("rate", "nominal_rate", "scale", "offset")
        if (value := getattr(told, what)) is not None and not isinstance(value, MatchSpan)
    }
    if isinstance(told.rate, MatchSpan):
        numbers["rate"] = _rate_matching(others, told.rate, source.count, file=file, inside=inside)
    for what in ("rate", "nominal_rate"):
        if what in numbers:
            check_rate(numbers[what], file=file.path, inside=inside)
    unit = told.unit
    if isinstance(unit, Attribute):
        unit = str(attribute(file, group, unit, of=inside, what="unit"))
    wrapped = [other.start for key, other in others.items() if wraps(layout.streams[key])]
    laid = lay_in_time(
        file, group, told, source, numbers.get("rate"), layout=layout, near=wrapped[0] if wrapped else None
    )
    check_segments(laid.segments, laid.source.count, file=file.path, inside=inside)
    return Stream(
        name=name,
        modality=told.modality,
        unit=unit,
        segments=written_segments(laid.segments, laid.source, file.dataset(inside)),
        source=laid.source,
        dtype=dtype,
        scale=numbers["scale"],
        offset=numbers["offset"],
        channels=told.channels,
        nominal_rate=numbers.get("nominal_rate"),
        stamps=laid.stamps,
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
