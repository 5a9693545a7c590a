"""Opens one recording of a damaged file: whatever part of it can be told, and why the others cannot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np

from sensorkd.errors import ArchiveError, SensorkdError
from sensorkd.recordings.guard import GuardedFile, plain
from sensorkd.recordings.layout import Layout, MatchSpan
from sensorkd.recordings.mapped import map_recording, matching_groups
from sensorkd.recordings.recording import Clock, LabelTrack
from sensorkd.recordings.salvage_losses import lost_ranges
from sensorkd.recordings.schema import CANONICAL_AXES, RESERVED_ATTRIBUTES, SEGMENT
from sensorkd.recordings.storage import READ_ERRORS
from sensorkd.recordings.stream import SampleSource, Segments, Stream, check_segments

__all__ = ["FoundRecording", "find_recording", "recording_groups", "stream_names"]

T = TypeVar("T")
Identity = dict[str, str | int | float]


@dataclass
class FoundRecording:
    """What can be told of a recording. failures: of streams by name; problems: of everything else."""

    clock: Clock = "relative"
    identity: Identity = field(default_factory=dict)
    streams: dict[str, Stream] = field(default_factory=dict)
    tracks: dict[str, LabelTrack] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def recording_groups(file: GuardedFile, layout: Layout | None) -> list[str]:
    """Paths of the recordings of a file."""
    if layout is not None:
        return matching_groups(file, layout)
    return [f"/{member}" for member in file.members("/")]


def stream_names(file: GuardedFile, group: str, layout: Layout | None) -> list[str]:
    """Names of the streams of a recording, whether they can be read or not."""
    return list(layout.streams) if layout is not None else file.members(f"{group}/streams")


def find_recording(
    file: GuardedFile, group: str, layout: Layout | None, names: list[str], *, end: int
) -> FoundRecording:
    """Open a recording with these streams of it; samples beyond byte `end` of the file are padding."""
    if layout is not None:
        return _find_mapped(file, group, layout, names)
    found = FoundRecording()
    attributes = _attributes(file, group, found)
    if attributes.get("clock") not in ("utc", "relative"):
        problem = f"{group}: its clock cannot be read; times are written as relative"
        found.problems += [] if attributes.get("clock") is None else [problem]
    else:
        found.clock = attributes["clock"]
    found.identity = {key: value for key, value in attributes.items() if key not in RESERVED_ATTRIBUTES}
    for name in names:
        inside = f"{group}/streams/{name}"
        stream = _tried(found.failures, name, partial(_stream, file, inside, end))
        if stream is not None:
            found.streams[name] = stream
    lost: dict[str, str] = {}
    for target in _tried(lost, f"{group}/labels", partial(_targets, file, group)) or []:
        inside = f"{group}/labels/{target}"
        track = _tried(lost, inside, partial(_track, file, inside, end))
        if track is not None:
            found.tracks[target] = track
    found.problems += [f"{inside}: lost: {why}" for inside, why in lost.items()]
    return found


def _tried(failures: dict[str, str], name: str, attempt: Callable[[], T]) -> T | None:
    try:
        return attempt()
    except SensorkdError as error:
        failures[name] = f"{error.problem} ({error.found})"
    except READ_ERRORS as error:
        failures[name] = repr(error)
    return None


def _attributes(file: GuardedFile, group: str, found: FoundRecording) -> dict[str, Any]:
    told: dict[str, Any] = {}
    attributes = file.group(group).attrs
    names = list(attributes)
    for key in names:
        lost: dict[str, str] = {}
        value = _tried(lost, key, partial(_plain, attributes, key))
        if isinstance(value, str | int | float):
            told[key] = value
        else:
            found.problems.append(
                f"{group} attribute {key}: lost: {lost.get(key, 'neither text nor number')}"
            )
    if "clock" not in names:
        found.problems.append(f"{group}: it says no clock; times are written as relative")
    return told


def _plain(attributes: Mapping[str, Any], key: str) -> Any:
    return plain(attributes[key])


def _stream(file: GuardedFile, group: str, end: int) -> Stream:
    attributes = {key: plain(value) for key, value in file.group(group).attrs.items()}
    dataset = file.dataset(f"{group}/samples")
    segments = _segments(file, group, len(dataset), end)
    return Stream(
        name=group.rpartition("/")[2],
        modality=attributes["modality"],
        unit=attributes["unit"],
        segments=segments,
        source=SampleSource(
            file.path, f"{group}/samples", CANONICAL_AXES[dataset.ndim], tuple(dataset.shape)
        ),
        dtype=dataset.dtype,
        scale=float(attributes["scale"]),
        offset=float(attributes["offset"]),
        channels=tuple(attributes.get("channels", ())),
    )


def _segments(file: GuardedFile, group: str, samples: int, end: int) -> Segments:
    """The rows of the table that can be read and are about samples that there are."""
    inside = f"{group}/segments"
    rows = _rows(file, inside, end)
    if rows.dtype != SEGMENT:
        raise ArchiveError("the table of segments is none", file=file.path, inside=inside, found=rows.dtype)
    sane = (rows["offset"] >= 0) & (rows["count"] >= 1) & (rows["offset"] + rows["count"] <= samples)
    table = Segments(**{column: rows[column][sane] for column in ("t0", "rate", "offset", "count")})
    if samples and not len(table):
        raise ArchiveError(
            "when its samples were taken is not known: the table of segments is lost",
            file=file.path,
            inside=inside,
            found=f"{len(rows)} rows for {samples:,} samples",
            expected="one a run without a gap",
            mend="give a layout that says rate and start of this file's streams",
        )
    if len(table):
        check_segments(table, samples, file=file.path, inside=inside)
    return table


def _rows(file: GuardedFile, inside: str, end: int) -> Any:
    """The rows of a table that can be read."""
    dataset = file.dataset(inside)
    keep = np.ones(len(dataset), np.bool_)
    for loss in lost_ranges(dataset, 0, end=end, file=file.path, inside=inside):
        keep[loss.start : loss.stop] = False
    rows = np.zeros(len(dataset), dataset.dtype)
    edges = np.flatnonzero(np.diff(keep, prepend=False, append=False)).reshape(-1, 2)
    for start, stop in edges:
        rows[start:stop] = dataset[start:stop]
    return rows[keep]


def _targets(file: GuardedFile, group: str) -> list[str]:
    return file.members(f"{group}/labels") if "labels" in file.members(group) else []


def _track(file: GuardedFile, group: str, end: int) -> LabelTrack:
    table = _rows(file, f"{group}/intervals", end)
    if len(table) < len(file.dataset(f"{group}/intervals")):
        raise ArchiveError(
            "some of its intervals are lost", file=file.path, inside=group, found=f"{len(table)} rows"
        )
    labels = tuple(plain(label) for label in table["label"])
    return LabelTrack(table["t0"].astype(np.int64), table["t1"].astype(np.int64), labels)


def _find_mapped(file: GuardedFile, group: str, layout: Layout, names: list[str]) -> FoundRecording:
    found = FoundRecording(clock=layout.clock)
    for name in names:
        alone = _only(layout, [name])
        recording = _tried(found.failures, name, partial(map_recording, file, group, "", alone))
        if recording is not None and name in recording.streams:
            found.streams[name] = recording.streams[name]
    if found.streams:
        whole = map_recording(file, group, "", _only(layout, list(found.streams)))
        found.identity = dict(whole.identity)
        found.tracks = dict(whole.tracks)
    return found


def _only(layout: Layout, names: list[str]) -> Layout:
    """The layout with these streams, and those whose span they follow."""
    rates = [layout.streams[name].rate for name in names]
    needed = {*names, *(rate.match_span_of for rate in rates if isinstance(rate, MatchSpan))}
    kept: Mapping[str, Any] = {name: told for name, told in layout.streams.items() if name in needed}
    return layout.model_copy(update={"streams": kept})
