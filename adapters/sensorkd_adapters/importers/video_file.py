"""Opens a video that may be damaged or made to do harm, and yields its frames one by one."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sensorkd import timeline
from sensorkd.errors import ArchiveError, MissingExtraError

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video import VideoStream

__all__ = ["SUFFIXES", "codecs", "decoded", "nanoseconds", "opened", "picture_track", "track_start"]

SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg",
    ".wmv", ".asf", ".flv",
)  # fmt: skip
# Other demuxers, such as those of playlists, open further files and addresses that the file names.
OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf",
}
# Twice what 8K has. A decoder takes memory for what a damaged header declares.
MAX_PIXELS = 1 << 26
MAX_BOXES = 10_000


def codecs() -> Any:
    """PyAV, imported only where a video is read.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import av
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "videos are read by PyAV, which is not installed",
            found=str(error),
            expected="the package av",
            mend="pip install 'sensorkd[video]'",
        ) from error
    return av


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """The container of a file, told as an error if it is none.

    Raises:
        ArchiveError: it is empty, cut short, or no video.
    """
    av = codecs()
    try:
        # The whole path: a name like concat:a|b would be taken for a protocol.
        container = av.open(str(path.resolve()), mode="r", options=dict(OPTIONS), metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        raise _unreadable(path, error) from error
    with container:
        yield container


def picture_track(container: InputContainer, path: Path) -> VideoStream:
    """The track of pictures.

    Raises:
        ArchiveError: there is none, none can decode it, or its frames are too large to be true.
    """
    track = container.streams.best("video")
    if track is None or track.codec_context is None:
        raise ArchiveError(
            "the file has no pictures that can be decoded",
            file=path,
            found=[stream.type for stream in container.streams],
            expected="a video track of a codec that FFmpeg knows",
            mend="leave the file out, or convert it first",
        )
    context: Any = track.codec_context
    if context.width * context.height > MAX_PIXELS:
        raise ArchiveError(
            "frames are larger than any camera's",
            file=path,
            found=f"{context.width} x {context.height} pixels declared",
            expected=f"at most {MAX_PIXELS:,} pixels",
            mend="the header is damaged or made to exhaust memory: restore the file from its source",
        )
    context.options = {"max_pixels": str(MAX_PIXELS)}
    return track  # type: ignore[return-value]


def decoded(container: InputContainer, track: VideoStream) -> Iterator[tuple[int | None, VideoFrame | None]]:
    """Frames in the order in which they are shown, each with its time in ns; None is a damaged packet.

    A frame that has no time stamp comes with None. Ends early where the file does.
    """
    av = codecs()
    # AVI stamps packets in the order of decoding alone, and B-frames are shown in another.
    unordered: list[int] | None = [] if container.format.name == "avi" else None
    packets = container.demux(track)
    with _judge(track) as decode:
        while True:
            try:
                packet = next(packets)
                frames = decode(packet)
            except StopIteration:
                return
            except av.FFmpegError:
                yield None, None
                continue  # where reading itself failed, there is no next packet
            if unordered is not None and packet.dts is not None:
                heapq.heappush(unordered, packet.dts)
            for frame in frames:
                stamp = heapq.heappop(unordered) if unordered else frame.pts
                base = frame.time_base or track.time_base
                yield None if stamp is None else nanoseconds(stamp, base), frame


@contextmanager
def _judge(track: VideoStream) -> Iterator[Callable[[Any], list[Any]]]:
    """How to decode packets of this track so that damage raises, as far as its codec can notice it.

    Most decoders mark a damaged frame. That of FFV1 compares checksums and only writes to its log that
    they differ; it is read, for one thread alone. That of JPEG is told to be strict, which would make
    others keep silent about frames that they now mark.
    """
    av, context = codecs(), track.codec_context
    if context.name == "mjpeg":
        context.options = context.options | {"err_detect": "explode"}
    if context.name != "ffv1":
        yield lambda packet: packet.decode()
        return
    context.thread_count = 1
    before = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)

    def decode(packet: Any) -> list[Any]:
        with av.logging.Capture(True) as said:
            frames: list[Any] = packet.decode()
        if said:
            raise av.InvalidDataError(0, said[0][2].strip())
        return frames

    try:
        yield decode
    finally:
        av.logging.set_level(before)


def nanoseconds(stamp: int, base: Any) -> int:
    """A stamp in ticks of `base` seconds, a fraction, to the nearest ns."""
    return round(Fraction(stamp * base.numerator * timeline.SECOND, base.denominator))


def track_start(track: VideoStream) -> int:
    """When the first frame is shown, in ns, as the container says without decoding."""
    base: Any = track.time_base
    return nanoseconds(track.start_time or 0, base) if base else 0


def _unreadable(path: Path, error: Exception) -> ArchiveError:
    size = path.stat().st_size if path.is_file() else 0
    if path.is_file() and not size:
        return ArchiveError(
            "the file is empty: the camera likely died before it wrote anything",
            file=path,
            found="0 bytes",
            expected="a video",
            mend="remove it, or copy it again from the camera",
        )
    boxes = _boxes(path) if size else []
    if boxes[:1] == ["ftyp"] and "moov" not in boxes:
        return ArchiveError(
            "the video has no index: it was cut short, or the camera lost power before it was finished",
            file=path,
            found=f"{size:,} bytes, parts {boxes}",
            expected="a part 'moov', which says where each frame lies and is written last",
            mend="copy it again; some cameras repair their last file when they are switched on",
        )
    return ArchiveError(
        "the file is not a video that can be read",
        file=path,
        found=error,
        expected="MP4, MOV, MKV, WebM, AVI, MPEG-TS or the like, whole",
        mend="restore the file from its source, or leave it out",
    )


def _boxes(path: Path) -> list[str]:
    """The names of the parts that an MP4 consists of, as far as their lengths hold."""
    names: list[str] = []
    size = path.stat().st_size
    with path.open("rb") as handle:
        at = 0
        while at + 8 <= size and len(names) < MAX_BOXES:
            handle.seek(at)
            head = handle.read(16)
            length = int.from_bytes(head[:4], "big")
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            name = head[4:8].decode("latin-1")
            names.append(name)
            if length < 8:
                break
            at += length
    return names
