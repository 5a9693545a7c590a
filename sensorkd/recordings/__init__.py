"""Files to streams: archives are opened safely and read lazily, as they were logged."""

from sensorkd.recordings.layout import Layout, load_layout
from sensorkd.recordings.logger import RecordingLogger
from sensorkd.recordings.logger_report import LoggerEvent, LoggerReport
from sensorkd.recordings.manifest import Manifest, seal
from sensorkd.recordings.reader import open_recordings
from sensorkd.recordings.recording import LabelTrack, Recording
from sensorkd.recordings.salvage_report import SalvageReport
from sensorkd.recordings.stream import Segments, Stream
from sensorkd.recordings.stream_format import StreamFormat
from sensorkd.recordings.writer import RecordingWriter

__all__ = [
    "LabelTrack",
    "Layout",
    "LoggerEvent",
    "LoggerReport",
    "Manifest",
    "Recording",
    "RecordingLogger",
    "RecordingWriter",
    "SalvageReport",
    "Segments",
    "Stream",
    "StreamFormat",
    "load_layout",
    "open_recordings",
    "seal",
]
