"""The baseline of MiniRocket: it learns, bears absent sensors, takes signals only, and is quick."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

import numpy as np
import pytest

from sensorkd.encoding import InputEncoding
from sensorkd.errors import ConfigError
from sensorkd.evaluation.minirocket import MiniRocketRidge
from sensorkd.runs import load_config
from sensorkd.runs.data import plan_run, read_arrays

SHAKE = InputEncoding(
    modality="acceleration",
    dtype="float32",
    unit="m/s2",
    scale=1.0,
    offset=0.0,
    sample_shape=(2,),
    channels=("x", "y"),
    steps=64,
    rate=100.0,
    span=640_000_000,
    valid_range=(-100.0, 100.0),
    resampling="linear",
)
TURN = dataclasses.replace(SHAKE, modality="gyroscope", sample_shape=(1,))
HEAT = dataclasses.replace(
    SHAKE, modality="temperature", unit="degC", dtype="int16", scale=0.01, sample_shape=(1,), steps=6,
    rate=10.0,
)  # fmt: skip
CAMERA = dataclasses.replace(SHAKE, modality="video", sample_shape=(4, 4, 1), steps=3)
ENCODINGS = {"camera": CAMERA, "shake": SHAKE, "heat": HEAT, "turn": TURN}
SIGNALS = ["shake", "heat", "turn"]
FEATURES = 84 * 6
DATA = Path(os.environ.get("SENSORKD_DATA", Path(__file__).parents[3] / "shared" / "data"))


def windows(count: int = 90, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Class 1 hums, class 2 is hot, class 0 neither."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    hum = np.sin(2 * np.pi * 20 * np.arange(64) / 100 + rng.uniform(0, 6, (count, 1)))
    shake = rng.normal(0, 1, (count, 64, 2))
    shake[..., 0] += 1.5 * (labels == 1)[:, None] * hum
    heat = rng.normal(20, 1, (count, 6, 1)) + 8.0 * (labels == 2)[:, None, None]
    inputs = {
        "camera": np.zeros((count, 3, 4, 4, 1), np.float32),
        "shake": shake.astype(np.float32),
        "heat": (100 * heat).astype(np.int16),
        "turn": rng.normal(0, 1, (count, 64, 1)).astype(np.float32),
    }
    return inputs, np.ones((count, 4), np.float32), labels


def baseline(seed: int = 0, only: list[str] | None = SIGNALS, classes: int = 3) -> MiniRocketRidge:
    return MiniRocketRidge(ENCODINGS, classes=classes, only=only, seed=seed, features=FEATURES)


def accuracy(fitted: MiniRocketRidge, absent: tuple[str, ...] = ()) -> float:
    inputs, presence, labels = windows(300, seed=9)
    presence[:, [list(ENCODINGS).index(name) for name in absent]] = 0
    return float((fitted.logits(inputs, presence).argmax(axis=1) == labels).mean())


@pytest.fixture(scope="module")
def fitted() -> MiniRocketRidge:
    return baseline().fit(*windows())


def test_a_toy_problem_is_learned_from_all_sensors_and_halfway_from_one(fitted: MiniRocketRidge) -> None:
    assert accuracy(fitted) > 0.9
    for name in ("shake", "heat"):
        alone = baseline(only=[name]).fit(*windows())
        assert list(alone.encodings) == [name]
        assert 0.55 < accuracy(alone) < 0.8


def test_logits_are_log_probabilities(fitted: MiniRocketRidge) -> None:
    inputs, presence, _ = windows(20)
    logits = fitted.logits(inputs, presence)
    assert logits.shape == (20, 3) and np.isfinite(logits).all()
    assert np.exp(logits).sum(axis=1) == pytest.approx(1.0)


def test_video_is_left_out_and_cannot_be_asked_for() -> None:
    assert list(baseline(only=None).encodings) == SIGNALS
    with pytest.raises(ConfigError, match=r"(?s)no frames.*camera.*shake"):
        baseline(only=["camera", "shake"])
    with pytest.raises(ConfigError, match="no frames"):
        MiniRocketRidge({"camera": CAMERA}, classes=3)
    with pytest.raises(ConfigError, match="no frames"):
        baseline(only=[])


def test_it_looks_at_nothing_but_its_inputs() -> None:
    inputs, presence, labels = windows()
    heat = baseline(only=["heat"]).fit({"heat": inputs["heat"]}, presence, labels)
    without = presence.copy()
    without[:, [0, 1, 3]] = 0
    np.testing.assert_array_equal(
        heat.logits({"heat": inputs["heat"]}, without), heat.logits(inputs, presence)
    )


def test_what_an_absent_input_holds_is_not_looked_at(fitted: MiniRocketRidge) -> None:
    inputs, presence, _ = windows()
    presence[:, 2] = 0
    expected = fitted.logits(inputs, presence)
    inputs["heat"] = np.full_like(inputs["heat"], 5000)
    np.testing.assert_array_equal(fitted.logits(inputs, presence), expected)


@pytest.mark.parametrize("absent", ["shake", "heat", "turn"])
def test_an_input_absent_from_all_of_training_is_no_trouble(absent: str) -> None:
    inputs, presence, labels = windows()
    presence[:, list(ENCODINGS).index(absent)] = 0
    some = baseline().fit(inputs, presence, labels)
    assert accuracy(some, absent=(absent,)) > 0.55
    # Nor is it when it comes back: what it says was never met.
    np.testing.assert_array_equal(
        some.logits(inputs, np.ones((90, 4), np.float32)), some.logits(inputs, presence)
    )


def test_with_no_input_at_all_classes_are_as_likely_as_they_were() -> None:
    inputs, presence, labels = windows()
    nothing = np.zeros_like(presence)
    shares = np.exp(baseline().fit(inputs, nothing, labels).logits(inputs, nothing))
    assert shares == pytest.approx(1 / 3, abs=0.01)


def test_an_input_absent_from_some_windows_is_used_where_it_is_there() -> None:
    inputs, presence, labels = windows(180)
    presence[:, 2] = np.random.default_rng(1).random(180) < 0.5
    some = baseline().fit(inputs, presence, labels)
    assert accuracy(some) > 0.8
    assert np.isfinite(some.logits(inputs, np.zeros((180, 4), np.float32))).all()


def test_samples_that_are_unusable_are_repaired(fitted: MiniRocketRidge) -> None:
    inputs, presence, labels = windows(300, seed=9)
    inputs["shake"][:, ::7] = np.nan
    inputs["shake"][:, 3] = 1e30
    inputs["turn"][:] = np.inf
    logits = fitted.logits(inputs, presence)
    assert np.isfinite(logits).all()
    assert (logits.argmax(axis=1) == labels).mean() > 0.7


def test_units_do_not_matter() -> None:
    """Nor do channels whose numbers are a thousand times larger drown the others."""
    inputs, presence, labels = windows()
    milli = dataclasses.replace(SHAKE, scale=1000.0, valid_range=(-1e6, 1e6))
    other = MiniRocketRidge({**ENCODINGS, "shake": milli}, classes=3, only=SIGNALS, features=FEATURES)
    expected = baseline().fit(inputs, presence, labels).logits(inputs, presence)
    found = other.fit(inputs, presence, labels).logits(inputs, presence)
    np.testing.assert_allclose(np.exp(found), np.exp(expected), atol=0.05)


def test_windows_without_a_label_are_not_learned_from() -> None:
    inputs, presence, labels = windows()
    rows = np.arange(90) < 60
    some = baseline().fit(
        {name: values[rows] for name, values in inputs.items()}, presence[rows], labels[rows]
    )
    marked = baseline().fit(inputs, presence, np.where(rows, labels, -1))
    np.testing.assert_array_equal(marked.logits(inputs, presence), some.logits(inputs, presence))
    with pytest.raises(ValueError, match="no labelled window"):
        baseline().fit(inputs, presence, np.full(90, -1))


def test_two_labels_a_class_are_enough_to_learn_something() -> None:
    inputs, presence, labels = windows()
    assert accuracy(baseline().fit(inputs, presence, np.where(np.arange(90) < 6, labels, -1))) > 0.5


def test_a_class_that_training_lacks_stays_possible_and_improbable() -> None:
    inputs, presence, labels = windows()
    few = baseline(classes=4).fit(inputs, presence, np.where(labels == 1, 0, labels))
    shares = np.exp(few.logits(inputs, presence))
    assert (shares[:, [1, 3]] > 0).all() and (shares[:, [1, 3]] < 2e-4).all()


def test_the_seed_decides(fitted: MiniRocketRidge) -> None:
    inputs, presence, labels = windows()
    again, other = (baseline(seed=seed).fit(inputs, presence, labels) for seed in (0, 1))
    expected = fitted.logits(inputs, presence)
    np.testing.assert_array_equal(again.logits(inputs, presence), expected)
    assert not np.array_equal(other.logits(inputs, presence), expected)


def test_real_movements_of_a_person_never_seen() -> None:
    if not (DATA / "utd_mhad").is_dir():
        pytest.skip(f"no recordings of UTD-MHAD in {DATA}")
    config = load_config(
        Path(__file__).parents[2] / "examples" / "configs" / "utd_mhad.yaml",
        [
            "inputs={acceleration: {steps: 128}, gyroscope: {steps: 128}}",
            f"data=[{DATA / 'utd_mhad'}]",
            "out=unused",
        ],
    )
    planned = plan_run(config)
    train, test = planned.rows("train"), planned.rows("test")
    seen, unseen = read_arrays(planned, train), read_arrays(planned, test)
    started = time.process_time()
    fitted = MiniRocketRidge(planned.encodings, classes=len(planned.classes))
    fitted.fit(seen.inputs, seen.presence, planned.labels[train])
    assert time.process_time() - started < 10
    logits = fitted.logits(unseen.inputs, unseen.presence)
    assert (logits.argmax(axis=1) == planned.labels[test]).mean() > 0.78
