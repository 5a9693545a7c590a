"""One file of a camera with sensors becomes one recording, all streams on the clock of the video."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml

from sensorkd.import_jobs import ImportNote
from sensorkd.importers import importer_for
from sensorkd.recordings import Recording, open_recordings
from sensorkd.timeline import SECOND
from tests.adapters.importers.films import camera, film, klv, sensor

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("SENSORKD_DATA", ROOT.parent / "shared" / "data")) / "gopro"
needs_karma = pytest.mark.skipif(not DATA.is_dir(), reason="the GoPro sample is not in SENSORKD_DATA")
Refused = Callable[..., Any]


def shaken(seconds: int = 2, rate: int = 200) -> list[tuple[int, bytes]]:
    """A payload a second: acceleration that tells its index, angular rate at twice the rate."""
    payloads = []
    for second in range(seconds):
        index = np.arange(second * rate, (second + 1) * rate)
        turn = np.arange(2 * second * rate, 2 * (second + 1) * rate)
        payloads.append((1000 * second, camera(
            sensor("ACCL", np.stack([index, -index, 0 * index], 1).astype(np.int16),
                   total=(second + 1) * rate, temperature=40.0 + second),
            sensor("GYRO", np.stack([turn] * 3, 1).astype(np.int16), total=2 * (second + 1) * rate,
                   unit="rad/s", title="Gyroscope (z,x,y)", temperature=40.0 + second),
        )))  # fmt: skip
    return payloads


def converted(path: Path, out: Path, mapping: Path | None = None) -> Recording:
    (archive,) = importer_for("gopro").convert(path, out, mapping)
    (recording,) = open_recordings(archive)
    return recording


def test_video_and_sensors_are_one_recording(tmp_path: Path) -> None:
    recording = converted(film(tmp_path / "a.mp4", telemetry=shaken()), tmp_path)
    assert (recording.clock, recording.identity) == ("relative", {"file": "a"})
    streams = recording.streams
    assert sorted(streams) == ["acceleration", "gyroscope", "temperature", "video"]
    shake, turn, heat = streams["acceleration"], streams["gyroscope"], streams["temperature"]
    assert (shake.unit, shake.channels, shake.dtype) == ("m/s2", ("z", "x", "y"), np.int16)
    assert shake.scale == pytest.approx(0.01)
    assert shake.read(0, 400)[:, 0].tolist() == list(range(400))
    assert (shake.rate, turn.rate) == (pytest.approx(200), pytest.approx(400))
    assert (turn.unit, turn.modality) == ("rad/s", "gyroscope")
    assert {stream.start for stream in streams.values()} == {0}
    # Both sensors' streams tell it in each payload: it is taken once.
    assert heat.read(0, 9)[:, 0].tolist() == [40.0, 41.0]
    assert (heat.unit, heat.rate) == ("degC", pytest.approx(1.0))


def test_sensors_that_begin_before_the_first_frame_are_before_zero(tmp_path: Path) -> None:
    late = [45_000 + 3600 * number for number in range(50)]
    recording = converted(film(tmp_path / "a.mp4", telemetry=shaken(3), stamps=late), tmp_path)
    assert recording.streams["video"].start == 0
    behind = recording.streams["acceleration"].start / SECOND
    assert behind == pytest.approx(-0.5, abs=0.05) or behind == 0  # where the container begins anew at 0


def test_only_what_is_asked_for_is_taken(tmp_path: Path, mapping_file: Callable[..., Path]) -> None:
    path = film(tmp_path / "a.mp4", telemetry=shaken())
    mapping = mapping_file("gopro", streams=["acceleration", "temperature"])
    assert sorted(converted(path, tmp_path, mapping).streams) == ["acceleration", "temperature"]


def test_frames_and_clock_are_those_of_the_mapping(tmp_path: Path, mapping_file: Callable[..., Path]) -> None:
    said = {"creation_time": "2026-07-01T10:00:00Z"}
    path = film(tmp_path / "a.mp4", telemetry=shaken(), metadata=said)
    options = {"size": [24, 32], "color": "gray", "every": 5}
    recording = converted(path, tmp_path, mapping_file("gopro", frames=options, clock="utc"))
    assert recording.streams["video"].sample_shape == (24, 32, 1)
    assert recording.streams["video"].rate == pytest.approx(5)
    begun = np.datetime64("2026-07-01T10:00:00", "ns").astype(int)
    assert {stream.start for stream in recording.streams.values()} == {begun}


def test_axes_with_scales_of_their_own_are_scaled(tmp_path: Path) -> None:
    values = np.full((200, 3), 100, np.int16)
    payloads = [(1000 * n, camera(sensor("ACCL", values, scale=[1, 2, 4]))) for n in range(2)]
    shake = converted(film(tmp_path / "a.mp4", telemetry=payloads), tmp_path).streams["acceleration"]
    assert (shake.scale, shake.dtype) == (1.0, np.float32)
    assert shake.read(7, 8).tolist() == [[100.0, 50.0, 25.0]]


def test_the_cameras_own_stamps_are_finer_than_its_track(tmp_path: Path) -> None:
    # True starts are 5 ms apart from what the track says, now early, now late.
    payloads = []
    for second, late in enumerate([5, -5, 5, -5]):
        stamp = klv("STMP", "J", 8, 1, struct.pack(">Q", 7_000_000 + 1_000_000 * second))
        payloads.append(
            (1000 * second + 10 + late, camera(sensor("ACCL", np.zeros((200, 3), np.int16), extra=stamp)))
        )
    shake = converted(film(tmp_path / "a.mp4", telemetry=payloads), tmp_path).streams["acceleration"]
    assert shake.rate == pytest.approx(200, rel=1e-9)


def test_a_damaged_payload_is_a_gap_and_told(tmp_path: Path) -> None:
    payloads = shaken(4)
    payloads[1] = (1000, payloads[1][1][:500])
    with pytest.warns(ImportNote, match=r"1 payloads of telemetry are damaged(.|\n)*payload 1"):
        recording = converted(film(tmp_path / "a.mp4", telemetry=payloads), tmp_path)
    shake = recording.streams["acceleration"]
    assert shake.segments.count.tolist() == [200, 400]
    assert shake.segments.t0.tolist() == pytest.approx([0, 2 * SECOND], abs=1000)
    assert shake.read(200, 201)[0, 0] == 400


@pytest.mark.parametrize("other", [(), [(0, b"some other data, of no camera")], [(0, camera())]])
def test_a_film_without_telemetry_is_told_with_the_importer_for_it(
    tmp_path: Path, refused: Refused, other: Any
) -> None:
    path = film(tmp_path / "a.mp4", count=3, telemetry=other)
    with refused("no GoPro telemetry", "--importer video", file="a.mp4"):
        importer_for("gopro").convert(path, tmp_path, None)


def test_telemetry_that_is_damaged_throughout_is_told(tmp_path: Path, refused: Refused) -> None:
    payloads = [(start, content[:300]) for start, content in shaken()]
    with refused("telemetry is cut short", file="a.mp4"):
        importer_for("gopro").convert(film(tmp_path / "a.mp4", telemetry=payloads), tmp_path, None)


def test_a_sensor_that_changes_its_axes_is_told(tmp_path: Path, refused: Refused) -> None:
    payloads = shaken()
    payloads[1] = (1000, camera(sensor("ACCL", np.zeros((200, 2), np.int16), total=400)))
    with refused("a sensor changes", "importer `video`", file="a.mp4"):
        importer_for("gopro").convert(film(tmp_path / "a.mp4", telemetry=payloads), tmp_path, None)


@pytest.fixture(scope="module")
def karma(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    out = tmp_path_factory.mktemp("karma")
    mapping = out / "karma.yaml"
    tree = {"schema": "import-1.0", "importer": "gopro", "name": "karma", "frames": {"size": [64, 112]}}
    mapping.write_text(yaml.safe_dump(tree))
    return converted(DATA / "karma.mp4", out, mapping)


@needs_karma
def test_samples_of_a_real_camera_are_those_that_others_decoded(karma: Recording) -> None:
    shake = karma.streams["acceleration"]
    assert (shake.unit, shake.dtype) == ("m/s2", np.int16)
    assert shake.channels == ("up/down", "right/left", "forward/back")
    values = shake.read(0, 9999) * shake.scale
    with h5py.File(DATA / "karma.h5") as file:
        np.testing.assert_allclose(values, file["acceleration/value"][:], atol=1e-5)
        heat = file["temperature/value"][::2]
    assert np.linalg.norm(values, axis=1).mean() == pytest.approx(9.80, abs=0.01)
    np.testing.assert_array_equal(karma.streams["temperature"].read(0, 99)[:, 0], heat)
    assert len(karma.streams["gyroscope"].read(0, 9999)) == 4795


@needs_karma
def test_frames_of_a_real_camera_are_those_that_others_decoded(karma: Recording) -> None:
    video = karma.streams["video"]
    with h5py.File(DATA / "karma.h5") as file:
        stamps, frames = file["video/time_s"][:], file["video/frames"][:].astype(int)
    assert len(video.segments) == 1
    np.testing.assert_allclose(np.arange(362) / video.rate, stamps, atol=1e-6)
    # Scaled by another filter: alike on the whole, not pixel by pixel.
    off = np.abs(video.read(0, 362).astype(int) - frames)
    assert off.mean() < 1.5
    assert abs((video.read(0, 362) - frames).mean()) < 0.1


@needs_karma
def test_the_clocks_of_a_real_camera_end_together(karma: Recording) -> None:
    with h5py.File(DATA / "karma.h5") as file:
        spread = file["acceleration/time_s"][:-13]
    shake, video = karma.streams["acceleration"], karma.streams["video"]
    mine = shake.start / SECOND + np.arange(len(spread)) / shake.rate
    # Others spread each payload over its second; those stamps jitter by two samples about one clock.
    np.testing.assert_allclose(mine, spread, atol=0.011)
    # They also spread the last 13 samples over a whole second, 0.87 s beyond the last frame.
    assert shake.end / SECOND == pytest.approx(video.end / SECOND, abs=0.01)
    assert karma.streams["gyroscope"].end / SECOND == pytest.approx(video.end / SECOND, abs=0.01)
