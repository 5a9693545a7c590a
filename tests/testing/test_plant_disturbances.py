"""Disturbances of the simulated plant: each is in the archive where it says, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from pathlib import Path

import numpy as np
import pytest

from sensorkd.errors import ArchiveError
from sensorkd.recordings import Recording, Stream, open_recordings
from sensorkd.testing.plant import Disturbances, write_plant
from sensorkd.timeline import SECOND, sample_times

SECONDS = 6.0
ONE = "m00.h5::belt_slip_s0"


@pytest.fixture(scope="module")
def tidy(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Recording]:
    """The plant without disturbances, by recording id."""
    folder = tmp_path_factory.mktemp("tidy")
    write_plant(folder, machines=1, seconds=SECONDS)
    return {recording.id: recording for recording in open_recordings(folder)}


@pytest.fixture
def disturbed(tmp_path: Path) -> Callable[..., Recording]:
    """Writes the same plant with one recording disturbed, and opens that one."""

    def write(**disturbances: object) -> Recording:
        how = {ONE: Disturbances(**disturbances)}  # type: ignore[arg-type]
        write_plant(
            tmp_path, machines=1, seconds=SECONDS, disturbances=lambda name: how.get(name, Disturbances())
        )
        return next(recording for recording in open_recordings(tmp_path) if recording.id == ONE)

    return write


def samples(stream: Stream) -> np.ndarray:
    return stream.read(0, stream.source.count)


def times(stream: Stream) -> np.ndarray:
    """(n,) s, of every sample, from the segments."""
    table = stream.segments
    rows = [
        sample_times(t0, rate, np.arange(count))
        for t0, rate, count in zip(table.t0, table.rate, table.count, strict=True)
    ]
    return np.concatenate(rows) / SECOND


def inside(stream: Stream, start: float, stop: float) -> np.ndarray:
    return (times(stream) >= start) & (times(stream) < stop)


def equal_but_there(one: Stream, other: Stream, start: float, stop: float) -> bool:
    """Whether two streams hold the same outside [start, stop), and something else inside."""
    there = inside(one, start, stop)
    assert np.array_equal(times(one), times(other))
    first, second = samples(one), samples(other)
    return (
        bool(there.any())
        and np.array_equal(first[~there], second[~there])
        and not np.array_equal(first[there], second[there])
    )


def same_track(one: Recording, other: Recording) -> bool:
    first, second = one.tracks["condition"], other.tracks["condition"]
    return (first.t0[0], first.t1[0], first.label) == (second.t0[0], second.t1[0], second.label)


def test_a_dead_sensor_is_missing_from_its_recording_only(tidy: dict[str, Recording], tmp_path: Path) -> None:
    dead = Disturbances(events=(("lost", "temperature", 0.0, inf),))
    write_plant(
        tmp_path,
        machines=1,
        seconds=SECONDS,
        disturbances=lambda name: dead if name == ONE else Disturbances(),
    )
    for recording in open_recordings(tmp_path):
        expected = {"acceleration", "video"} if recording.id == ONE else set(tidy[recording.id].streams)
        assert set(recording.streams) == expected
        for name, stream in recording.streams.items():
            assert np.array_equal(samples(stream), samples(tidy[recording.id].streams[name]))


def test_a_sensor_that_drops_out_leaves_two_segments(
    tidy: dict[str, Recording], disturbed: Callable[..., Recording]
) -> None:
    recording = disturbed(events=(("lost", "video", 2.0, 3.5),))
    video, whole = recording.streams["video"], tidy[ONE].streams["video"]
    assert len(video.segments) == 2
    assert not inside(video, 2.0, 3.5).any()
    kept = ~inside(whole, 2.0, 3.5)
    assert np.array_equal(times(video), times(whole)[kept])
    assert np.array_equal(samples(video), samples(whole)[kept])
    for name in ("acceleration", "temperature"):
        assert len(recording.streams[name].segments) == 1
        assert np.array_equal(samples(recording.streams[name]), samples(tidy[ONE].streams[name]))


def test_a_logger_that_restarts_leaves_a_gap_in_every_stream(disturbed: Callable[..., Recording]) -> None:
    recording = disturbed(events=(("lost", "*", 1.0, 2.0), ("lost", "*", 4.0, 4.75)))
    for stream in recording.streams.values():
        assert len(stream.segments) == 3
        assert not (inside(stream, 1.0, 2.0) | inside(stream, 4.0, 4.75)).any()
        assert inside(stream, 2.0, 4.0).any()


def test_a_wrong_clock_moves_the_stamps_and_not_the_labels(
    tidy: dict[str, Recording], disturbed: Callable[..., Recording]
) -> None:
    recording = disturbed(clock_offsets=(("acceleration", 1.5), ("video", -0.75)))
    for name, offset in (("acceleration", 1.5), ("video", -0.75), ("temperature", 0.0)):
        stream, right = recording.streams[name], tidy[ONE].streams[name]
        assert stream.start - right.start == round(offset * SECOND)
        assert np.array_equal(samples(stream), samples(right))
    assert same_track(recording, tidy[ONE])


def test_an_event_strikes_at_the_true_time_whatever_the_clock_says(
    tidy: dict[str, Recording], disturbed: Callable[..., Recording]
) -> None:
    stream = disturbed(
        events=(("lost", "acceleration", 2.0, 3.0),), clock_offsets=(("acceleration", 10.0),)
    ).streams["acceleration"]
    assert not inside(stream, 12.0, 13.0).any()
    assert len(times(stream)) == (~inside(tidy[ONE].streams["acceleration"], 2.0, 3.0)).sum()


@pytest.mark.parametrize("modality", ["acceleration", "temperature", "video"])
def test_a_stuck_sensor_repeats_one_sample(
    modality: str, tidy: dict[str, Recording], disturbed: Callable[..., Recording]
) -> None:
    stream, right = disturbed(events=(("stuck", modality, 2.0, 5.0),)).streams[modality], tidy[ONE]
    there = inside(stream, 2.0, 5.0)
    assert equal_but_there(stream, right.streams[modality], 2.0, 5.0)
    assert (samples(stream)[there] == samples(right.streams[modality])[there][0]).all()


@pytest.mark.parametrize(
    ("modality", "top"), [("acceleration", 32767), ("temperature", 150.0), ("video", 255)]
)
def test_a_saturated_sensor_is_clipped_at_full_scale(
    modality: str, top: float, tidy: dict[str, Recording], disturbed: Callable[..., Recording]
) -> None:
    recording = disturbed(events=(("saturated", modality, 1.0, 3.0),))
    stream, right = recording.streams[modality], tidy[ONE].streams[modality]
    assert equal_but_there(stream, right, 1.0, 3.0)
    struck = samples(stream)[inside(stream, 1.0, 3.0)]
    assert struck.max() == top
    assert (struck == top).mean() > 0.01
    assert samples(right).max() < top


def test_a_broken_wire_spikes_every_tenth_sample(
    tidy: dict[str, Recording], disturbed: Callable[..., Recording]
) -> None:
    stream = disturbed(events=(("spikes", "temperature", 0.0, inf),)).streams["temperature"]
    spiked = samples(stream)[:, 0] == 1254.0
    assert np.flatnonzero(spiked).tolist() == [0, 10]
    right = samples(tidy[ONE].streams["temperature"])
    assert np.array_equal(samples(stream)[~spiked], right[~spiked])


def test_numbers_that_are_none(tidy: dict[str, Recording], disturbed: Callable[..., Recording]) -> None:
    stream = disturbed(events=(("nan", "temperature", 3.0, 4.0),)).streams["temperature"]
    there = inside(stream, 3.0, 4.0)
    assert there.sum() == 2
    assert np.array_equal(np.isnan(samples(stream)[:, 0]), there)


def test_bursts_are_segments_of_their_length_one_a_period(disturbed: Callable[..., Recording]) -> None:
    recording = disturbed(bursts=(("acceleration", 0.5, 2.0), ("video", 1.0, 3.0)), temperature_rate=1.0)
    for name, count, period, steps in (("acceleration", 3, 2.0, 1000), ("video", 2, 3.0, 12)):
        segments = recording.streams[name].segments
        assert segments.count.tolist() == [steps] * count
        assert (np.diff(segments.t0) == round(period * SECOND)).all()
    temperature = recording.streams["temperature"]
    assert (len(temperature.segments), temperature.rate, temperature.source.count) == (1, 1.0, 6)


def test_bursts_that_overlap_are_refused(disturbed: Callable[..., Recording]) -> None:
    with pytest.raises(ArchiveError, match="segments overlap in time"):
        disturbed(bursts=(("acceleration", 2.0, 1.0),))


def test_ambient_and_load_drift_although_the_machine_is_healthy(tmp_path: Path) -> None:
    """Over a day of six hours: its curve in the temperature, its three shifts in the vibration."""
    day = 6 * 3600.0
    bursts = (("acceleration", 0.5, 120.0), ("video", 0.1, day))
    temperature, level = {}, {}
    for drift in (0.0, 1.0):
        how = Disturbances(bursts=bursts, temperature_rate=0.1, drift=drift)
        paths = write_plant(
            tmp_path / str(drift), machines=1, seconds=day, disturbances=lambda _, how=how: how
        )
        opened = {recording.id: recording.streams for recording in open_recordings(paths[0])}
        streams = opened["m00.h5::healthy_s0"]
        temperature[drift] = samples(streams["temperature"])[:, 0]
        vibration = samples(streams["acceleration"]).reshape(180, -1).astype(float)
        level[drift] = np.log(vibration.std(axis=1))
    # 4 K up and down with the sun; 1.5 K with the load.
    assert np.ptp(temperature[0.0]) < 2.5
    assert 8.0 < np.ptp(temperature[1.0]) < 13.0
    # Two changes of shift in the recording, or three, each from one burst to the next.
    assert level[1.0].std() > 3 * level[0.0].std()
    assert 2 <= (np.abs(np.diff(level[1.0] - level[0.0])) > 0.05).sum() <= 3


def test_the_same_disturbances_give_the_same_archive(tmp_path: Path) -> None:
    how = Disturbances(events=(("stuck", "*", 1.0, 2.0),), drift=1.0, clock_offsets=(("*", 0.1),))
    for name in ("one", "other"):
        write_plant(tmp_path / name, machines=1, seconds=3.0, disturbances=lambda recording: how)
    one, other = (open_recordings(tmp_path / name) for name in ("one", "other"))
    for first, second in zip(one, other, strict=True):
        for name, stream in first.streams.items():
            assert np.array_equal(times(stream), times(second.streams[name]))
            assert np.array_equal(samples(stream), samples(second.streams[name]))


def test_a_recording_of_which_nothing_is_left_is_refused(tmp_path: Path) -> None:
    dead = Disturbances(events=(("lost", "*", 0.0, inf),))
    with pytest.raises(ArchiveError, match="stream"):
        write_plant(tmp_path, machines=1, seconds=2.0, disturbances=lambda recording: dead)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("disturbances", "told"),
    [
        ({"events": (("stuk", "video", 0.0, 1.0),)}, "stuk of video must be one of .*'lost', 'stuck'"),
        ({"events": (("stuck", "vidoe", 0.0, 1.0),)}, "vidoe must be one of .*'video'"),
        ({"events": (("nan", "video", 0.0, 1.0),)}, r"nan of video .* one of \('temperature',\)"),
        ({"bursts": (("temprature", 0.5, 60.0),)}, "temprature must be one of .*'temperature'"),
        ({"clock_offsets": (("sound", 0.5),)}, "sound must be one of .*'acceleration'"),
    ],
)
def test_unknown_events_and_modalities_are_refused(disturbances: dict[str, tuple], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Disturbances(**disturbances)
