"""The simulated plant: what its archives hold, and that its machines and conditions differ as documented."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from sensorkd.recordings import Recording, open_recordings
from sensorkd.testing.plant import CONDITIONS, Machine, SimulatedStream, simulate, write_plant
from sensorkd.timeline import SECOND

SECONDS = 6.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plant") / "new"
    write_plant(folder, machines=2, seconds=SECONDS, sessions=2, seed=5)
    return folder


@pytest.fixture(scope="module")
def recordings(folder: Path) -> list[Recording]:
    return open_recordings(folder)


@pytest.fixture(scope="module")
def streams() -> dict[str, dict[str, SimulatedStream]]:
    """Ten seconds of one machine, by condition."""
    machine = Machine(1, seed=5)
    return {name: simulate(machine, name, seconds=10.0) for name in CONDITIONS}


def identical(one: dict[str, SimulatedStream], other: dict[str, SimulatedStream]) -> bool:
    return all(
        np.array_equal(one[name].times, other[name].times)
        and np.array_equal(one[name].samples, other[name].samples)
        for name in one
    )


def physical(stream: SimulatedStream) -> np.ndarray:
    return stream.samples.astype(np.float64) * stream.scale


def test_one_file_a_machine_holds_each_condition_in_each_session(
    folder: Path, recordings: list[Recording]
) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["m00.h5", "m01.h5"]
    found = {
        (item.identity["machine"], item.tracks["condition"].label, item.identity["session"])
        for item in recordings
    }
    assert found == {
        (machine, (condition,), session)
        for machine in ("m00", "m01")
        for condition in CONDITIONS
        for session in ("s0", "s1")
    }
    assert len(recordings) == 24


def test_every_recording_says_that_it_is_simulated(recordings: list[Recording]) -> None:
    assert {recording.identity["simulated"] for recording in recordings} == {"yes"}


@pytest.mark.parametrize(
    ("modality", "rate", "shape", "dtype", "unit", "scale", "channels"),
    [
        ("acceleration", 2000.0, (3,), "int16", "m/s2", 160 / 32767, ("x", "y", "z")),
        ("temperature", 2.0, (1,), "float32", "degC", 1.0, ("housing",)),
        ("video", 12.0, (64, 64, 3), "uint8", "1", 1 / 255, ("red", "green", "blue")),
    ],
)
def test_streams_have_their_rate_shape_and_unit(
    recordings: list[Recording],
    modality: str,
    rate: float,
    shape: tuple[int, ...],
    dtype: str,
    unit: str,
    scale: float,
    channels: tuple[str, ...],
) -> None:
    for recording in recordings:
        stream = recording.streams[modality]
        assert (stream.modality, stream.unit, stream.channels) == (modality, unit, channels)
        assert (stream.rate, stream.sample_shape, stream.dtype) == (rate, shape, np.dtype(dtype))
        assert (stream.scale, stream.offset) == (pytest.approx(scale), 0.0)
        assert int(stream.segments.count.sum()) == round(SECONDS * rate)


def test_the_label_covers_all_streams(recordings: list[Recording]) -> None:
    for recording in recordings:
        track = recording.tracks["condition"]
        assert (track.t0.tolist(), track.t1.tolist()) == ([recording.start], [recording.end])


def test_each_sensor_starts_on_its_own_clock(recordings: list[Recording]) -> None:
    for recording in recordings:
        starts = [stream.start for stream in recording.streams.values()]
        assert len(set(starts)) == 3
        assert 0 <= min(starts) <= max(starts) < SECOND // 2


def test_the_numbers_are_those_of_the_published_figures(tmp_path: Path) -> None:
    """The demo's figures hold for these numbers only. Another NumPy may draw others: see constraints.txt."""
    write_plant(tmp_path, machines=2, seconds=5.0, sessions=2, seed=7)
    digest = hashlib.sha256()
    for recording in open_recordings(tmp_path):
        digest.update(f"{recording.id} {sorted(recording.identity.items())}".encode())
        for name, stream in recording.streams.items():
            digest.update(f"{name} {stream.unit} {stream.scale} {stream.channels} {stream.start}".encode())
            digest.update(stream.read(0, stream.source.count).tobytes())
        track = recording.tracks["condition"]
        digest.update(f"{track.t0.tolist()} {track.t1.tolist()} {track.label}".encode())
    assert digest.hexdigest() == "3c4916c76ffe223373256510306c58430efdd6bc1bf4158d61141bfb95dfcac5"


def test_an_archive_holds_what_simulate_returns(recordings: list[Recording]) -> None:
    recording = next(item for item in recordings if item.id == "m01.h5::rotor_rub_s1")
    expected = simulate(Machine(1, seed=5), "rotor_rub", seconds=SECONDS, session=1)
    for name, stream in recording.streams.items():
        assert np.array_equal(stream.read(0, len(expected[name].samples)), expected[name].samples)
        assert stream.start == expected[name].times[0]


def test_the_same_seed_gives_the_same_samples() -> None:
    once, again = (simulate(Machine(3, seed=1), "looseness", seconds=2.0) for _ in range(2))
    assert identical(once, again)


@pytest.mark.parametrize(
    ("number", "seed", "session"), [(4, 1, 0), (3, 2, 0), (3, 1, 1)], ids=["machine", "seed", "session"]
)
def test_another_machine_seed_or_session_gives_other_samples(number: int, seed: int, session: int) -> None:
    reference = simulate(Machine(3, seed=1), "healthy", seconds=2.0)
    other = simulate(Machine(number, seed=seed), "healthy", seconds=2.0, session=session)
    for name, stream in reference.items():
        assert not np.array_equal(stream.samples, other[name].samples)


def test_machines_differ_in_every_property() -> None:
    one, again, other = vars(Machine(0)), vars(Machine(0)), vars(Machine(1))
    assert all(np.array_equal(one[name], again[name]) for name in one)
    assert {name for name in one if np.array_equal(one[name], other[name])} <= {"seed", "blades"}


def test_acceleration_stays_within_the_sensors_range() -> None:
    for number in range(6):
        for condition in ("bearing_fault", "looseness"):
            stream = simulate(Machine(number), condition, seconds=2.0)["acceleration"]
            assert 100 < np.abs(stream.samples.astype(int)).max() < 32000


def test_temperature_is_that_of_a_housing_indoors() -> None:
    for number in range(6):
        for condition in ("healthy", "belt_slip"):
            machine = Machine(number)
            values = physical(simulate(machine, condition, seconds=10.0)["temperature"])
            assert values.min() > machine.ambient
            assert values.max() < 90.0


def test_frames_are_neither_black_nor_burnt_out() -> None:
    for number in range(6):
        video = simulate(Machine(number), "belt_slip", seconds=1.0)["video"].samples
        assert 40 < video.mean() < 215
        assert (video >= 250).mean() < 0.05


def test_a_damaged_bearing_knocks(streams: dict[str, dict[str, SimulatedStream]]) -> None:
    def peakedness(condition: str) -> float:
        values = physical(streams[condition]["acceleration"])
        return float((values**4).mean() / (values**2).mean() ** 2)

    assert peakedness("bearing_fault") > 1.5 * max(peakedness(name) for name in ("healthy", "looseness"))


def test_a_loose_part_adds_half_orders_of_the_shaft(streams: dict[str, dict[str, SimulatedStream]]) -> None:
    speed = Machine(1, seed=5).speed

    def half_order(condition: str) -> float:
        values = physical(streams[condition]["acceleration"])
        power = (np.abs(np.fft.rfft(values, axis=0)) ** 2).sum(axis=1)
        frequency = np.fft.rfftfreq(len(values), 1 / 2000.0)
        near = np.abs(frequency - 1.5 * speed) < 1.0
        return float(power[near].sum() / power[1:].sum())

    for loose in ("looseness", "rotor_rub"):
        assert half_order(loose) > 10 * half_order("healthy")


def test_temperature_is_steady_rises_or_comes_and_goes(
    streams: dict[str, dict[str, SimulatedStream]],
) -> None:
    def rise_and_swing(condition: str) -> tuple[float, float]:
        values = physical(streams[condition]["temperature"])[:, 0]
        time = np.arange(len(values))
        slope, start = np.polyfit(time, values, 1)
        return slope * len(values), float((values - start - slope * time).std())

    for condition in ("healthy", "bearing_fault", "looseness"):
        rise, swing = rise_and_swing(condition)
        assert abs(rise) < 2.0
        assert swing < 0.5
    for condition in ("belt_slip", "fan_stopped"):
        assert rise_and_swing(condition)[0] > 5.0
    assert rise_and_swing("rotor_rub")[1] > 1.0


def test_in_the_video_a_stopped_fan_stands_out_by_contrast(
    streams: dict[str, dict[str, SimulatedStream]],
) -> None:
    def contrast(condition: str) -> float:
        # The fan fills most of the upper right of the picture; its hub and rim are the same in both.
        still = streams[condition]["video"].samples.astype(np.float64).mean(axis=(0, 3))
        return float(still[4:36, 28:60].std())

    assert contrast("fan_stopped") > 1.3 * contrast("healthy")


def test_in_the_video_a_loose_rotor_moves_from_frame_to_frame(
    streams: dict[str, dict[str, SimulatedStream]],
) -> None:
    def motion(condition: str) -> float:
        video = streams[condition]["video"].samples.astype(np.float64)[:, 28:48, 4:28]
        return float(np.abs(np.diff(video, axis=0)).mean())

    for loose in ("looseness", "rotor_rub"):
        assert motion(loose) > 1.3 * motion("healthy")


def test_seconds_too_short_for_a_sample_are_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.2 s are too short for a sample of temperature at 2\.0 Hz"):
        simulate(Machine(0), "healthy", seconds=0.2)


def test_an_unknown_condition_names_those_there_are() -> None:
    with pytest.raises(ValueError, match="'rusty' must be one of healthy, bearing_fault"):
        simulate(Machine(0), "rusty", seconds=2.0)
