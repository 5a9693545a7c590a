"""Class shares are found from what a calibrated model says of unlabelled windows."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from sensorkd.errors import ConfigError
from sensorkd.evaluation.prior_shift import estimate_prior, report_prior, shift_logits
from sensorkd.training.metrics import classification_metrics

MEANS = np.array([[0.0, 0.0], [2.0, 0.0], [0.5, 1.8]])
TRAINED = np.array([0.5, 0.3, 0.2])


def windows(prior: np.ndarray, count: int = 20_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from a prior, and the exact logits under TRAINED of a normal cloud a class."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, count, p=prior)
    x = MEANS[labels] + rng.normal(0, 1, (count, 2))
    squares = ((x[:, None, :] - MEANS) ** 2).sum(axis=2)
    return labels, np.log(TRAINED) - squares / 2


@pytest.mark.parametrize(
    "prior", [[0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.95, 0.03, 0.02], [1 / 3] * 3, [0.6, 0.4, 0.0]]
)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_known_prior_is_found(prior: list[float], seed: int) -> None:
    _, logits = windows(np.array(prior), seed=seed)
    found = estimate_prior(softmax(logits, axis=1), TRAINED)
    assert found.converged
    assert np.abs(found.prior - prior).max() < 0.02
    assert found.prior.sum() == pytest.approx(1.0)


def test_what_is_found_is_the_mean_of_its_own_posteriors() -> None:
    _, logits = windows(np.array([0.2, 0.7, 0.1]), 500)
    found = estimate_prior(softmax(logits, axis=1), TRAINED, tolerance=1e-10, limit=10_000)
    turned = softmax(shift_logits(logits, TRAINED, found.prior), axis=1)
    assert np.allclose(turned.mean(axis=0), found.prior, atol=1e-8)


def test_logits_turned_to_the_found_prior_are_right_more_often_and_better_calibrated() -> None:
    labels, logits = windows(np.array([0.04, 0.06, 0.9]))
    found = estimate_prior(softmax(logits, axis=1), TRAINED)
    turned = shift_logits(logits, TRAINED, found.prior)
    rows = np.arange(len(labels))
    assert (turned.argmax(axis=1) == labels).mean() > (logits.argmax(axis=1) == labels).mean() + 0.05
    nll, before = (-log_softmax(x, axis=1)[rows, labels].mean() for x in (turned, logits))
    assert nll < before - 0.1


def test_turned_logits_are_the_posterior_by_bayes() -> None:
    _, logits = windows(TRAINED, 50)
    plant = np.array([0.01, 0.19, 0.8])
    expected = softmax(logits, axis=1) * plant / TRAINED
    expected /= expected.sum(axis=1, keepdims=True)
    assert np.allclose(softmax(shift_logits(logits, TRAINED, plant), axis=1), expected)
    assert np.allclose(shift_logits(logits, plant, plant), logits)


def test_an_estimate_that_ran_out_of_rounds_says_so() -> None:
    _, logits = windows(np.array([0.05, 0.05, 0.9]), 300)
    found = estimate_prior(softmax(logits, axis=1), TRAINED, limit=2)
    assert not found.converged
    assert found.iterations == 2


def test_single_precision_and_sure_posteriors_are_borne() -> None:
    sure = np.repeat(np.eye(3, dtype=np.float32), [7, 2, 1], axis=0)
    assert estimate_prior(sure, TRAINED).prior == pytest.approx([0.7, 0.2, 0.1])
    _, logits = windows(TRAINED, 200)
    found = estimate_prior(softmax(logits.astype(np.float32) * 30, axis=1), TRAINED)
    assert np.isfinite(found.prior).all()


def test_a_class_that_no_window_speaks_for_gets_no_share_and_finite_logits() -> None:
    probabilities = np.array([[0.9, 0.1, 0.0], [0.3, 0.7, 0.0]])
    found = estimate_prior(probabilities, TRAINED)
    assert found.prior[2] == 0.0
    turned = shift_logits(np.zeros((2, 3)), TRAINED, found.prior)
    assert np.isfinite(turned).all()
    assert turned[0, 2] < -10


def test_a_training_share_of_zero_is_refused() -> None:
    with pytest.raises(ConfigError, match="training never saw"):
        estimate_prior(np.full((4, 3), 1 / 3), [0.5, 0.5, 0.0])
    with pytest.raises(ConfigError, match="training never saw"):
        shift_logits(np.zeros((4, 3)), [0.5, 0.5, 0.0], TRAINED)


def test_what_are_no_probabilities_is_refused() -> None:
    for bad in (np.zeros((4, 2)), np.zeros((0, 3)), np.zeros(3)):
        with pytest.raises(ValueError, match=r"\(W, 3\)"):
            estimate_prior(bad, TRAINED)
    for logits in (np.array([[2.0, -1.0, 0.0]]), np.full((2, 3), np.nan), np.ones((2, 3))):
        with pytest.raises(ValueError, match="are these logits"):
            estimate_prior(logits, TRAINED)


def test_logits_of_other_classes_are_refused() -> None:
    with pytest.raises(ConfigError, match="not of the logits' classes"):
        shift_logits(np.zeros((4, 2)), TRAINED, TRAINED)


NAMES = ("idle", "run", "jam")


def test_a_report_sets_three_kinds_of_shares_side_by_side() -> None:
    plant = np.array([0.1, 0.1, 0.8])
    labels, logits = windows(plant, count=4000)
    found = report_prior(logits, labels, TRAINED, NAMES)
    assert found.answered == dict(zip(NAMES, TRAINED.tolist(), strict=True))
    assert found.judged == {name: (labels == kind).mean() for kind, name in enumerate(NAMES)}
    assert list(found.estimated.values()) == pytest.approx(plant, abs=0.04)
    assert found.converged
    estimate = np.array(list(found.estimated.values()))
    expected = classification_metrics(shift_logits(logits, TRAINED, estimate), labels)
    assert found.adjusted.to_json() == expected.to_json()
    assert found.adjusted.accuracy > classification_metrics(logits, labels).accuracy


def test_a_class_that_no_judged_window_has_is_told_as_nought() -> None:
    labels, logits = windows(np.array([0.5, 0.5, 0.0]), count=200)
    found = report_prior(logits, labels, TRAINED, NAMES)
    assert found.judged["jam"] == 0.0
    assert sum(found.judged.values()) == pytest.approx(1.0)
    assert sum(found.estimated.values()) == pytest.approx(1.0)


def test_a_report_in_a_line_and_as_plain_values() -> None:
    labels, logits = windows(TRAINED, count=400)
    found = report_prior(logits.astype(np.float32), labels, tuple(TRAINED), NAMES)
    line = found.told()
    assert line.startswith("class shares (answered for / judged / estimated without labels): idle 0.50 / 0.")
    assert f"accuracy {found.adjusted.accuracy:.3f}" in line
    tree = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert set(tree) == {"answered", "judged", "estimated", "converged", "adjusted"}
    assert set(tree["adjusted"]) == {"windows", "accuracy", "macro_f1", "nll", "ece"}
    assert set(tree["estimated"]) == set(NAMES)


def test_no_torch_is_needed() -> None:
    code = "import sys, sensorkd.evaluation.prior_shift; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
