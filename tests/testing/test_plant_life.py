"""Simulated life tests: what their archives hold, that the labels are true, and that they are a fair task."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import f1_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict

from sensorkd.recordings import Recording, Stream, open_recordings
from sensorkd.testing.plant import LIFE, write_life_tests
from sensorkd.timeline import SECOND, sample_times

HOURS = 4.0
LIFETIME = round(HOURS * 3600 * SECOND)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], float]:
    """Four lives of four hours, and the seconds it took to write them."""
    folder, started = tmp_path_factory.mktemp("lives") / "new", time.process_time()
    return write_life_tests(folder, machines=4, hours=HOURS), time.process_time() - started


@pytest.fixture(scope="module")
def lives(written: tuple[list[Path], float]) -> list[Recording]:
    return [open_recordings(path)[0] for path in written[0]]


def bursts(recording: Recording) -> np.ndarray:
    """(bursts, samples, 3), m/s2."""
    stream = recording.streams["acceleration"]
    samples = stream.read(0, stream.source.count) * stream.scale
    return samples.reshape(len(stream.segments), -1, 3)


def temperature(stream: Stream) -> tuple[np.ndarray, np.ndarray]:
    """Times (n,), s, and degC."""
    count = stream.source.count
    return sample_times(stream.start, stream.rate, np.arange(count)) / SECOND, stream.read(0, count)[:, 0]


def stages_at(recording: Recording, t: np.ndarray) -> np.ndarray:
    track = recording.tracks["stage"]
    return np.array(track.label)[np.searchsorted(track.t0, t, side="right") - 1]


def test_four_lives_of_four_hours_are_written_in_seconds_and_are_small(
    written: tuple[list[Path], float],
) -> None:
    """Measured: 1.0 s and 6.7 MB."""
    paths, seconds = written
    assert [path.name for path in paths] == ["m00.h5", "m01.h5", "m02.h5", "m03.h5"]
    assert seconds < 10.0
    assert sum(path.stat().st_size for path in paths) < 10e6


def test_a_life_says_that_it_ran_to_failure_and_is_simulated(lives: list[Recording]) -> None:
    for number, recording in enumerate(lives):
        assert recording.id == f"m{number:02d}.h5::life"
        assert recording.identity == {
            "machine": f"m{number:02d}",
            "simulated": "yes",
            "run_to_failure": "yes",
        }


def test_a_life_is_logged_in_bursts(lives: list[Recording]) -> None:
    for recording in lives:
        for name, count, period, steps in (("acceleration", 240, 60, 1000), ("video", 24, 600, 6)):
            segments = recording.streams[name].segments
            assert segments.count.tolist() == [steps] * count
            assert (np.diff(segments.t0) == period * SECOND).all()
    stream = lives[0].streams["temperature"]
    assert (stream.rate, stream.segments.count.tolist()) == (0.5, [7200])


def test_some_machines_lack_temperature_for_all_or_half_of_their_life(lives: list[Recording]) -> None:
    counts = [
        life.streams["temperature"].source.count if "temperature" in life.streams else 0 for life in lives
    ]
    assert counts[:3] == [7200, 7200, 0]
    assert counts[3] == 3600
    assert lives[3].streams["temperature"].end <= LIFETIME // 2 + 2 * SECOND


def test_stages_are_shares_of_life(lives: list[Recording]) -> None:
    half, old = LIFETIME // 2, LIFETIME // 10 * 9
    for recording in lives:
        track = recording.tracks["stage"]
        assert track.label == ("early", "middle", "late")
        assert (track.t0.tolist(), track.t1.tolist()) == ([0, half, old], [half, old, LIFETIME])


def test_a_machine_is_healthy_until_its_bearing_is_not(lives: list[Recording]) -> None:
    onsets = set()
    for recording in lives:
        track = recording.tracks["condition"]
        assert track.label == ("healthy", "bearing_fault")
        assert (track.t0[0], track.t1[0], track.t1[1]) == (0, track.t0[1], LIFETIME)
        assert 0.35 <= track.t0[1] / LIFETIME <= 0.55
        onsets.add(int(track.t0[1]))
    assert len(onsets) == 4


def test_the_fault_is_invisible_at_first_and_grows_ever_faster(lives: list[Recording]) -> None:
    """By the blows, against the machine's first hour: nothing before onset, little soon after, much late."""
    for recording in lives:
        values = bursts(recording)
        peaks = np.abs(values).max(axis=(1, 2)) / np.abs(values[:60]).max(axis=(1, 2)).mean()
        age = recording.streams["acceleration"].segments.t0 / LIFETIME
        onset = recording.tracks["condition"].t0[1] / LIFETIME
        soon = onset + 0.1 * (1 - onset)
        assert peaks[age < onset].max() < 2.0
        assert peaks[(age >= onset) & (age < soon)].mean() < 1.5
        level = [peaks[(age >= share) & (age < share + 0.1)].mean() for share in (0.6, 0.75, 0.9)]
        assert level[1] > level[0]
        assert level[2] - level[1] > level[1] - level[0]
        assert level[2] > 4.0


def test_a_failing_bearing_warms_up_at_the_end_only(lives: list[Recording]) -> None:
    for recording in lives[:2]:
        t, degrees = temperature(recording.streams["temperature"])
        age = t * SECOND / LIFETIME
        # Day and shifts alone move it by up to 11 K.
        assert np.ptp(degrees[age < 0.7]) < 13.0
        assert degrees[age > 0.99].mean() > degrees[age < 0.7].max() + 8.0
        assert degrees.max() < 100.0


def test_the_sensor_holds_the_blows_of_a_failing_bearing(lives: list[Recording]) -> None:
    for recording in lives:
        assert np.abs(bursts(recording)).max() < 160.0


def test_the_same_seed_gives_the_same_lives(lives: list[Recording], tmp_path: Path) -> None:
    again, other = (
        write_life_tests(tmp_path / str(seed), machines=1, hours=HOURS, seed=seed) for seed in (0, 1)
    )
    for name, stream in lives[0].streams.items():
        same, unlike = (open_recordings(paths[0])[0].streams[name] for paths in (again, other))
        assert np.array_equal(stream.read(0, 1000), same.read(0, 1000))
        assert not np.array_equal(stream.read(0, 1000), unlike.read(0, 1000))


def test_a_life_can_be_disturbed_as_any_recording(tmp_path: Path) -> None:
    logging = replace(LIFE, events=(("nan", "temperature", 100.0, 200.0), ("lost", "video", 0.0, inf)))
    recording = open_recordings(write_life_tests(tmp_path, machines=1, hours=0.5, logging=logging)[0])[0]
    assert set(recording.streams) == {"acceleration", "temperature"}
    t, degrees = temperature(recording.streams["temperature"])
    assert np.array_equal(np.isnan(degrees), (t >= 100.0) & (t < 200.0))


def features(recording: Recording) -> tuple[np.ndarray, np.ndarray]:
    """Of each burst that has ten minutes of temperature before it: features (n, 8 + 2) and stages (n,).

    Log energies of eight bands, over all axes; mean and slope of the temperature. They know neither
    the time nor the machine, and compare nothing with how the machine was when it was new.
    """
    if "temperature" not in recording.streams:
        return np.zeros((0, 10)), np.zeros(0, dtype=str)
    seen, degrees = temperature(recording.streams["temperature"])
    begins = recording.streams["acceleration"].segments.t0
    power = (np.abs(np.fft.rfft(bursts(recording), axis=1)) ** 2).sum(axis=2)[:, 1:]
    bands = np.log(np.stack([band.mean(axis=1) for band in np.array_split(power, 8, axis=1)], axis=1))
    rows, kept = [], []
    for t0, energies in zip(begins, bands, strict=True):
        last = slice(*np.searchsorted(seen, (t0 / SECOND - 600, t0 / SECOND)))
        if last.stop - last.start >= 299:
            slope, _ = np.polyfit(seen[last] - seen[last].mean(), degrees[last].astype(float), 1)
            rows.append([*energies, degrees[last].mean(), slope])
            kept.append(t0)
    return np.array(rows), stages_at(recording, np.array(kept))


def macro_f1(x: np.ndarray, stages: np.ndarray, machines: np.ndarray) -> float:
    """Over the three stages, each machine judged by a forest that never saw it."""
    forest = ExtraTreesClassifier(
        50, min_samples_leaf=10, max_features=0.75, class_weight="balanced", random_state=0
    )
    said = cross_val_predict(forest, x, stages, groups=machines, cv=LeaveOneGroupOut())
    return float(f1_score(stages, said, average="macro"))


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_the_stage_of_a_life_is_neither_hidden_nor_trivial_and_takes_both_sensors(
    seed: int, tmp_path: Path, record_property: Callable[[str, Any], None]
) -> None:
    """Macro-F1 on unseen machines, twelve lives a seed, on bursts that both sensors saw; by chance 0.33.

    acceleration 0.71, 0.69, 0.73; temperature 0.65, 0.50, 0.66; both 0.76, 0.77, 0.77 by seed, as
    `pytest tests/testing/test_plant_life.py -k both_sensors -s` prints. Over seeds 0 to 9 the means are
    0.72, 0.58 and 0.80; acceleration lies in 0.66 to 0.86, temperature in 0.46 to 0.73, and both is the
    best on every seed, by 0.02 at least. The simulation and the forest were chosen on these very seeds.
    """
    logging = replace(LIFE, events=(("lost", "video", 0.0, inf),))
    paths = write_life_tests(tmp_path, machines=12, hours=HOURS, seed=seed, logging=logging)
    parts = [features(open_recordings(path)[0]) for path in paths]
    x, stages = (np.concatenate(part) for part in zip(*parts, strict=True))
    machines = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
    columns = {"acceleration": slice(0, 8), "temperature": slice(8, 10), "both": slice(0, 10)}
    scores = {name: macro_f1(x[:, taken], stages, machines) for name, taken in columns.items()}
    record_property("macro_f1", scores)
    print(f"seed {seed}: " + ", ".join(f"{name} {score:.3f}" for name, score in scores.items()))
    assert min(scores.values()) > 0.45
    assert max(scores.values()) < 0.97
    assert scores["both"] > max(scores["acceleration"], scores["temperature"]) + 0.02
