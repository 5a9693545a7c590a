"""The ridge classifier is scikit-learn's, and as sure as it is right."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.linear_model import Ridge, RidgeClassifierCV

from sensorkd.evaluation.ridge import FLOOR, PENALTIES, CalibratedRidge, fitted_temperature


def features(count: int = 60, classes: int = 3, noise: float = 1.0, seed: int = 0, width: int = 90):
    """(W, D) and labels; the first columns tell the class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    values = rng.normal(0, noise, (count, width))
    values[:, :classes] += 2 * np.eye(classes)[labels]
    return values, labels


@pytest.mark.parametrize("classes", [2, 3])
def test_answers_are_those_of_the_ridge_classifier(classes: int) -> None:
    values, labels = features(classes=classes)
    unseen, _ = features(classes=classes, seed=1)
    known = RidgeClassifierCV(PENALTIES, class_weight="balanced").fit(values, labels)
    answers = CalibratedRidge(classes=classes).fit(values, labels).answers(unseen)
    expected = known.decision_function(unseen)
    np.testing.assert_allclose(answers if classes > 2 else answers[:, 1], expected, atol=1e-8)


def test_the_temperature_is_that_of_windows_left_out_one_by_one() -> None:
    values, labels = features(24)
    ridge = CalibratedRidge(classes=3).fit(values, labels)
    penalty = RidgeClassifierCV(PENALTIES).fit(values, labels).alpha_
    left_out = []
    for row in range(24):
        others = np.arange(24) != row
        targets = 2.0 * np.eye(3)[labels] - 1
        left_out.append(Ridge(penalty).fit(values[others], targets[others]).predict(values[[row]])[0])
    assert ridge.temperature == pytest.approx(fitted_temperature(np.array(left_out), labels), rel=1e-3)


def test_the_temperature_is_the_most_likely_one() -> None:
    rng = np.random.default_rng(0)
    answers = rng.normal(0, 1, (4000, 3))
    shares = np.exp(log_softmax(answers / 0.4, axis=1))
    labels = np.array([rng.choice(3, p=row) for row in shares])
    assert fitted_temperature(answers, labels) == pytest.approx(0.4, abs=0.03)


def test_answers_that_are_all_right_are_not_infinitely_sure() -> None:
    answers, labels = 2.0 * np.eye(3)[np.arange(30) % 3] - 1, np.arange(30) % 3
    few, many = (fitted_temperature(np.tile(answers, (n, 1)), np.tile(labels, n)) for n in (1, 100))
    assert few > many > 0.05
    sure = np.exp(log_softmax(answers / few, axis=1)).max(axis=1)
    assert sure[0] == pytest.approx((30 + 1 / 3) / 31, abs=1e-3)


def test_it_is_as_sure_as_it_is_right_on_unseen_windows() -> None:
    values, labels = features(300, noise=1.6)
    unseen, truth = features(3000, noise=1.6, seed=1)
    logits = CalibratedRidge(classes=3).fit(values, labels).logits(unseen)
    right = (logits.argmax(axis=1) == truth).mean()
    assert 0.5 < right < 0.95
    assert np.exp(logits.max(axis=1)).mean() == pytest.approx(right, abs=0.06)


@pytest.mark.parametrize("count", [2, 3, 6])
def test_a_label_a_class_or_two_are_enough(count: int) -> None:
    values, labels = features(count)
    logits = CalibratedRidge(classes=3).fit(values, labels).logits(features(30, seed=3)[0])
    assert logits.shape == (30, 3) and np.isfinite(logits).all()
    assert np.exp(logits).sum(axis=1) == pytest.approx(1.0)


def test_a_single_class_is_all_it_can_say() -> None:
    values, _ = features(5)
    shares = np.exp(CalibratedRidge(classes=3).fit(values, np.full(5, 2)).logits(values))
    assert (shares.argmax(axis=1) == 2).all()
    assert shares[0, 0] == pytest.approx(FLOOR, rel=1e-2)


def test_labels_of_little_weight_teach_little() -> None:
    values, labels = features(360)
    unseen, truth = features(300, seed=1)
    wrong = np.arange(360) % 2 == 0
    told = np.where(wrong, (labels + 1) % 3, labels)
    verdicts = [
        CalibratedRidge(classes=3).fit(values, told, weights).logits(unseen).argmax(axis=1)
        for weights in (None, np.where(wrong, 0.02, 1.0))
    ]
    misled, warned = ((verdict == truth).mean() for verdict in verdicts)
    assert warned > 0.75 > misled + 0.1
