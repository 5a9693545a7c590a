"""Files to streams: archives are opened safely and read lazily, as they were logged."""

from sensorkd.recordings.layout import Layout, load_layout
from sensorkd.recordings.reader import open_recordings
from sensorkd.recordings.recording import LabelTrack, Recording
from sensorkd.recordings.stream import Segments, Stream
from sensorkd.recordings.writer import RecordingWriter

__all__ = [
    "LabelTrack",
    "Layout",
    "Recording",
    "RecordingWriter",
    "Segments",
    "Stream",
    "load_layout",
    "open_recordings",
]
