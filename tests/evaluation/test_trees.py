"""The baseline of trees: it learns, bears absent sensors, and says the same twice."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from sensorkd.encoding import InputEncoding
from sensorkd.evaluation.trees import Trees

SHAKE = InputEncoding(
    modality="acceleration",
    dtype="float32",
    unit="m/s2",
    scale=1.0,
    offset=0.0,
    sample_shape=(1,),
    channels=("x",),
    steps=64,
    rate=100.0,
    span=640_000_000,
    valid_range=(-100.0, 100.0),
    resampling="linear",
)
HEAT = dataclasses.replace(SHAKE, modality="temperature", unit="degC", steps=8)
ENCODINGS = {"shake": SHAKE, "heat": HEAT}
TREES = 40


def windows(count: int = 90, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Class 1 hums, class 2 is hot, class 0 neither."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    hum = np.sin(2 * np.pi * 20 * np.arange(64) / 100 + rng.uniform(0, 6, (count, 1)))
    shake = rng.normal(0, 1, (count, 64)) + 1.5 * (labels == 1)[:, None] * hum
    heat = rng.normal(20, 2, (count, 8)) + 8.0 * (labels == 2)[:, None]
    inputs = {"shake": shake[..., None].astype(np.float32), "heat": heat[..., None].astype(np.float32)}
    return inputs, np.ones((count, 2), np.float32), labels


def accuracy(trees: Trees, presence: np.ndarray | None = None) -> float:
    inputs, everything, labels = windows(300, seed=9)
    found = trees.logits(inputs, everything if presence is None else np.tile(presence, (300, 1)))
    return float((found.argmax(axis=1) == labels).mean())


@pytest.fixture(scope="module")
def fitted() -> Trees:
    return Trees(ENCODINGS, classes=3, trees=TREES).fit(*windows())


def test_a_toy_problem_is_learned_from_both_sensors_and_halfway_from_one(fitted: Trees) -> None:
    assert accuracy(fitted) > 0.9
    for name, others in (("shake", "hums"), ("heat", "is hot")):
        alone = Trees(ENCODINGS, classes=3, only=[name], trees=TREES).fit(*windows())
        assert list(alone.encodings) == [name]
        assert 0.55 < accuracy(alone) < 0.8, f"one class in three {others}"


def test_logits_are_log_probabilities(fitted: Trees) -> None:
    inputs, presence, _ = windows(20)
    logits = fitted.logits(inputs, presence)
    assert logits.shape == (20, 3)
    assert np.exp(logits).sum(axis=1) == pytest.approx(1.0)
    assert np.isfinite(logits).all()


def test_trees_of_some_inputs_look_at_nothing_else() -> None:
    """Not even at samples: those of the others may be left out."""
    inputs, presence, labels = windows()
    heat = Trees(ENCODINGS, classes=3, only=["heat"], trees=TREES).fit(
        {"heat": inputs["heat"]}, presence, labels
    )
    without = presence.copy()
    without[:, 0] = 0
    expected = heat.logits(inputs, presence)
    np.testing.assert_array_equal(heat.logits({"heat": inputs["heat"]}, without), expected)


def test_an_input_absent_from_all_of_training_is_no_trouble() -> None:
    inputs, presence, labels = windows()
    presence[:, 0] = 0
    trees = Trees(ENCODINGS, classes=3, trees=TREES).fit(inputs, presence, labels)
    assert accuracy(trees, np.array([0, 1], np.float32)) > 0.6
    found = trees.logits(inputs, np.ones((90, 2), np.float32))
    assert np.isfinite(found).all(), "nor is it when it comes back"


def test_an_input_absent_from_some_windows_is_used_where_it_is_there() -> None:
    inputs, presence, labels = windows(180)
    presence[:, 1] = np.random.default_rng(1).random(180) < 0.5
    trees = Trees(ENCODINGS, classes=3, trees=TREES).fit(inputs, presence, labels)
    assert accuracy(trees) > 0.8
    assert np.isfinite(trees.logits(inputs, np.zeros((180, 2), np.float32))).all()


def test_a_class_that_training_lacks_stays_possible_and_improbable() -> None:
    inputs, presence, labels = windows()
    labels = np.where(labels == 1, 0, labels)
    trees = Trees(ENCODINGS, classes=4, trees=TREES).fit(inputs, presence, labels)
    shares = np.exp(trees.logits(inputs, presence))
    assert shares.shape == (90, 4)
    assert (shares[:, [1, 3]] > 0).all()
    assert (shares[:, [1, 3]] < 2e-4).all()
    assert set(shares.argmax(axis=1).tolist()) == {0, 2}


def test_windows_without_a_label_are_not_learned_from() -> None:
    inputs, presence, labels = windows()
    rows = np.arange(90) < 60
    some = Trees(ENCODINGS, classes=3, trees=TREES).fit(
        {name: values[rows] for name, values in inputs.items()}, presence[rows], labels[rows]
    )
    marked = Trees(ENCODINGS, classes=3, trees=TREES).fit(inputs, presence, np.where(rows, labels, -1))
    np.testing.assert_array_equal(marked.logits(inputs, presence), some.logits(inputs, presence))


def test_the_seed_decides(fitted: Trees) -> None:
    inputs, presence, labels = windows()
    again, other = (
        Trees(ENCODINGS, classes=3, trees=TREES, seed=seed).fit(inputs, presence, labels) for seed in (0, 1)
    )
    expected = fitted.logits(inputs, presence)
    np.testing.assert_array_equal(again.logits(inputs, presence), expected)
    assert not np.array_equal(other.logits(inputs, presence), expected)


def test_rare_classes_are_not_drowned() -> None:
    inputs, presence, labels = windows(240)
    keep = (labels != 2) | (np.arange(240) < 30)
    trees = Trees(ENCODINGS, classes=3, trees=TREES).fit(
        {name: values[keep] for name, values in inputs.items()}, presence[keep], labels[keep]
    )
    unseen, everything, truth = windows(300, seed=9)
    verdicts = trees.logits(unseen, everything).argmax(axis=1)
    assert (verdicts == 2)[truth == 2].mean() > 0.7


def test_labels_of_little_weight_teach_little() -> None:
    inputs, presence, labels = windows(240)
    wrong = np.arange(240) % 2 == 0
    told = np.where(wrong, (labels + 1) % 3, labels)
    weights = np.where(wrong, 0.02, 1.0)
    misled = Trees(ENCODINGS, classes=3, trees=TREES).fit(inputs, presence, told)
    warned = Trees(ENCODINGS, classes=3, trees=TREES).fit(inputs, presence, told, weights)
    assert accuracy(warned) > 0.85 > accuracy(misled) + 0.1
    alike = Trees(ENCODINGS, classes=3, trees=TREES).fit(inputs, presence, told, np.ones(240))
    np.testing.assert_array_equal(alike.logits(inputs, presence), misled.logits(inputs, presence))


def test_a_seed_may_be_as_large_as_that_of_a_run() -> None:
    inputs, presence, labels = windows()
    Trees(ENCODINGS, classes=3, trees=2, seed=2**40 + 1).fit(inputs, presence, labels)
