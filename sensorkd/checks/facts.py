"""What is kept of a recording to compare it with the others once its file is closed. Small, picklable."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from sensorkd.checks.finding import Finding
from sensorkd.recordings import Recording

__all__ = ["FileReport", "RecordingFacts", "StreamFacts"]


@dataclass(frozen=True)
class StreamFacts:
    """One stream. digest: hash of its samples, where they were read."""

    modality: str
    unit: str
    sample_shape: tuple[int, ...]
    channels: tuple[str, ...]
    rate: float
    inside: str
    digest: str | None


@dataclass(frozen=True)
class RecordingFacts:
    """One recording. classes: target -> its classes. digest: hash of all samples of all streams."""

    id: str
    file: str
    group: str
    identity: Mapping[str, str]
    streams: Mapping[str, StreamFacts]
    classes: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, recording: Recording, digests: Mapping[str, str]) -> RecordingFacts:
        """digests: stream -> hash of its samples."""
        return cls(
            id=recording.id,
            file=str(recording.path),
            group=recording.group,
            identity=dict(recording.identity),
            streams={
                name: StreamFacts(
                    modality=stream.modality,
                    unit=stream.unit,
                    sample_shape=stream.sample_shape,
                    channels=stream.channels,
                    rate=stream.rate,
                    inside=stream.source.dataset,
                    digest=digests.get(name),
                )
                for name, stream in recording.streams.items()
            },
            classes={target: frozenset(track.label) for target, track in recording.tracks.items()},
        )

    @property
    def digest(self) -> str | None:
        """None where samples were not read."""
        digests = sorted(stream.digest or "" for stream in self.streams.values())
        if not digests or "" in digests:
            return None
        return hashlib.blake2b("".join(digests).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class FileReport:
    """What was found in one file, and the recordings that could be opened. name: as in their ids."""

    file: str
    name: str
    findings: tuple[Finding, ...]
    recordings: tuple[RecordingFacts, ...]
