"""Reads GPMF, the telemetry that GoPro cameras keep beside their video: keys, lengths and values, nested.

Source of the format: github.com/gopro/gpmf-parser, docs/README.md. Everything is big-endian and aligned to
four bytes. Lengths come from the file and are never trusted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd.errors import ArchiveError

__all__ = ["SensorBlock", "is_gpmf", "sensor_blocks"]

HEAD = 8
NESTED = "\0"
NUMBERS = {
    "b": ">i1", "B": ">u1", "s": ">i2", "S": ">u2", "l": ">i4", "L": ">u4", "j": ">i8", "J": ">u8",
    "f": ">f4", "d": ">f8",
}  # fmt: skip
# What the camera's makers document where the file does not say.
SENSORS = {"ACCL": "m/s2", "GYRO": "rad/s"}
COUNTABLE = 2**53


@dataclass(frozen=True)
class Element:
    """One key, length and value: `count` times a structure of `size` bytes of a type told by one letter."""

    key: str
    type: str
    size: int
    count: int
    value: bytes


@dataclass(frozen=True)
class SensorBlock:
    """What one sensor put into one payload.

    values: (n, C) as logged; physical value = value / divisor, in `unit`, with divisor (C,) or (1,).
    names: of the axes, as far as the file tells them, in its order. total: samples since the recording
    began, these included. stamp: us, on the camera's clock, of the first one. temperature: degC, of the
    sensor.
    """

    sensor: str
    device: str
    values: NDArray[Any]
    divisor: NDArray[np.float64]
    unit: str
    names: tuple[str, ...] = field(default=())
    total: int | None = None
    stamp: int | None = None
    temperature: float | None = None


def is_gpmf(payload: bytes) -> bool:
    """Whether a packet of a track is GPMF: devices stand at its top."""
    return payload[:4] == b"DEVC" and payload[4:5] == b"\0"


def sensor_blocks(payload: bytes, *, file: Path, inside: str) -> list[SensorBlock]:
    """The accelerometers and gyroscopes of one payload; everything else in it is passed over.

    Raises:
        ArchiveError: a length reaches beyond what is there, or a value is not what its key needs.
    """
    blocks = []
    for device in _elements(payload, file, inside):
        if device.key != "DEVC" or device.type != NESTED:
            continue
        name = ""
        for element in _elements(device.value, file, inside):
            if element.key == "DVID":
                name = element.value.hex()
            if element.key == "STRM" and element.type == NESTED:
                blocks += _of_stream(element.value, name, file, inside)
    return blocks


def _elements(content: bytes, file: Path, inside: str) -> Iterator[Element]:
    """One level of nesting."""
    at = 0
    while len(content) - at >= HEAD and content[at : at + 4] != b"\0\0\0\0":
        size, count = content[at + 5], int.from_bytes(content[at + 6 : at + HEAD], "big")
        length, there = size * count, len(content) - at - HEAD
        key = content[at : at + 4].decode("latin-1")
        if length > there:
            raise _wrong(
                "telemetry is cut short", file, f"{inside}, {key!r}", f"{there} bytes", f"{length} bytes"
            )
        value = content[at + HEAD : at + HEAD + length]
        yield Element(key, chr(content[at + 4]), size, count, value)
        at += HEAD + (length + 3) // 4 * 4


def _of_stream(content: bytes, device: str, file: Path, inside: str) -> list[SensorBlock]:
    """The sensor of one STRM, if it is one of those sought; what stands before it describes it."""
    told: dict[str, Element] = {}
    for element in _elements(content, file, inside):
        if element.key not in SENSORS or element.type not in NUMBERS:
            told[element.key] = element
            continue
        if not element.count:
            return []
        place = f"{inside}, {element.key!r}"
        values = _numbers(element, file, place)
        divisor = np.ones(1)
        if "SCAL" in told:
            divisor = _numbers(told["SCAL"], file, place).astype(np.float64).ravel()
        usable = len(divisor) in (1, values.shape[1]) and np.isfinite(divisor).all() and (divisor != 0).all()
        if not usable:
            expected = f"1 or {values.shape[1]} finite numbers other than 0"
            raise _wrong("the scale cannot be used", file, place, divisor[:8].tolist(), expected)
        return [
            SensorBlock(
                sensor=element.key,
                device=device,
                values=values,
                divisor=divisor,
                unit=_unit(told) or SENSORS[element.key],
                names=_axis_names(told, values.shape[1]),
                total=_count(told.get("TSMP"), file, place),
                stamp=_count(told.get("STMP"), file, place),
                temperature=_temperature(told.get("TMPC"), file, place),
            )
        ]
    return []


def _numbers(element: Element, file: Path, inside: str) -> NDArray[Any]:
    """Values (count, axes) in this machine's byte order."""
    dtype = np.dtype(NUMBERS.get(element.type, "V1"))
    if dtype.kind == "V" or not element.size or element.size % dtype.itemsize:
        found = f"{element.key!r} of type {element.type!r}, {element.size} bytes"
        raise _wrong("telemetry is not the numbers it should be", file, inside, found, "whole numbers")
    values = np.frombuffer(element.value, dtype).reshape(element.count, element.size // dtype.itemsize)
    return values.astype(dtype.newbyteorder("="))


def _count(element: Element | None, file: Path, inside: str) -> int | None:
    """A counter, None where the file has none."""
    if element is None or not element.count:
        return None
    value = _numbers(element, file, inside).ravel()[0]
    if not isinstance(value, np.integer) or not 0 <= value < COUNTABLE:
        raise _wrong("a counter is not one", file, f"{inside}, {element.key!r}", value, "0 to 2^53")
    return int(value)


def _temperature(element: Element | None, file: Path, inside: str) -> float | None:
    if element is None or not element.count:
        return None
    value = float(_numbers(element, file, inside).ravel()[0])
    return value if np.isfinite(value) else None


def _unit(told: dict[str, Element]) -> str:
    """The unit in the letters that archives use."""
    for key in ("SIUN", "UNIT"):
        if key in told:
            element = told[key]
            # One text, letter by letter, or one of a fixed size for each axis, which are alike.
            size = element.size if element.size > 1 else element.count
            text = element.value[:size].decode("latin-1").rstrip("\0 ")
            return text.replace("²", "2").replace("°C", "degC").replace("°", "deg")
    return ""


def _axis_names(told: dict[str, Element], axes: int) -> tuple[str, ...]:
    """Names from ORIN, in which a small letter is the axis turned round, else from the stream's name."""
    orientation = told["ORIN"].value.decode("latin-1").rstrip("\0 ") if "ORIN" in told else ""
    if len(orientation) == axes and orientation.isalpha():
        return tuple(letter.lower() if letter.isupper() else f"-{letter}" for letter in orientation)
    title = told["STNM"].value.decode("latin-1").rstrip("\0 ") if "STNM" in told else ""
    listed = title.rpartition("(")[2].rstrip(") ") if title.endswith(")") else ""
    names = tuple(name.strip() for name in listed.split(","))
    return names if len(names) == axes and all(names) and len(set(names)) == axes else ()


def _wrong(problem: str, file: Path, inside: str, found: object, expected: object) -> ArchiveError:
    return ArchiveError(
        problem, file=file, inside=inside, found=found, expected=expected,
        mend="restore the file from the camera, or leave it out",
    )  # fmt: skip
