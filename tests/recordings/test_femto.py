"""Bearing tests in the manner of FEMTO-ST PRONOSTIA: bursts, time of day, temperature that comes late."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from sensorkd.errors import ArchiveError
from sensorkd.recordings import Recording, open_recordings
from sensorkd.timeline import SECOND

ROOT = Path(__file__).parents[2]
LAYOUT = ROOT / "examples" / "layouts" / "femto.yaml"
DATA = Path(os.environ.get("SENSORKD_DATA", ROOT.parent / "shared" / "data")) / "femto"
DAY = 86_400

WriteBearing = Callable[..., Recording]


@pytest.fixture
def bearing(tmp_path: Path) -> WriteBearing:
    """Writes one life: a burst of 64 samples every 10 s from `start`, temperature a minute later."""

    def write(
        *,
        start: float = 30_000.0,
        bursts: int = 12,
        late: float = 60.0,
        temperature: bool = True,
        lost: int = 0,
    ) -> Recording:
        path = tmp_path / "Bearing9_9.h5"
        with h5py.File(path, "w") as file:
            file.attrs.update({"bearing": "Bearing9_9", "condition": 2, "run_to_failure": True})
            values = np.arange(bursts * 64 * 2, dtype=np.float32).reshape(bursts, 64, 2)
            samples = file.create_dataset("acceleration/value", data=values)
            samples.attrs.update({"rate_hz": 25_600.0, "unit": "g"})
            file["acceleration/start_time_of_day_s"] = (start + 10.0 * np.arange(bursts)) % DAY
            if temperature:
                seconds = start + late + 0.1 * np.arange(round((10 * bursts - late) / 0.1))
                seconds = np.delete(seconds, np.s_[100 : 100 + lost])
                heat = file.create_dataset("temperature/value", data=np.float32(60 + 0 * seconds))
                heat.attrs.update({"rate_hz": 10.0, "unit": "degC(thermocouple Pt100)"})
                file["temperature/time_of_day_s"] = seconds % DAY
        return open_recordings(path, LAYOUT)[0]

    return write


def test_every_burst_is_a_segment_and_temperature_begins_late(bearing: WriteBearing) -> None:
    life = bearing()
    assert life.identity == {"bearing": "Bearing9_9", "condition": "2", "run_to_failure": "True"}
    acceleration, temperature = life.streams["acceleration"], life.streams["temperature"]
    assert len(acceleration.segments) == 12
    assert set(np.diff(acceleration.segments.t0).tolist()) == {10 * SECOND}
    assert (acceleration.unit, acceleration.channels) == ("g", ("horizontal", "vertical"))
    assert temperature.start - acceleration.start == 60 * SECOND
    assert (temperature.unit, temperature.sample_shape) == ("degC", (1,))


@pytest.mark.parametrize("before", [5.0, 15.0, 55.0, 65.0, 115.0])
def test_a_test_over_midnight_reads_as_one_by_day(bearing: WriteBearing, before: float) -> None:
    by_day, by_night = bearing(), bearing(start=DAY - before)
    for name in ("acceleration", "temperature"):
        day, night = by_day.streams[name], by_night.streams[name]
        assert len(day.segments) == len(night.segments)
        shift = night.segments.t0 - day.segments.t0
        np.testing.assert_allclose(shift / SECOND, DAY - before - 30_000.0, atol=1e-6)


def test_a_pause_of_the_thermometer_is_a_gap(bearing: WriteBearing) -> None:
    segments = bearing(lost=184).streams["temperature"].segments
    assert segments.count.tolist() == [100, 316]
    assert segments.t0[1] - segments.ends[0] == pytest.approx(18.4 * SECOND, abs=10)


def test_a_bearing_without_temperature_has_one_stream(bearing: WriteBearing) -> None:
    assert list(bearing(temperature=False).streams) == ["acceleration"]


def test_stamps_of_another_number_than_samples_are_told(bearing: WriteBearing, tmp_path: Path) -> None:
    path = bearing().path
    with h5py.File(path, "r+") as file:
        stamps = file["temperature/time_of_day_s"][:-1]
        del file["temperature/time_of_day_s"]
        file["temperature/time_of_day_s"] = stamps
    with pytest.raises(ArchiveError, match=r"one time stamp a sample(.|\n)*\(599,\)(.|\n)*\(600,\)"):
        open_recordings(path, LAYOUT)


@pytest.mark.skipif(not DATA.is_dir(), reason="FEMTO is not in SENSORKD_DATA")
def test_the_real_bearings_read_as_they_are() -> None:
    lives = {item.identity["bearing"]: item for item in open_recordings(DATA, LAYOUT)}
    assert len(lives) >= 6
    assert "temperature" not in lives["Bearing2_2"].streams
    for life in lives.values():
        acceleration = life.streams["acceleration"]
        assert acceleration.rate == 25_600.0
        np.testing.assert_allclose(np.diff(acceleration.segments.t0) / SECOND, 10.0, atol=1e-6)
        if "temperature" in life.streams:
            assert 50 < (life.streams["temperature"].start - life.start) / SECOND < 110
    assert len(lives["Bearing3_1"].streams["temperature"].segments) == 2
    first = lives["Bearing1_2"].streams["acceleration"]
    with h5py.File(first.source.path) as file:
        np.testing.assert_array_equal(first.read(2560, 2600), file["acceleration/value"][1, :40])
