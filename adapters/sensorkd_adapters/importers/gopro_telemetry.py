"""The sensors of a GoPro, from the telemetry track beside its video."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sensorkd import timeline
from sensorkd.errors import ArchiveError
from sensorkd.recordings.segmenting import segments_of_stamps
from sensorkd.recordings.stream import Segments
from sensorkd_adapters.importers.gpmf import SensorBlock, is_gpmf, sensor_blocks
from sensorkd_adapters.importers.payload_clock import segments_of_payloads
from sensorkd_adapters.importers.video_file import codecs, nanoseconds

if TYPE_CHECKING:
    from av.container import InputContainer

__all__ = ["Signal", "Telemetry", "read_telemetry"]


@dataclass(frozen=True)
class Signal:
    """One sensor's samples (n, C) as logged: physical value = sample * scale, in `unit`.

    segments: on the file's own clock. worst: s, how far a payload was stamped off them at most.
    """

    samples: NDArray[Any]
    scale: float
    unit: str
    channels: tuple[str, ...]
    segments: Segments
    worst: float


@dataclass(frozen=True)
class Telemetry:
    """Every sensor found, by modality. damaged: why payloads could not be read."""

    signals: dict[str, Signal]
    damaged: tuple[ArchiveError, ...]


@dataclass(frozen=True)
class _Payload:
    start: int
    end: int
    blocks: dict[str, SensorBlock]


def read_telemetry(container: InputContainer, path: Path) -> Telemetry:
    """Read the telemetry track from its beginning to its end.

    Raises:
        ArchiveError: there is no such track, or nothing in it that is sought.
    """
    payloads: list[_Payload] = []
    damaged: list[ArchiveError] = []
    for number, (start, end, content) in enumerate(_payloads(container, path)):
        try:
            blocks = sensor_blocks(content, file=path, inside=f"telemetry, payload {number}")
        except ArchiveError as error:
            damaged.append(error)
            continue
        # Of several devices, and of several sensors of one kind, the first: the camera itself.
        payloads.append(_Payload(start, end, {block.sensor: block for block in reversed(blocks)}))
    signals = {}
    for modality, sensor in (("acceleration", "ACCL"), ("gyroscope", "GYRO")):
        of_sensor = [payload for payload in payloads if sensor in payload.blocks]
        if of_sensor:
            signals[modality] = _signal(of_sensor, sensor, path)
    warmth = _temperature(payloads, path)
    if warmth is not None:
        signals["temperature"] = warmth
    if not signals:
        if damaged:
            raise damaged[0]
        raise _none(path, "a telemetry track without accelerometer, gyroscope or temperature")
    return Telemetry(signals, tuple(damaged))


def _payloads(container: InputContainer, path: Path) -> Iterator[tuple[int, int, bytes]]:
    """The packets of the telemetry track, each with the time [start, end) in ns that it stands for."""
    av = codecs()
    tracks = [stream for stream in container.streams if stream.type == "data"]
    if not tracks:
        raise _none(path, f"tracks {[stream.type for stream in container.streams]}")
    # Cameras keep other data tracks beside it, and only the content tells which is which.
    chosen: int | None = None
    try:
        for packet in container.demux(*tracks):
            content = bytes(packet) if packet.size else b""
            if chosen is None and is_gpmf(content):
                chosen = packet.stream_index
            if packet.stream_index != chosen or not content or packet.pts is None:
                continue
            base = packet.time_base
            end = packet.pts + max(1, packet.duration or 0)
            yield nanoseconds(packet.pts, base), nanoseconds(end, base), content
    except av.FFmpegError as error:
        if chosen is None:
            raise _none(path, error) from error
        return  # the file ends early
    if chosen is None:
        raise _none(path, f"{len(tracks)} data tracks of another kind")


def _signal(payloads: list[_Payload], sensor: str, path: Path) -> Signal:
    """The samples of all payloads as one signal.

    Raises:
        ArchiveError: payloads differ in axes or unit.
    """
    blocks = [payload.blocks[sensor] for payload in payloads]
    kinds = {(block.values.shape[1], block.unit, block.device) for block in blocks}
    if len(kinds) > 1:
        raise ArchiveError(
            "a sensor changes within the recording",
            file=path,
            inside=f"telemetry, {sensor!r}",
            found=f"axes, unit and device {sorted(kinds)}",
            expected="the same in every payload",
            mend="take the video alone, with the importer `video`",
        )
    samples, scale = _as_logged(blocks)
    count = np.array([len(block.values) for block in blocks], dtype=np.int64)
    starts, ends = _stamps(payloads, blocks)
    segments, off = segments_of_payloads(_first(blocks, count), count, starts, ends)
    return Signal(samples, scale, blocks[0].unit, blocks[0].names, segments, float(np.abs(off).max()))


def _as_logged(blocks: list[SensorBlock]) -> tuple[NDArray[Any], float]:
    """Samples and their one scale; where axes or payloads have scales of their own, scaled to float32."""
    divisors = {value for block in blocks for value in block.divisor.tolist()}
    if len(divisors) == 1 and len({block.values.dtype for block in blocks}) == 1:
        return np.concatenate([block.values for block in blocks]), 1.0 / divisors.pop()
    scaled = [(block.values / block.divisor).astype(np.float32) for block in blocks]
    return np.concatenate(scaled), 1.0


def _first(blocks: list[SensorBlock], count: NDArray[np.int64]) -> NDArray[np.int64]:
    """The number of each payload's first sample: as the camera counts, else as they come."""
    totals = [block.total for block in blocks]
    if any(total is None for total in totals):
        return np.asarray(np.cumsum(count) - count, dtype=np.int64)
    return np.array(totals, dtype=np.int64) - count


def _stamps(
    payloads: list[_Payload], blocks: list[SensorBlock]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Start and end of payloads in ns. The camera's own stamps, to the us, are finer than its track's."""
    starts = np.array([payload.start for payload in payloads], dtype=np.int64)
    ends = np.array([payload.end for payload in payloads], dtype=np.int64)
    own = [block.stamp for block in blocks if block.stamp is not None]
    if len(own) < len(blocks):
        return starts, ends
    fine = np.array(own, dtype=np.int64) * 1_000
    # They count from another instant, so only their steps are taken.
    fine += round(float(np.median(starts - fine)))
    return fine, fine + (ends - starts)


def _temperature(payloads: list[_Payload], path: Path) -> Signal | None:
    """One reading a payload. Every sensor's stream repeats it; it is taken once."""
    readings = [
        (payload.start, told[0])
        for payload in payloads
        if (told := [b.temperature for b in payload.blocks.values() if b.temperature is not None])
    ]
    if not readings:
        return None
    stamps = np.array([start for start, _ in readings], dtype=np.int64)
    spans = [payload.end - payload.start for payload in payloads]
    rate = timeline.SECOND / float(np.median(spans)) if len(stamps) == 1 else None
    segments = segments_of_stamps(stamps, file=path, inside="telemetry, 'TMPC'", rate=rate)
    samples = np.array([[value] for _, value in readings], dtype=np.float32)
    return Signal(samples, 1.0, "degC", ("sensor",), segments, 0.0)


def _none(path: Path, found: object) -> ArchiveError:
    return ArchiveError(
        "the file has no GoPro telemetry that can be used",
        file=path,
        found=found,
        expected="a track of GPMF payloads with 'ACCL', 'GYRO' or 'TMPC'",
        mend="take its pictures alone with `--importer video`; editing and uploading remove telemetry",
    )
