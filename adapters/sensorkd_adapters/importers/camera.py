"""What importers of videos have in common: the clock that a camera claims, and frames as a stream."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np

from sensorkd import timeline
from sensorkd.errors import ArchiveError
from sensorkd.importers import ImportNote
from sensorkd.recordings import Segments
from sensorkd.recordings.stream import check_segments
from sensorkd.recordings.stream_format import StreamFormat
from sensorkd.recordings.writer import RecordingDraft
from sensorkd_adapters.importers.frame_clock import segments_of_frames
from sensorkd_adapters.importers.video_file import picture_track
from sensorkd_adapters.importers.video_frames import FrameSpool
from sensorkd_adapters.importers.video_mapping import CameraMapping

if TYPE_CHECKING:
    from av.container import InputContainer

__all__ = ["add_video", "created", "later"]

CHANNELS = {"rgb": ("red", "green", "blue"), "gray": ("gray",)}
# Cameras whose clock was never set say 1904, 1970 or the year in which they were made.
EARLIEST = datetime(2000, 1, 2, tzinfo=UTC)


def add_video(
    draft: RecordingDraft, name: str, container: InputContainer, spool: FrameSpool, mapping: CameraMapping
) -> int:
    """Decode the pictures of a file and write them as a stream; `spool` is empty before.

    Returns:
        ns, when its first frame was shown, on the file's own clock; in the stream it is at `created`.

    Raises:
        ArchiveError: there are none, or none that can be used.
    """
    track = picture_track(container, spool.file)
    spool.fill(container, track)
    claimed = float(track.average_rate) if track.average_rate else None
    segments, worst = segments_of_frames(spool.stamps, file=spool.file, rate=claimed)
    segments = later(segments, created(container, mapping, spool.file))
    check_segments(segments, len(spool.stamps), file=spool.file, inside="frames")
    told = StreamFormat(
        modality="video",
        unit="1",
        dtype=np.dtype(np.uint8),
        sample_shape=spool.shape,
        rate=float(np.median(segments.rate)),
        scale=1 / 255,
        channels=CHANNELS[mapping.frames.color],
    )
    growing = draft.grow_stream(name, told)
    for t0, rate, offset, count in zip(
        segments.t0.tolist(),
        segments.rate.tolist(),
        segments.offset.tolist(),
        segments.count.tolist(),
        strict=True,
    ):
        growing.begin(t0, rate)
        for block in spool.blocks(offset, offset + count):
            growing.append(block)
    for note in _notes(spool, segments, worst, int(track.frames or 0)):
        warnings.warn(f"{spool.file}: {note}", ImportNote, stacklevel=2)
    return spool.start or 0


def created(container: InputContainer, mapping: CameraMapping, file: Path) -> int:
    """When the recording began, in ns: 0 on a relative clock, else what the camera says.

    Raises:
        ArchiveError: it does not say, or what it says is the date of an unset clock.
    """
    if mapping.clock == "relative":
        return 0
    text = container.metadata.get("creation_time", "")
    try:
        told = datetime.fromisoformat(text)
    except ValueError:
        told = None
    if told is not None:
        zone = ZoneInfo(mapping.timezone) if mapping.timezone else told.tzinfo or UTC
        told = told.replace(tzinfo=zone).astimezone(UTC)
    if told is None or told < EARLIEST:
        raise ArchiveError(
            "the camera does not tell when it recorded",
            file=file,
            inside="creation_time",
            found=repr(text) if text else "nothing",
            expected=f"a date and time after {EARLIEST:%Y}",
            mend="say `clock: relative` in the mapping",
        )
    # Not timestamp(), whose floats are coarser than the microseconds that may be there.
    since = told - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * timeline.SECOND + since.microseconds * 1_000


def later(segments: Segments, by: int) -> Segments:
    """The same runs, so many ns later."""
    return Segments(t0=segments.t0 + by, rate=segments.rate, offset=segments.offset, count=segments.count)


def _notes(spool: FrameSpool, segments: Segments, worst: float, declared: int) -> list[str]:
    """What whoever imported it should know of the video, though it is no error."""
    notes = []
    if spool.lost:
        notes.append(
            f"{spool.lost} of {spool.seen} frames are damaged, or built on damaged ones, and are a gap"
        )
    if spool.unstamped:
        notes.append(f"{spool.unstamped} frames have no time stamp and are left out")
    if declared > spool.seen:
        notes.append(
            f"the file declares {declared} frames and gives {spool.seen}: it ends early, "
            "or an edit list hides some"
        )
    if worst > 0.5 / float(np.median(segments.rate)) or len(segments) > 1 + spool.lost:
        notes.append(
            f"the frame rate varies: {len(segments)} segments at {segments.rate.min():.3f} to "
            f"{segments.rate.max():.3f} Hz, stamps up to {1e3 * worst:.1f} ms off them"
        )
    return notes
