"""Reads `recording-1.0` archives: the tree that `data_schemas/recording-1.0.json` describes."""

from __future__ import annotations

import numpy as np

from sensorkd.errors import ArchiveError
from sensorkd.recordings import schema
from sensorkd.recordings.guard import GuardedFile, plain
from sensorkd.recordings.recording import LabelTrack, Recording
from sensorkd.recordings.stream import SampleSource, Segments, Stream, check_segments, written_segments

__all__ = ["read_archive"]


def read_archive(file: GuardedFile, name: str) -> list[Recording]:
    """All recordings of a canonical file.

    Raises:
        ArchiveError: the tree does not follow the schema.
    """
    schema.check_archive(file)
    return [read_recording(file, f"/{member}", name) for member in file.members("/")]


def read_recording(file: GuardedFile, group: str, name: str) -> Recording:
    attributes = {key: plain(value) for key, value in file.group(group).attrs.items()}
    streams = {
        member: _stream(file, f"{group}/streams/{member}", member)
        for member in file.members(f"{group}/streams")
    }
    tracks = {}
    if "labels" in file.members(group):
        tracks = {
            target: _track(file, f"{group}/labels/{target}") for target in file.members(f"{group}/labels")
        }
    return Recording(
        id=f"{name}::{group.strip('/')}",
        path=file.path,
        group=group,
        clock=attributes["clock"],
        identity={
            key: str(value) for key, value in attributes.items() if key not in schema.RESERVED_ATTRIBUTES
        },
        streams=streams,
        tracks=tracks,
    )


def _stream(file: GuardedFile, group: str, name: str) -> Stream:
    attributes = {key: plain(value) for key, value in file.group(group).attrs.items()}
    dataset = file.dataset(f"{group}/samples")
    table = file.dataset(f"{group}/segments")[()]
    segments = Segments(
        t0=table["t0"].astype(np.int64),
        rate=table["rate"].astype(np.float64),
        offset=table["offset"].astype(np.int64),
        count=table["count"].astype(np.int64),
    )
    check_segments(segments, len(dataset), file=file.path, inside=f"{group}/segments")
    channels = tuple(attributes.get("channels", ()))
    if channels and len(channels) != dataset.shape[-1]:
        raise ArchiveError(
            "one name a channel is needed",
            file=file.path,
            inside=f"{group} attribute channels",
            found=list(channels),
            expected=f"{dataset.shape[-1]} names",
            mend="correct the attribute, or remove it",
        )
    axes = schema.CANONICAL_AXES[dataset.ndim]
    source = SampleSource(file.path, f"{group}/samples", axes, tuple(dataset.shape))
    return Stream(
        name=name,
        modality=attributes["modality"],
        unit=attributes["unit"],
        segments=written_segments(segments, source, dataset),
        source=source,
        dtype=dataset.dtype,
        scale=float(attributes["scale"]),
        offset=float(attributes["offset"]),
        channels=channels,
    )


def _track(file: GuardedFile, group: str) -> LabelTrack:
    table = file.dataset(f"{group}/intervals")[()]
    labels = tuple(plain(label) for label in table["label"])
    track = LabelTrack(table["t0"].astype(np.int64), table["t1"].astype(np.int64), labels)
    fault = track.fault()
    if fault is not None:
        raise ArchiveError(
            fault[0],
            file=file.path,
            inside=f"{group}/intervals",
            found=track.told(fault[1]),
            expected="t1 > t0, and one class at a time",
            mend="correct the table of intervals",
        )
    return track
