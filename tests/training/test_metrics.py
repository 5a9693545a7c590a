from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss

from sensorkd.training.metrics import classification_metrics, expected_calibration_error


def logits_of(probabilities):
    return np.log(np.asarray(probabilities))


def test_metrics_of_four_windows_worked_by_hand():
    probabilities = [[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]]
    metrics = classification_metrics(logits_of(probabilities), np.array([0, 1, 1, -1]))
    assert metrics.windows == 3
    assert metrics.accuracy == pytest.approx(2 / 3)
    # Class 0: precision 1/2, recall 1; class 1: precision 1, recall 1/2; class 2 does not occur.
    assert metrics.macro_f1 == pytest.approx(2 / 3)
    assert metrics.nll == pytest.approx(-(np.log(0.7) + np.log(0.3) + np.log(0.8)) / 3)
    assert metrics.confusion.tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]
    # Each in a bin of its own: |0.7 - 1|, |0.5 - 0|, |0.8 - 1|.
    assert metrics.ece == pytest.approx((0.3 + 0.5 + 0.2) / 3)


def test_calibration_error_worked_by_hand():
    """With two bins: (0, 0.5] holds 0.4 wrong and 0.5 right, (0.5, 1] holds 0.9 right and 1.0 wrong."""
    confidence, correct = np.array([0.4, 0.5, 0.9, 1.0]), np.array([False, True, True, False])
    expected = (2 * abs(0.45 - 0.5) + 2 * abs(0.95 - 0.5)) / 4
    assert expected_calibration_error(confidence, correct, bins=2) == pytest.approx(expected)


def test_calibration_of_an_honest_coin_is_zero():
    confidence, correct = np.full(10, 0.6), np.arange(10) < 6
    assert expected_calibration_error(confidence, correct) == pytest.approx(0.0)
    assert expected_calibration_error(np.ones(5), np.ones(5, bool)) == 0.0
    assert expected_calibration_error(np.array([0.0]), np.array([True])) == 1.0


def slow_calibration_error(confidence, correct, bins):
    total = 0.0
    for b in range(bins):
        inside = [i for i, c in enumerate(confidence) if b / bins < c <= (b + 1) / bins]
        if inside:
            gap = np.mean([confidence[i] for i in inside]) - np.mean([correct[i] for i in inside])
            total += len(inside) / len(confidence) * abs(gap)
    return total


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(2, 6))
def test_metrics_agree_with_sklearn_and_with_loops(seed, windows, classes):
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(0, 2, (windows, classes)), rng.integers(0, classes, windows)
    metrics = classification_metrics(logits.astype(np.float32), labels)
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    predicted = logits.argmax(1)
    assert metrics.accuracy == pytest.approx(accuracy_score(labels, predicted))
    assert metrics.macro_f1 == pytest.approx(f1_score(labels, predicted, average="macro", zero_division=0))
    assert metrics.nll == pytest.approx(log_loss(labels, probabilities, labels=range(classes)), rel=1e-4)
    assert (metrics.confusion == confusion_matrix(labels, predicted, labels=range(classes))).all()
    slow = slow_calibration_error(probabilities.max(1), predicted == labels, 15)
    assert metrics.ece == pytest.approx(slow, abs=1e-5)


def test_huge_logits_do_not_overflow():
    metrics = classification_metrics(np.array([[1e4, 0.0], [0.0, 1e4]]), np.array([0, 0]))
    assert metrics.nll == pytest.approx(5e3)
    assert metrics.ece == pytest.approx(0.5)


def test_nothing_labelled_cannot_be_judged():
    with pytest.raises(ValueError, match="no labelled window"):
        classification_metrics(np.zeros((3, 2)), np.full(3, -1))


def test_metrics_turn_into_plain_values():
    tree = classification_metrics(np.eye(2), np.array([0, 1])).to_json()
    assert tree["confusion"] == [[1, 0], [0, 1]]
    assert tree["accuracy"] == 1.0
    assert tree["windows"] == 2
