"""Which class shares a model answers for: against tables of counts, and after being turned to others."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from sensorkd.distillation import losses
from sensorkd.errors import ConfigError
from sensorkd.export.onnx import export_onnx
from sensorkd.training.inference import predict_logits
from sensorkd.training.priors import effective_prior, log_shift, sampled_prior, shift_classifier
from sensorkd.training.sampling import balanced_pass

# How often each of four readings is taken, by class: rows are classes.
READINGS = np.array([[0.4, 0.3, 0.2, 0.1], [0.1, 0.5, 0.2, 0.2], [0.1, 0.1, 0.2, 0.6]])
SHARES = np.array([0.70, 0.25, 0.05])


def counted_windows(total=2000):
    """Readings and labels in exactly the shares of the tables."""
    counts = np.rint(total * SHARES[:, None] * READINGS).astype(int)
    labels, readings = np.indices(counts.shape)
    return np.repeat(readings.ravel(), counts.ravel()), np.repeat(labels.ravel(), counts.ravel())


def posterior_under(prior):
    """(4, 3): the class of each reading, by Bayes."""
    joint = READINGS.T * prior
    return joint / joint.sum(axis=1, keepdims=True)


def fitted(loss, outputs):
    """A linear model of one-hot readings, brought to the bottom of its loss: logits (4, outputs)."""
    weight = torch.zeros(4, outputs, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight], max_iter=200, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        value = loss(weight)
        value.backward()
        return value

    optimiser.step(closure)
    return weight.detach()


def fitted_classifier(readings, labels, tau, prior):
    x, y = torch.from_numpy(readings), torch.from_numpy(labels)
    adjustment = torch.from_numpy(tau * np.log(prior))
    return fitted(lambda w: losses.label_supervision(losses.adjusted(w[x], adjustment), y, None, 0.0), 3)


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0, 1.5])
def test_an_adjusted_model_answers_for_the_effective_prior(tau):
    readings, labels = counted_windows()
    sampled = sampled_prior(labels, classes=3, sampling="natural")
    assert sampled == pytest.approx(SHARES)
    answered = softmax(fitted_classifier(readings, labels, tau, sampled).numpy(), axis=1)
    assert np.allclose(answered, posterior_under(effective_prior(sampled, tau)), atol=1e-3)


def test_a_model_of_balanced_passes_answers_for_equal_classes():
    readings, labels = counted_windows()
    chance = torch.Generator().manual_seed(0)
    rows = np.concatenate([balanced_pass(labels, chance) for _ in range(30)])
    sampled = sampled_prior(labels, classes=3, sampling="balanced")
    answered = softmax(fitted_classifier(readings[rows], labels[rows], 0.0, sampled).numpy(), axis=1)
    assert np.allclose(answered, posterior_under(effective_prior(sampled, 0.0)), atol=0.01)


@pytest.mark.parametrize("tau", [0.5, 1.0])
def test_an_adjusted_auxiliary_answers_for_the_prior_of_the_classifier(tau):
    """The class part of its joint label, with windows that have no label among the others.

    Two transforms that no reading tells apart, so that the bottom of the loss is not at infinity.
    """
    readings, labels = counted_windows()
    x = torch.from_numpy(np.concatenate([readings, readings, [0, 1, 2, 3]]))
    y = torch.from_numpy(np.concatenate([labels, labels, [-1, -1, -1, -1]]))
    views = torch.eye(2, dtype=torch.float64)[torch.tensor([0, 1]).repeat_interleave(len(labels))]
    views = torch.cat([views, torch.full((4, 2), 0.5, dtype=torch.float64)])
    adjustment = torch.from_numpy(tau * np.log(SHARES))
    joint = fitted(
        lambda w: losses.joint_supervision(losses.adjusted(w[x], adjustment), y, views, None, 0.0), 6
    )
    marginal = losses.class_marginal(joint, 3, 1.0).exp().numpy()
    assert np.allclose(marginal, posterior_under(effective_prior(SHARES, tau)), atol=2e-3)
    plain = fitted(lambda w: losses.joint_supervision(w[x], y, views, None, 0.0), 6)
    unlike = losses.class_marginal(plain, 3, 1.0).exp().numpy()
    assert np.allclose(unlike, posterior_under(SHARES), atol=2e-3)


def test_shares_are_of_labelled_windows_alone():
    labels = np.array([0, 0, 0, -1, 1, -1])
    assert sampled_prior(labels, classes=2, sampling="natural").tolist() == [0.75, 0.25]
    assert sampled_prior(labels, classes=2, sampling="balanced").tolist() == [0.5, 0.5]


def test_effective_priors_worked_by_hand():
    assert effective_prior([0.8, 0.2], 0.0) == pytest.approx([0.8, 0.2])
    assert effective_prior([0.8, 0.2], 0.5) == pytest.approx([2 / 3, 1 / 3])
    assert effective_prior([0.8, 0.2], 2.0) == pytest.approx([0.2, 0.8])
    assert effective_prior([0.25] * 4, 1.7) == pytest.approx([0.25] * 4)


@pytest.mark.parametrize("sampling", ["natural", "balanced"])
def test_a_class_without_a_labelled_window_has_no_share(sampling):
    with pytest.raises(ConfigError, match="no labelled training window") as caught:
        sampled_prior(np.array([1, 1, -1]), classes=3, sampling=sampling)
    assert "none of class 0, 2" in str(caught.value)
    with pytest.raises(ConfigError, match="not the number of a class"):
        sampled_prior(np.array([0, 1, 2]), classes=2, sampling=sampling)


def shares(size):
    parts = st.lists(st.floats(0.01, 1), min_size=size, max_size=size)
    return parts.map(lambda some: np.array(some) / sum(some))


@settings(max_examples=40, deadline=None)
@given(shares(4), shares(4), shares(4))
def test_turning_on_and_back_are_sums(one, other, third):
    assert np.allclose(log_shift(one, other) + log_shift(other, third), log_shift(one, third))
    assert np.allclose(log_shift(one, one), 0)


def test_a_class_that_is_said_never_to_occur_stays_possible():
    assert np.allclose(log_shift([0.5, 0.5], [1.0, 0.0]), [np.log(2), np.log(2e-6)])
    with pytest.raises(ConfigError, match="training never saw") as caught:
        log_shift([1.0, 0.0], [0.5, 0.5])
    assert "class 1" in str(caught.value)


@pytest.mark.parametrize("bad", [[0.5, 0.6], [1.2, -0.2], [[0.5, 0.5]], [float("nan"), 1.0], [], 1.0])
def test_what_are_no_shares_is_refused(bad):
    with pytest.raises(ConfigError, match="no list of class shares"):
        log_shift([0.5, 0.5], bad)


def test_priors_of_other_classes_are_refused(layered):
    with pytest.raises(ConfigError, match="different classes"):
        log_shift([0.5, 0.5], [0.2, 0.3, 0.5])
    with pytest.raises(ConfigError, match="not of the student's classes"):
        shift_classifier(layered.student, [0.5, 0.5], [0.9, 0.1])


def test_a_turned_student_says_the_reweighted_posterior(layered, make_windows):
    student, windows = layered.student, make_windows(20)
    before = {name: value.clone() for name, value in student.state_dict().items()}
    posterior = softmax(predict_logits(student, windows).astype(np.float64), axis=1)
    trained, plant = np.array([0.5, 0.3, 0.2]), np.array([0.02, 0.08, 0.9])
    shift_classifier(student, trained, plant)
    expected = posterior * plant / trained
    expected /= expected.sum(axis=1, keepdims=True)
    assert np.allclose(softmax(predict_logits(student, windows), axis=1), expected, atol=1e-5)
    changed = [name for name, value in student.state_dict().items() if not torch.equal(value, before[name])]
    assert changed == ["classifier.bias"]
    shift_classifier(student, plant, trained)
    assert torch.allclose(student.classifier.bias, before["classifier.bias"], atol=1e-6)


def test_a_turned_student_exports_as_the_same_graph(layered, encodings, tmp_path):
    def structure(path):
        graph = onnx.load(path).graph
        nodes = [(node.op_type, list(node.input), list(node.output)) for node in graph.node]
        return nodes, [(item.name, item.data_type, list(item.dims)) for item in graph.initializer]

    export_onnx(layered.student, encodings, tmp_path / "before.onnx")
    shift_classifier(layered.student, [0.5, 0.3, 0.2], [0.1, 0.1, 0.8])
    export_onnx(layered.student, encodings, tmp_path / "after.onnx")
    assert structure(tmp_path / "before.onnx") == structure(tmp_path / "after.onnx")
    assert (tmp_path / "before.onnx").stat().st_size == (tmp_path / "after.onnx").stat().st_size


def test_weak_and_soft_labels_count_for_what_they_teach():
    labels = np.array([0, 0, 1, 1, 2, 2, -1])
    mass = np.array([[0.2, 0, 0]] * 2 + [[0, 1, 0]] * 2 + [[0, 0.5, 0.5]] * 2 + [[0, 0, 0]])
    natural = sampled_prior(labels, classes=3, sampling="natural", mass=mass)
    assert natural == pytest.approx([0.4 / 4.4, 3 / 4.4, 1 / 4.4])
    # Of every class as often; what they teach then still differs.
    twice = np.concatenate([labels, [0, 0]]), np.concatenate([mass, [[0.2, 0, 0]] * 2])
    assert sampled_prior(twice[0], classes=3, sampling="balanced", mass=twice[1]) == pytest.approx(natural)
