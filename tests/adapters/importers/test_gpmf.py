"""Telemetry is read as its format says, and no length in it is trusted."""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sensorkd_adapters.importers.gpmf import SensorBlock, is_gpmf, sensor_blocks

from sensorkd.errors import ArchiveError
from tests.adapters.importers.films import camera, klv, nest, sensor, text

FILE = Path("a.mp4")
VALUES = np.array([[418, -1, 0], [-32768, 32767, 7]], np.int16)


def blocks(payload: bytes) -> list[SensorBlock]:
    return sensor_blocks(payload, file=FILE, inside="payload 3")


def only(payload: bytes) -> SensorBlock:
    (block,) = blocks(payload)
    return block


def test_a_sensor_comes_with_everything_that_describes_it() -> None:
    block = only(camera(sensor("ACCL", VALUES, total=9, scale=[418], temperature=41.5)))
    assert (block.sensor, block.device) == ("ACCL", "00000001")
    np.testing.assert_array_equal(block.values, VALUES)
    assert block.values.dtype == np.int16
    assert (block.divisor.tolist(), block.unit, block.names) == ([418.0], "m/s2", ("z", "x", "y"))
    assert (block.total, block.stamp, block.temperature) == (9, None, 41.5)


def test_what_is_not_sought_is_passed_over_whatever_its_type() -> None:
    complex_ = nest("STRM", text("TYPE", "lLs"), klv("KBAT", "?", 10, 1, bytes(10)))
    faces = nest("STRM", nest("FACE", klv("TICK", "L", 4, 1, bytes(4))), klv("FACE", "?", 20, 0, b""))
    payload = camera(complex_, faces, sensor("GYRO", VALUES, unit="rad/s")) + nest("DEVC", complex_)
    assert only(payload).sensor == "GYRO"
    assert blocks(b"") == blocks(camera()) == blocks(bytes(16)) == []
    assert blocks(camera(sensor("ACCL", VALUES[:0]))) == []


def test_axes_are_named_by_orientation_before_the_title_and_scaled_each_for_itself() -> None:
    block = only(camera(sensor("ACCL", VALUES, scale=[1, 2, 4], extra=text("ORIN", "YxZ"))))
    assert block.names == ("y", "-x", "z")
    assert block.divisor.tolist() == [1.0, 2.0, 4.0]
    assert only(camera(sensor("ACCL", VALUES, title="Accelerometer"))).names == ()


def test_what_the_file_does_not_say_is_what_its_makers_document() -> None:
    bare = nest("DEVC", nest("STRM", klv("GYRO", "f", 12, 1, struct.pack(">3f", 1, 2, 3))))
    block = only(bare)
    assert (block.unit, block.divisor.tolist(), block.total) == ("rad/s", [1.0], None)
    assert block.values.tolist() == [[1.0, 2.0, 3.0]]


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        (camera(sensor("ACCL", VALUES))[:-1], "cut short"),
        (klv("DEVC", "", 255, 65535, bytes(8)), "cut short"),
        (nest("DEVC", klv("STRM", "", 4, 9, bytes(8))), "cut short"),
        (camera(sensor("ACCL", VALUES, scale=[0])), "scale cannot be used"),
        (camera(sensor("ACCL", VALUES, scale=[1, 2])), "scale cannot be used"),
        (camera(sensor("ACCL", VALUES, extra=klv("SCAL", "f", 4, 1, struct.pack(">f", np.nan)))), "scale"),
        (camera(sensor("ACCL", VALUES, extra=klv("SCAL", "c", 1, 1, b"1"))), "not the numbers"),
        (camera(sensor("ACCL", VALUES, extra=klv("TSMP", "f", 4, 1, struct.pack(">f", np.inf)))), "counter"),
        (camera(nest("STRM", klv("ACCL", "s", 5, 2, bytes(10)))), "not the numbers"),
        (camera(nest("STRM", klv("ACCL", "s", 0, 2, b""))), "not the numbers"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(payload: bytes, told: str) -> None:
    with pytest.raises(ArchiveError, match=told) as caught:
        blocks(payload)
    error = caught.value
    assert None not in (error.file, error.found, error.expected, error.mend)
    assert str(error.inside).startswith("payload 3")


def test_a_payload_is_known_by_its_first_element() -> None:
    assert is_gpmf(camera())
    assert not is_gpmf(b"DEVCL")
    assert not is_gpmf(b"")


WHOLE = camera(
    sensor("ACCL", np.zeros((20, 3), np.int16), total=20, temperature=40.0),
    sensor("GYRO", np.zeros((40, 3), np.int16), total=40, extra=text("ORIN", "ZXY")),
)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda inner: b"DEVC\0\1" + inner))
def test_arbitrary_bytes_are_read_or_refused(content: bytes) -> None:
    for payload in (content, nest("DEVC", nest("STRM", content)), nest("DEVC", content)):
        with suppress(ArchiveError):
            blocks(payload)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=6))
def test_a_payload_with_changed_bytes_is_read_or_refused(changes: list[tuple[int, int]]) -> None:
    payload = bytearray(WHOLE)
    for at, value in changes:
        payload[at] = value
    try:
        read = blocks(bytes(payload))
    except ArchiveError:
        return
    for block in read:
        assert len(block.divisor) in (1, block.values.shape[1])
        assert np.isfinite(block.divisor).all()
