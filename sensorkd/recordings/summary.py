"""What an archive holds, told without reading a sample."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sensorkd import timeline
from sensorkd.recordings.open_files import open_guarded
from sensorkd.recordings.recording import Recording
from sensorkd.recordings.stream import StampReport, Stream

__all__ = ["RecordingSummary", "StreamSummary", "describe", "summarise"]


@dataclass(frozen=True)
class StreamSummary:
    """One stream. start, seconds: on the recording's clock, gaps and all. logged: s, without the gaps.

    chunks: None for contiguous storage.
    nominal_rate: Hz, what the file claims. stamps: what was found in the time stamps, where there are some.
    """

    name: str
    modality: str
    unit: str
    dtype: str
    sample_shape: tuple[int, ...]
    samples: int
    rate: float
    start: float
    seconds: float
    logged: float
    segments: int
    longest_gap: float
    chunks: tuple[int, ...] | None
    compression: str | None
    nominal_rate: float | None = None
    stamps: StampReport | None = None

    def line(self) -> str:
        """For people."""
        shape = "x".join(map(str, self.sample_shape))
        nominal = "" if self.nominal_rate is None else f" (nominal {self.nominal_rate:.6g})"
        gaps = f", {self.segments} segments, longest gap {self.longest_gap:.3g} s, {self.logged:.3f} s logged"
        storage = f"chunks {'x'.join(map(str, self.chunks))}" if self.chunks else "contiguous"
        return (
            f"  {self.name}: {self.modality} [{self.unit}] {self.dtype} {shape}, "
            f"{self.rate:.6g} Hz{nominal}, {self.seconds:.3f} s from {self.start:.3f}"
            f"{gaps if self.segments > 1 else ''}; {storage}"
            f"{' ' + self.compression if self.compression else ''}"
        )

    def stamp_line(self) -> str | None:
        """What was wrong with the time stamps, for people; None where nothing was."""
        if self.stamps is None:
            return None
        found = self.stamps
        told: list[str] = []
        if found.worst >= 1e-6:  # less is rounding
            told.append(f"jitter {1e3 * found.jitter:.3g} ms, at worst {1e3 * found.worst:.3g} ms")
        for count, what in (
            (found.duplicates, "came twice and dropped"),
            (found.reordered, "sorted into place"),
            (found.jumps, "where the clock was set"),
            (found.cut, "left out because the clock was set back"),
        ):
            if count:
                told.append(f"{count} {what}")
        return f"    time stamps: {', '.join(told)}" if told else None


@dataclass(frozen=True)
class RecordingSummary:
    """One recording. labels: target -> seconds a class."""

    id: str
    clock: str
    identity: dict[str, str]
    streams: tuple[StreamSummary, ...]
    labels: dict[str, dict[str, float]]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return dataclasses.asdict(self)

    def lines(self) -> list[str]:
        """For people."""
        identity = ", ".join(f"{key}={value}" for key, value in self.identity.items())
        text = [f"{self.id}  ({self.clock} clock; {identity})"]
        for stream in self.streams:
            text += [line for line in (stream.line(), stream.stamp_line()) if line is not None]
        for target, classes in self.labels.items():
            told = ", ".join(f"{name} {seconds:.3g} s" for name, seconds in classes.items())
            text.append(f"  label {target}: {told}")
        return text


def describe(recording: Recording) -> RecordingSummary:
    """Summarise one recording from its metadata."""
    labels: dict[str, dict[str, float]] = {}
    for target, track in recording.tracks.items():
        seconds: dict[str, float] = {}
        for label, length in zip(track.label, (track.t1 - track.t0) / timeline.SECOND, strict=True):
            seconds[label] = seconds.get(label, 0.0) + float(length)
        labels[target] = seconds
    return RecordingSummary(
        id=recording.id,
        clock=recording.clock,
        identity=dict(recording.identity),
        streams=tuple(_describe_stream(stream) for stream in recording.streams.values()),
        labels=labels,
    )


def _describe_stream(stream: Stream) -> StreamSummary:
    dataset = open_guarded(stream.source.path).dataset(stream.source.dataset)
    gaps = stream.segments.t0[1:] - stream.segments.ends[:-1]
    return StreamSummary(
        name=stream.name,
        modality=stream.modality,
        unit=stream.unit,
        dtype=stream.dtype.name,
        sample_shape=stream.sample_shape,
        samples=int(stream.segments.count.sum()),
        rate=stream.rate,
        start=stream.start / timeline.SECOND,
        seconds=(stream.end - stream.start) / timeline.SECOND,
        logged=float((stream.segments.ends - stream.segments.t0).sum() / timeline.SECOND),
        segments=len(stream.segments),
        longest_gap=float(gaps.max() / timeline.SECOND) if len(gaps) else 0.0,
        chunks=dataset.chunks,
        compression=dataset.compression,
        nominal_rate=stream.nominal_rate,
        stamps=stream.stamps,
    )


def summarise(described: Sequence[RecordingSummary]) -> list[str]:
    """All recordings together: how many have each stream, the range of its rates, and the classes."""
    text = [f"{len(described)} recordings"]
    for key in sorted({key for item in described for key in item.identity}):
        values = {item.identity[key] for item in described if key in item.identity}
        text.append(
            f"  {key}: {len(values)} ({', '.join(sorted(values)[:8])}{' ...' if len(values) > 8 else ''})"
        )
    names = sorted({stream.name for item in described for stream in item.streams})
    for name in names:
        streams = [stream for item in described for stream in item.streams if stream.name == name]
        rates = np.array([stream.rate for stream in streams])
        spread = (
            f"{rates.min():.6g}"
            if np.ptp(rates) < 1e-9
            else (f"{rates.min():.4g} to {rates.max():.4g}, median {np.median(rates):.4g}")
        )
        hours = sum(stream.logged for stream in streams) / 3600
        text.append(f"  {name}: in {len(streams)} of {len(described)}, {spread} Hz, {hours:.3g} h")
    for target in sorted({target for item in described for target in item.labels}):
        counts = Counter(name for item in described for name in item.labels.get(target, ()))
        told = ", ".join(f"{name} {count}" for name, count in counts.most_common(12))
        more = f" ... {len(counts)} classes" if len(counts) > 12 else ""
        text.append(f"  label {target} (recordings): {told}{more}")
    return text
