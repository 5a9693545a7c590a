"""Importer `gopro`: video, acceleration, gyroscope and temperature of one MP4 become one recording."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import ClassVar

import numpy as np

from sensorkd.errors import ArchiveError
from sensorkd.importers import Importer, ImportNote
from sensorkd.recordings import RecordingWriter
from sensorkd.recordings.writer import RecordingDraft
from sensorkd_adapters.importers.camera import add_video, created, later
from sensorkd_adapters.importers.gopro_telemetry import Telemetry, read_telemetry
from sensorkd_adapters.importers.mapping import load_mapping
from sensorkd_adapters.importers.video_file import opened, picture_track, track_start
from sensorkd_adapters.importers.video_frames import FrameSpool
from sensorkd_adapters.importers.video_mapping import GoproMapping

__all__ = ["GoproImporter"]

DEFAULT = GoproMapping.model_validate({"schema": "import-1.0", "importer": "gopro", "name": "gopro"})
# A payload stamped this far, in s, off a steady clock: its sensor is known no better against the video.
TOLERATED = 0.1


class GoproImporter(Importer):
    """MP4 of a GoPro with its telemetry. One recording a file, all streams on the clock of the video."""

    suffixes: ClassVar[tuple[str, ...]] = (".mp4",)

    def convert(self, source: Path, out: Path, mapping: Path | None) -> list[Path]:
        """Write one archive of the same name. Without a mapping, everything is taken as it is.

        Raises:
            ArchiveError: the file is no video, has no telemetry, or the archive exists already.
            ConfigError: the mapping is wrong.
        """
        told = load_mapping(mapping, GoproMapping) if mapping is not None else DEFAULT
        (archive,) = self.archives(source, out)
        stem = self.stem(source)
        with RecordingWriter(archive) as writer:
            draft = writer.recording(stem, clock=told.clock, identity=told.identity_of(source, stem))
            # Opened twice: the little telemetry first, so that its absence costs no decoding.
            with opened(source) as container:
                telemetry = read_telemetry(container, source)
            with opened(source) as container:
                origin = track_start(picture_track(container, source))
                if "video" in told.streams:
                    with FrameSpool(out, told.frames, file=source) as spool:
                        origin = add_video(draft, "video", container, spool, told)
                by = created(container, told, source) - origin
            _add_sensors(draft, telemetry, told, source, by)
        return [archive]


def _add_sensors(
    draft: RecordingDraft, telemetry: Telemetry, mapping: GoproMapping, source: Path, by: int
) -> None:
    """Write the sensors that are asked for, `by` ns later than on the file's own clock."""
    wanted = {name: signal for name, signal in telemetry.signals.items() if name in mapping.streams}
    if not wanted and "video" not in mapping.streams:
        raise ArchiveError(
            "the telemetry has none of the streams",
            file=source,
            found=sorted(telemetry.signals),
            expected=f"one of {list(mapping.streams)}",
            mend="correct `streams` in the mapping, or leave the file out",
        )
    for name, signal in wanted.items():
        draft.add_stream(
            name,
            signal.samples,
            rate=float(np.median(signal.segments.rate)),
            modality=name,
            unit=signal.unit,
            scale=signal.scale,
            channels=signal.channels,
            segments=later(signal.segments, by),
        )
        if signal.worst > TOLERATED:
            _note(
                source, f"payloads of {name} are stamped up to {1e3 * signal.worst:.0f} ms off a steady clock"
            )
    if telemetry.damaged:
        first = telemetry.damaged[0]
        _note(
            source,
            f"{len(telemetry.damaged)} payloads of telemetry are damaged and are a gap; the first: "
            f"{first.inside}: {first.problem}",
        )


def _note(source: Path, text: str) -> None:
    warnings.warn(f"{source}: {text}", ImportNote, stacklevel=3)
