"""Frames of a video onto a disk, in bounded memory: those that can be trusted, with the time of each."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sensorkd import timeline
from sensorkd.errors import ArchiveError
from sensorkd_adapters.importers.picture import Picture, picture_of
from sensorkd_adapters.importers.video_file import decoded
from sensorkd_adapters.importers.video_mapping import FrameOptions

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video import VideoStream

__all__ = ["FrameSpool"]

# So many frames may stand between two that are shown in the order of decoding (H.264, HEVC).
REORDERED = 16
BLOCK_BYTES = 1 << 24
B_FRAME = 3


class FrameSpool:
    """Decodes a video into a nameless file beside the archive, which is gone when this is closed.

    A decoder that meets damage goes on with what it has: the frames that follow are built on a wrong one
    and are wrong themselves, without a word. So after a damaged packet or frame everything is left out up
    to the next key frame, and so are the B-frames just before, which may be built on it too.

    start: ns, time of the first frame on the file's own clock, whether it is kept or not.
    lost: frames that could not be trusted.
    unstamped: frames without a time. shape: (H, W, C) of each frame kept.
    """

    def __init__(self, folder: Path, options: FrameOptions, *, file: Path) -> None:
        self.options = options
        self.file = file
        self.lost = 0
        self.unstamped = 0
        self.seen = 0
        self.start: int | None = None
        self._times = array("q")
        self._b_frames = 0  # the last ones kept
        self._size: tuple[int, int] | None = None
        self.shape: tuple[int, ...] = ()
        self._waiting = False
        self._spool = tempfile.TemporaryFile(dir=folder, prefix=".frames.", suffix=".part")  # noqa: SIM115

    def __enter__(self) -> FrameSpool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._spool.close()

    def fill(self, container: InputContainer, track: VideoStream) -> None:
        """Decode everything.

        Raises:
            ArchiveError: no frame can be used, the picture changes its size, or the crop does not fit.
        """
        for time, frame in decoded(container, track):
            self.start = time if self.start is None else self.start
            if frame is None or frame.is_corrupt:
                self._distrust(frame is not None)
            elif self._waiting and not frame.key_frame:
                self.lost += 1
            else:
                self._waiting = False
                self._take(time, frame)
            self.seen += 1
        self._spool.flush()
        if not self._times:
            raise ArchiveError(
                "no frame of the video can be used",
                file=self.file,
                found=f"{self.seen} frames, {self.lost} of them damaged, {self.unstamped} without a time",
                expected="one or more that can be decoded and have a time stamp",
                mend="restore the file from its source; frames that have no stamps get them with a "
                "container: ffmpeg -framerate RATE -i FILE -c copy OUT.mp4",
            )

    @property
    def stamps(self) -> NDArray[np.int64]:
        """(n,) ns of the frames kept; the first frame of the video is at 0."""
        return np.array(self._times, dtype=np.int64) - (self.start or 0)

    def blocks(self, start: int, stop: int) -> Iterator[NDArray[np.uint8]]:
        """Frames [start, stop) of those kept, (n, H, W, C), a few at a time."""
        size = int(np.prod(self.shape))
        steps = max(1, BLOCK_BYTES // size)
        for first in range(start, stop, steps):
            count = min(steps, stop - first)
            self._spool.seek(first * size)
            yield np.frombuffer(self._spool.read(count * size), np.uint8).reshape(count, *self.shape)

    def _distrust(self, decoded_badly: bool) -> None:
        """Leave out what may be built on a damaged frame: the B-frames before it, and all until a key."""
        self.lost += 1
        self._waiting = True
        doubtful = min(self._b_frames, REORDERED) if decoded_badly else 0
        if doubtful:
            del self._times[-doubtful:]
            self.lost += doubtful
            self._b_frames = 0
            self._spool.seek(len(self._times) * int(np.prod(self.shape)))

    def _take(self, time: int | None, frame: VideoFrame) -> None:
        """Keep a frame, unless it has no time or is one of those to be dropped."""
        size = (frame.height, frame.width)
        self._size = self._size or size
        if size != self._size:
            raise ArchiveError(
                "the picture changes its size within the video",
                file=self.file,
                inside=f"frame {self.seen}",
                found=f"{size[1]} x {size[0]} pixels",
                expected=f"{self._size[1]} x {self._size[0]}, as before",
                mend="cut the video there, and import the parts",
            )
        if time is None:
            self.unstamped += 1
            return
        if self._wanted(time, frame):
            picture: Picture = picture_of(frame, self.options, file=self.file)
            self.shape = picture.shape
            self._spool.write(picture.tobytes())
            self._times.append(time)
            self._b_frames = self._b_frames + 1 if int(frame.pict_type) == B_FRAME else 0

    def _wanted(self, time: int, frame: VideoFrame) -> bool:
        if self.options.max_rate is None:
            return self.seen % self.options.every == 0
        if not self._times:
            return True
        # Stamps are rounded to ticks, in Matroska to whole milliseconds.
        tick = float(frame.time_base or 0) * timeline.SECOND
        return time - self._times[-1] >= timeline.SECOND / self.options.max_rate - 1.5 * tick
