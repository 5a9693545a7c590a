"""Training on classes of unlike size: what helps a rare one, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from sensorkd.distillation.methods import method_named
from sensorkd.errors import ConfigError
from sensorkd.training.batches import labels_of
from sensorkd.training.config import TrainingConfig
from sensorkd.training.inference import predict_logits
from sensorkd.training.loop import train

RARE = np.repeat([0, 1, 2], [120, 120, 12])


class Items:
    """A dataset of items that does not tell its labels."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        return self.dataset[index]


class Told(Items):
    """The same, and it tells them, as a tensor."""

    @property
    def labels(self):
        return torch.from_numpy(self.dataset.labels)


def recall_of_the_rare_class(student, windows):
    return float((predict_logits(student, windows).argmax(1) == 2)[windows.labels == 2].mean())


@pytest.mark.parametrize("method", ["ce", pytest.param("sad", marks=pytest.mark.slow)])
def test_a_rare_class_is_found_when_it_is_balanced_or_adjusted_for(
    make_layered, make_windows, make_recipe, tmp_path, method
):
    def recall(**changes):
        recipe = make_recipe(method_named(method), steps=150, epoch_steps=50, learning_rate=0.01, **changes)
        windows = make_windows(labels=RARE, noise=2.5)
        student = train(make_layered(), windows, recipe, tmp_path / str(changes))
        return recall_of_the_rare_class(student, make_windows(300, seed=100, noise=2.5))

    natural = recall()
    assert natural < 0.4
    assert recall(logit_adjustment=1.0) > natural + 0.3
    assert recall(sampling="balanced") > natural + 0.3


def test_what_ships_is_the_same_network_however_classes_were_weighed(
    make_layered, make_windows, make_recipe, tmp_path
):
    shapes = []
    for changes in ({}, {"sampling": "balanced"}, {"logit_adjustment": 1.0}):
        student = train(make_layered(), make_windows(), make_recipe(**changes), tmp_path / str(changes))
        shapes.append({name: value.shape for name, value in student.state_dict().items()})
    assert shapes[0] == shapes[1] == shapes[2]


def test_equal_classes_need_no_adjustment(make_layered, make_windows, make_recipe, tmp_path):
    """tau log pi is then one number for all classes, to which a softmax is blind."""
    plain = train(make_layered(), make_windows(), make_recipe("ce"), tmp_path / "plain")
    moved = train(make_layered(), make_windows(), make_recipe("ce", logit_adjustment=1.0), tmp_path / "moved")
    test = make_windows(seed=5)
    assert np.allclose(predict_logits(plain, test), predict_logits(moved, test), atol=1e-2)


@pytest.mark.parametrize("changes", [{"sampling": "balanced"}, {"logit_adjustment": 1.0}])
def test_any_dataset_that_tells_its_labels_will_do(
    make_layered, make_windows, make_recipe, tmp_path, changes
):
    recipe, windows = make_recipe(**changes), make_windows(labels=RARE)
    one = train(make_layered(), windows, recipe, tmp_path / "arrays")
    other = train(make_layered(), Told(windows), recipe, tmp_path / "items")
    assert torch.equal(one.classifier.weight, other.classifier.weight)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"sampling": "balanced"}, "training.sampling"),
        ({"logit_adjustment": 1.0}, "training.logit_adjustment"),
    ],
)
def test_windows_that_do_not_tell_their_labels_are_refused(
    layered, make_windows, make_recipe, tmp_path, changes, key
):
    with pytest.raises(ConfigError, match="do not tell their labels") as caught:
        train(layered, Items(make_windows()), make_recipe(**changes), tmp_path)
    assert caught.value.inside == key
    assert "Items" in str(caught.value)
    assert "ArrayDataset" in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("changes", [{"sampling": "balanced"}, {"logit_adjustment": 1.0}])
def test_a_class_without_a_labelled_window_is_refused(layered, make_windows, make_recipe, tmp_path, changes):
    windows = make_windows(labels=[0, 2, 0, -1, 2, 0])
    with pytest.raises(ConfigError, match="no labelled training window") as caught:
        train(layered, windows, make_recipe(**changes), tmp_path)
    assert "none of class 1" in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("labels", [np.zeros(5, np.int64), np.zeros(6), np.zeros((6, 1), np.int64)])
def test_labels_that_are_no_class_numbers_are_refused(make_windows, labels):
    class Odd(Items):
        @property
        def labels(self):
            return labels

    with pytest.raises(ConfigError, match="not class numbers") as caught:
        labels_of(Odd(make_windows(6)), asked_by="training.sampling")
    assert str(labels.shape) in str(caught.value)


def test_an_adjustment_that_balancing_makes_idle_is_refused():
    with pytest.raises(ValidationError, match="choose one"):
        TrainingConfig(sampling="balanced", logit_adjustment=1.0)


@pytest.mark.parametrize(
    "bad", [{"logit_adjustment": -0.5}, {"logit_adjustment": float("inf")}, {"sampling": "fair"}]
)
def test_other_values_are_refused(bad):
    with pytest.raises(ValidationError):
        TrainingConfig(**bad)


def test_a_run_begun_before_there_was_a_choice_can_be_resumed(make_recipe):
    """Its checkpoint knows no such keys, and they change nothing at their defaults."""
    old = make_recipe("softened").identity(3)
    later = ("sampling", "logit_adjustment", "nesterov")
    assert not [key for key in later if f"training.{key}" in old]
    for changed in ({"sampling": "balanced"}, {"logit_adjustment": 0.5}, {"nesterov": False}):
        told = {f"training.{key}": value for key, value in changed.items()}
        assert make_recipe("softened", **changed).identity(3) == {**old, **told}
