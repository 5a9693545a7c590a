"""Small sound archives of several kinds, for `fuzz.py` to damage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from sensorkd.recordings import Layout, Recording, RecordingWriter, open_recordings
from sensorkd.recordings.layout import parse_layout
from sensorkd.timeline import SECOND

START = "2024-03-01T08:00:{:06.3f}Z"


@dataclass(frozen=True)
class Sound:
    """A sound archive: its bytes, where its samples lie, and all that is told of it."""

    kind: str
    content: bytes
    payload: tuple[tuple[int, int], ...]
    layout: Layout | None
    told: tuple[Any, ...]


def sound_archives(folder: Path) -> Iterator[Sound]:
    gzip = {"compression": "gzip"}
    ways: dict[str, dict[str, Any]] = {
        "oldest, contiguous": {},
        "newest, contiguous": {"libver": "latest"},
        "oldest, gzip": gzip,
        "newest, gzip": {**gzip, "libver": "latest"},
        "oldest, fletcher32": {**gzip, "fletcher32": True},
        "oldest, text": {"text": True},
    }
    path = folder / "recording-1.0.h5"
    write_canonical(path)
    yield sound("recording-1.0", path, None)
    for number, (kind, way) in enumerate(ways.items()):
        path = folder / f"{number}.h5"
        write_foreign(path, **way)
        yield sound(kind, path, foreign_layout(text=bool(way.get("text"))))


def sound(kind: str, path: Path, layout: Layout | None) -> Sound:
    payload: list[tuple[int, int]] = []

    def note(_: str, node: Any) -> None:
        if not isinstance(node, h5py.Dataset) or not node.name.endswith(("samples", "value")):
            return
        if node.chunks is None:
            payload.append((node.id.get_offset(), node.id.get_storage_size()))
        else:
            node.id.chunk_iter(lambda chunk: payload.append((chunk.byte_offset, chunk.size)))

    with h5py.File(path) as file:
        file.visititems(note)
    return Sound(kind, path.read_bytes(), tuple(payload), layout, told_of(path, layout))


def write_canonical(path: Path) -> None:
    rng = np.random.default_rng(1)
    shake = np.cumsum(rng.integers(-9, 10, (400, 2)), axis=0).astype(np.int16)
    heat = (20 + 0.01 * np.arange(40)).astype(np.float32)[:, None]
    with RecordingWriter(path) as writer:
        for session in ("monday", "tuesday"):
            draft = writer.recording(
                session, clock="utc", identity={"machine": "press 4", "session": session}
            )
            kind = {"modality": "acceleration", "unit": "m/s2", "scale": 0.01, "channels": ("x", "y")}
            draft.add_stream("acceleration", samples=shake, rate=50.0, t0=1_700_000_000 * SECOND, **kind)
            draft.add_stream(
                "temperature",
                samples=heat,
                rate=5.0,
                t0=1_700_000_000 * SECOND,
                modality="temperature",
                unit="degC",
            )
            intervals = [(1_700_000_000 * SECOND, 1_700_000_003 * SECOND, "idle")]
            draft.add_labels("state", [*intervals, (1_700_000_003 * SECOND, 1_700_000_008 * SECOND, "läuft")])


def write_foreign(path: Path, libver: str = "earliest", text: bool = False, **storage: Any) -> None:
    rng = np.random.default_rng(2)

    def word(value: str) -> Any:
        return value if text else np.bytes_(value)

    def stored(group: Any, name: str, values: Any) -> Any:
        pieces = {"chunks": (max(1, len(values) // 4), *values.shape[1:])} if storage else {}
        return group.create_dataset(name, data=values, **(storage | pieces))

    with h5py.File(path, "w", libver=libver) as file:
        file.attrs["machine"] = word("press 4")
        for trial in range(3):
            group = file.create_group(f"trial_{trial}")
            group.attrs["state"] = word("idle" if trial else "running")
            values = np.cumsum(rng.integers(-9, 10, (200, 2)), axis=0).astype(np.int16)
            samples = stored(group, "shake/value", values)
            samples.attrs["unit"], samples.attrs["scale"] = word("m/s2"), 0.01
            seconds = 0.02 * np.arange(200)
            if text:
                group["shake/time"] = [START.format(step) for step in seconds]
            else:
                stored(group, "shake/time", seconds)
            heat = stored(group, "heat/value", (20 + 0.01 * np.arange(20)).astype(np.float32))
            heat.attrs["unit"], heat.attrs["rate"] = word("degC"), 5.0
            if text:
                heat.attrs["start"] = START.format(0.0)


def foreign_layout(*, text: bool) -> Layout:
    start = {"start": {"attribute": "start"}} if text else {}
    return parse_layout(
        {
            "schema": "layout-1.0",
            "name": "foreign",
            "recordings": "/trial_*",
            "clock": "utc" if text else "relative",
            "identity": {"machine": {"attribute": "machine", "of": None}},
            "labels": {"state": {"attribute": "state"}},
            "streams": {
                "shake": {
                    "modality": "acceleration",
                    "samples": "shake/value",
                    "axes": ["time", "channel"],
                    "unit": {"attribute": "unit"},
                    "scale": {"attribute": "scale"},
                    "times": {"dataset": "shake/time"},
                },
                "heat": {
                    "modality": "temperature",
                    "samples": "heat/value",
                    "axes": ["time"],
                    "unit": {"attribute": "unit"},
                    "rate": {"attribute": "rate"},
                    **start,
                },
            },
        }
    )


def told_of(path: Path, layout: Layout | None) -> tuple[Any, ...]:
    """All that a file says, every sample among it, so that two can be compared."""
    return tuple(_told(recording) for recording in open_recordings(path, layout))


def _told(recording: Recording) -> tuple[Any, ...]:
    streams = [
        (
            (stream.name, stream.modality, stream.unit, stream.scale, stream.offset, stream.channels),
            [getattr(stream.segments, name).tobytes() for name in ("t0", "rate", "offset", "count")],
            (stream.dtype.str, stream.read(0, stream.source.count).tobytes()),
        )
        for stream in recording.streams.values()
    ]
    tracks = [
        (name, track.t0.tobytes(), track.t1.tobytes(), track.label)
        for name, track in recording.tracks.items()
    ]
    return recording.group, recording.clock, sorted(recording.identity.items()), streams, tracks
