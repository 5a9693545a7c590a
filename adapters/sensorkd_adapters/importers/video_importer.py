"""Importer `video`: the pictures of a film become one stream, each frame at the time that its stamp says."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from sensorkd.importers import Importer
from sensorkd.recordings import RecordingWriter
from sensorkd_adapters.importers.camera import add_video
from sensorkd_adapters.importers.mapping import load_mapping
from sensorkd_adapters.importers.video_file import SUFFIXES, opened
from sensorkd_adapters.importers.video_frames import FrameSpool
from sensorkd_adapters.importers.video_mapping import VideoMapping

__all__ = ["VideoImporter"]

DEFAULT = VideoMapping.model_validate({"schema": "import-1.0", "importer": "video", "name": "video"})


class VideoImporter(Importer):
    """MP4, MOV, MKV, AVI, MPEG-TS and others that FFmpeg reads. One recording a file; sound is left out."""

    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES

    def convert(self, source: Path, out: Path, mapping: Path | None) -> list[Path]:
        """Write one archive of the same name. Without a mapping, frames are taken as they are.

        Raises:
            ArchiveError: the file is no video, none of its frames can be used, or the archive exists already.
            ConfigError: the mapping is wrong.
        """
        told = load_mapping(mapping, VideoMapping) if mapping is not None else DEFAULT
        (archive,) = self.archives(source, out)
        stem = self.stem(source)
        with (
            RecordingWriter(archive) as writer,
            opened(source) as container,
            FrameSpool(out, told.frames, file=source) as spool,
        ):
            draft = writer.recording(stem, clock=told.clock, identity=told.identity_of(source, stem))
            add_video(draft, told.stream, container, spool, told)
        return [archive]
