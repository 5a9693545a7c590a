"""Clips made on the fly, whose pictures tell their own number, and telemetry as GoPro cameras write it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

TICKS = Fraction(1, 90_000)
HEIGHT, WIDTH = 48, 64


def still(number: int, *, height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    """Upper half: brightness tells the number; lower half: red on the left, dark on the right."""
    frame = np.zeros((height, width, 3), np.uint8)
    frame[: height // 2] = 16 + number % 50 * 4
    frame[height // 2 :, : width // 2, 0] = 220
    return frame


def film(
    path: Path,
    *,
    codec: str = "libx264",
    count: int = 50,
    rate: int = 25,
    stamps: Sequence[int] | None = None,
    matrix: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
    metadata: dict[str, str] | None = None,
    telemetry: Sequence[tuple[int, bytes]] = (),
    sizes: Sequence[tuple[int, int]] = (),
) -> Path:
    """Write a clip. stamps: of each frame in 1/90,000 s; telemetry: (ms, payload) of one second each."""
    with av.open(str(path), "w", options={"movflags": "+faststart"} if path.suffix == ".mp4" else {}) as out:
        out.metadata.update(metadata or {})
        track: Any = out.add_stream(codec, rate=rate, options=options or {})
        track.width, track.height, track.bit_rate = WIDTH, HEIGHT, 8_000_000
        track.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        if matrix is not None:
            track.set_display_matrix(matrix)
        if stamps is not None:
            track.codec_context.time_base = TICKS
        data: Any = out.add_data_stream("bin_data") if telemetry else None
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(still(number))
            frame.pts = number if stamps is None else stamps[number]
            frame.time_base = Fraction(1, rate) if stamps is None else TICKS
            out.mux(track.encode(frame))
        out.mux(track.encode())
        for start, content in telemetry:
            packet: Any = av.Packet(content)
            packet.stream, packet.time_base = data, Fraction(1, 1000)
            packet.pts = packet.dts = start
            packet.duration = 1000
            out.mux(packet)
    return path


def numbers(frames: NDArray[Any]) -> list[int]:
    """Which stills these are, from the brightness of the upper half."""
    light = frames[:, : frames.shape[1] // 2].reshape(len(frames), -1).mean(axis=1)
    return [round(float(value - 16) / 4) for value in light]


def klv(key: str, kind: str, size: int, count: int, value: bytes) -> bytes:
    """One element of GPMF; kind "" nests."""
    head = key.encode() + bytes([ord(kind) if kind else 0, size]) + struct.pack(">H", count)
    return head + value + b"\0" * (-len(value) % 4)


def nest(key: str, *inner: bytes) -> bytes:
    content = b"".join(inner)
    return klv(key, "", 4, len(content) // 4, content)


def text(key: str, value: str) -> bytes:
    encoded = value.encode("latin-1")
    return klv(key, "c", 1, len(encoded), encoded)


def sensor(
    key: str,
    values: NDArray[np.int16],
    *,
    total: int | None = None,
    scale: Sequence[int] = (100,),
    unit: str = "m/s²",
    title: str = "Accelerometer (z, x, y)",
    temperature: float | None = None,
    extra: bytes = b"",
) -> bytes:
    """One STRM of values (n, 3)."""
    parts = [text("STNM", title)]
    if total is not None:
        parts.insert(0, klv("TSMP", "L", 4, 1, struct.pack(">L", total)))
    if temperature is not None:
        parts.append(klv("TMPC", "f", 4, 1, struct.pack(">f", temperature)))
    parts += [
        text("SIUN", unit),
        klv("SCAL", "s", 2, len(scale), struct.pack(f">{len(scale)}h", *scale)),
        extra,
    ]
    content = values.astype(">i2").tobytes()
    return nest("STRM", *parts, klv(key, "s", 2 * values.shape[1], len(values), content))


def camera(*streams: bytes) -> bytes:
    return nest("DEVC", klv("DVID", "L", 4, 1, struct.pack(">L", 1)), text("DVNM", "Camera"), *streams)
