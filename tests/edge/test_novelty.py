"""`unknown`: how far a window is from all classes, at a rate that can be kept."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorkd.edge import EdgeBundle, EdgePredictor
from sensorkd.edge.classifier import Prototypes
from sensorkd.edge.novelty import Novelty, threshold_at
from sensorkd.edge.statistics import Kept, Statistics
from sensorkd.edge.unknown_rule import UnknownRule
from sensorkd.errors import BundleError

SIZE, CLASSES = 5, 3


def some_statistics(seed=0):
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=(2, SIZE, SIZE))
    return Statistics(
        subsets=np.array([[1, 1], [0, 1]], np.float32),
        means=rng.normal(0, 3, (2, CLASSES, SIZE)).astype(np.float32),
        counts=np.full(CLASSES, 9),
        covariance=(roots @ roots.transpose(0, 2, 1) + 0.1 * np.eye(SIZE)).astype(np.float32),
        weight=np.zeros((CLASSES, SIZE), np.float32),
        bias=np.zeros(CLASSES, np.float32),
        kept=Kept(np.zeros((0, SIZE), np.float32), np.zeros(0, np.int64), np.zeros(0, bool)),
    )


def rule(*thresholds):
    return UnknownRule(0.01, thresholds, ("a+b", "b"), (10, 10), ("dev",))


def by_definition(statistics, subset, x, extra=()):
    inverse = np.linalg.inv(statistics.covariance[subset].astype(np.float64))
    known = [*statistics.means[subset], *extra]
    return min(float(np.sqrt((x - mean) @ inverse @ (x - mean))) for mean in known)


@given(st.integers(0, 200))
def test_a_distance_is_that_of_mahalanobis_to_the_nearest_class(seed):
    rng = np.random.default_rng(seed)
    statistics = some_statistics(seed)
    x = rng.normal(0, 4, (6, SIZE))
    rows = rng.integers(0, 2, 6)
    found = Novelty(statistics).distances(x, statistics.subsets[rows])
    expected = [by_definition(statistics, subset, row) for subset, row in zip(rows, x, strict=True)]
    assert found == pytest.approx(expected, rel=1e-6)


@given(st.integers(0, 200))
def test_one_window_is_judged_as_many_are(seed):
    rng = np.random.default_rng(seed)
    statistics = some_statistics(seed)
    x, here = rng.normal(0, 4, (40, SIZE)), rng.integers(0, 2, (40, 2))
    novelty = Novelty(statistics, rule(float(rng.uniform(1, 9)), None if seed % 3 else 4.0))
    singly = [novelty.unknown(x[row : row + 1], here[row : row + 1])[0] for row in range(40)]
    assert singly == novelty.unknown(x, here).tolist()


def test_what_an_update_taught_is_near_under_its_subset_alone():
    statistics, place = some_statistics(), np.full((1, SIZE), 40.0, np.float32)
    one = np.ones(1, np.int64)
    novelty = Novelty(statistics, rule(5.0, 5.0), Prototypes(place, 0 * one, one, one))
    assert novelty.unknown(place, np.array([[0, 1]])).tolist() == [False]
    assert novelty.unknown(place, np.array([[1, 1]])).tolist() == [True]


def test_every_subset_has_a_threshold_of_its_own():
    statistics = some_statistics()
    x = statistics.means[:, 0] + 1.0
    distances = Novelty(statistics).distances(x, statistics.subsets)
    novelty = Novelty(statistics, rule(float(distances[0] * 1.01), float(distances[1] * 0.99)))
    assert novelty.unknown(x, statistics.subsets).tolist() == [False, True]


def test_without_a_threshold_or_statistics_of_a_subset_nothing_is_unknown_but_nothing_at_all():
    statistics = some_statistics()
    far = np.full((3, SIZE), 1e4)
    novelty = Novelty(statistics, rule(5.0, None))
    assert novelty.unknown(far, np.array([[0, 1], [1, 0], [0, 0]])).tolist() == [False, False, True]
    assert not Novelty(statistics).unknown(far, np.array([[1, 1]] * 3)).any()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_unknown(value):
    novelty = Novelty(some_statistics(), rule(5.0, 5.0))
    assert novelty.unknown(np.full((1, SIZE), value), np.ones((1, 2))).all()


@given(st.integers(1, 400), st.sampled_from([0.001, 0.01, 0.05, 0.3]))
def test_a_threshold_keeps_its_promise_in_every_order(count, rate):
    """Of n + 1 distances alike, each is the new one in turn: how many exceed the threshold of the rest?"""
    every = np.random.default_rng(count).normal(size=count + 1)
    exceeded, promised = 0, 0.0
    for turn in range(count + 1):
        threshold, promised = threshold_at(np.delete(every, turn), rate)
        exceeded += every[turn] > threshold
    assert exceeded / (count + 1) <= promised + 1e-12
    assert promised == max(rate, 1 / (count + 1))
    # Nor is it more cautious than it must be.
    assert exceeded >= np.floor((count + 1) * rate)


def test_a_covariance_without_spread_and_thresholds_of_others_are_refused():
    flat = dataclasses.replace(some_statistics(), covariance=np.zeros((2, SIZE, SIZE), np.float32))
    with pytest.raises(BundleError, match="cannot be inverted"):
        Novelty(flat)
    with pytest.raises(BundleError, match="1 thresholds"):
        Novelty(some_statistics(), UnknownRule(0.01, (5.0,), ("a+b",), (10,), ("dev",)))


@pytest.mark.parametrize(
    "changes",
    [
        {"rate": 0.0},
        {"rate": 1.0},
        {"rate": float("nan")},
        {"thresholds": (5.0, float("inf"))},
        {"thresholds": (5.0, -1.0)},
        {"thresholds": (5.0,)},
        {"thresholds": (), "subsets": (), "windows": ()},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(changes):
    with pytest.raises(ValueError, match="unknown"):
        dataclasses.replace(rule(5.0, 5.0), **changes)


def test_a_bundle_says_unknown_of_what_is_unlike_all_it_knows(learning_folder, windows_at):
    predictor = EdgePredictor(EdgeBundle.open(learning_folder))
    inputs = windows_at([(3, -3), (3, 4), (1, 4), (-20, -5)])
    found = predictor.predict(inputs)
    assert found.unknown.tolist() == [False, True, False, True]
    assert [row["unknown"] for row in found.rows()] == [False, True, False, True]
    # Without the shaking (3, 4) is as the heat of `hot`, and that subset has no threshold.
    assert not predictor.predict({"heat": inputs["heat"]}).unknown.any()
    assert predictor.predict({"shake": inputs["shake"]}).unknown.tolist() == [False, False, False, True]
    assert predictor.predict(inputs, np.zeros((4, 2))).unknown.all()


def test_a_bundle_without_statistics_calls_nothing_unknown(bundle_folder, make_samples):
    predictor = EdgePredictor(EdgeBundle.open(bundle_folder))
    assert predictor.statistics is None
    assert not predictor.predict(make_samples(9)).unknown.any()


def test_statistics_survive_the_file(learning_folder, made_statistics):
    found, expected = Statistics.of(EdgeBundle.open(learning_folder)), made_statistics
    for name in ("subsets", "means", "counts", "covariance", "weight", "bias"):
        assert np.array_equal(getattr(found, name), getattr(expected, name)), name
    for name in ("embedding", "labels", "judged"):
        assert np.array_equal(getattr(found.kept, name), getattr(expected.kept, name)), name


@pytest.mark.parametrize(
    "changes",
    [
        {"means": np.zeros((3, 3, 5), np.float32)},
        {"means": np.full((3, 3, 2), np.nan, np.float32)},
        {"bias": np.array([1.0, np.inf, 0.0], np.float32)},
        {"counts": np.zeros(3, np.float32)},
        {"subsets": np.zeros((0, 2), np.float32)},
    ],
)
def test_statistics_that_are_not_of_the_bundle_are_refused(learning_folder, made_statistics, vouch, changes):
    dataclasses.replace(made_statistics, **changes).save(learning_folder / "statistics.npz")
    vouch(learning_folder)
    with pytest.raises(BundleError, match="statistics of the embedding are not of this bundle"):
        EdgePredictor(EdgeBundle.open(learning_folder))
