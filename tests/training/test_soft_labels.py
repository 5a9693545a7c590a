"""Soft and weak labels in batches and in the loop; auxiliaries and their record."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from sensorkd.distillation.methods import Method, method_named
from sensorkd.errors import ConfigError
from sensorkd.training.auxiliaries import with_auxiliaries_of
from sensorkd.training.batches import ArrayDataset
from sensorkd.training.inference import predict_logits
from sensorkd.training.loop import train
from sensorkd.training.metrics import classification_metrics


def graded(windows, **columns):
    everything = windows[:]
    inputs = {name: everything[name].numpy() for name in ("shake", "heat")}
    return ArrayDataset(inputs, everything["presence"].numpy(), windows.labels, **columns)


def test_batches_hold_what_is_known_of_labels(make_windows):
    shares = np.eye(3, dtype=np.float32)[np.arange(12) % 3]
    windows = graded(make_windows(12), label_shares=shares, label_weight=np.linspace(0.1, 1, 12))
    batch = windows.select(np.array([3, 4, 5]))[:]
    assert torch.equal(batch["label_shares"], torch.eye(3))
    assert batch["label_weight"].dtype == torch.float32
    assert "label_shares" not in make_windows(12)[:]


@pytest.mark.parametrize("method", ["ce", "softened"])
def test_soft_and_weak_labels_are_learned_from(make_layered, make_windows, make_recipe, tmp_path, method):
    windows = make_windows()
    shares = 0.9 * np.eye(3)[windows.labels] + 0.1 / 3
    soft = graded(windows, label_shares=shares, label_weight=np.where(np.arange(48) % 2, 0.5, 1.0))
    recipe = make_recipe(method, steps=40, epoch_steps=20, learning_rate=0.01)
    student = train(make_layered(), soft, recipe, tmp_path)
    test = make_windows(seed=5)
    assert classification_metrics(predict_logits(student, test), test.labels).accuracy > 0.9


def test_weak_labels_that_are_wrong_are_outvoted(make_layered, make_windows, make_recipe, tmp_path):
    windows = make_windows(72)
    labels, weights = windows.labels.copy(), np.ones(72, np.float32)
    labels[::2] = (labels[::2] + 1) % 3
    weights[::2] = 0.05
    test = make_windows(seed=5)
    recipe = make_recipe("ce", steps=60, epoch_steps=30, learning_rate=0.01)

    def accuracy(name, **columns):
        everything = windows[:]
        inputs = {key: everything[key].numpy() for key in ("shake", "heat")}
        data = ArrayDataset(inputs, everything["presence"].numpy(), labels, **columns)
        student = train(make_layered(), data, recipe, tmp_path / name)
        return classification_metrics(predict_logits(student, test), test.labels).accuracy

    assert accuracy("weighed", label_weight=weights) > accuracy("believed") + 0.1


def test_an_epoch_tells_how_its_auxiliaries_do(make_layered, make_windows, make_recipe, tmp_path):
    records = []
    train(make_layered(), make_windows(), make_recipe("softened"), tmp_path / "a", on_epoch=records.append)
    told = records[0]["auxiliaries"]
    assert set(told) == {f"{name}/stage{s}" for name in ("shake", "heat", "fused") for s in (1, 2)}
    assert all(0 <= value <= 1 for some in told.values() for value in some.values())
    train(make_layered(), make_windows(), make_recipe("ce"), tmp_path / "b", on_epoch=records.append)
    assert "auxiliaries" not in records[-2]


@pytest.mark.parametrize("where", ["modality", "fused"])
def test_auxiliaries_stand_where_the_method_has_them(layered, where):
    method = method_named("sad", {"auxiliaries": where})
    fewer = with_auxiliaries_of(method, layered, seed=0)
    assert bool(fewer.modality_auxiliaries) == (where == "modality")
    assert bool(fewer.fused_auxiliaries) == (where == "fused")
    assert fewer.student is layered.student


def test_auxiliaries_of_the_class_alone_are_smaller(layered):
    fewer = with_auxiliaries_of(method_named("byot"), layered, seed=0)
    again = with_auxiliaries_of(method_named("byot"), layered, seed=0)
    head = fewer.fused_auxiliaries["stage1"].classifier
    assert head.out_features == 3 and layered.fused_auxiliaries["stage1"].classifier.out_features == 12
    assert torch.equal(head.weight, again.fused_auxiliaries["stage1"].classifier.weight)


def test_a_last_visit_that_never_comes_in_time_is_refused(layered, make_windows, make_recipe, tmp_path):
    for numbers, steps in (({"max_age": 2}, 12), ({}, 3)):
        method = Method("soft", earlier="last_visit", alpha=0.5, **numbers)
        with pytest.raises(ConfigError, match="seen again in time"):
            train(layered, make_windows(), make_recipe(method, steps=steps), tmp_path)


def test_a_teacher_and_its_terms_come_together(layered, make_windows, make_recipe, tmp_path):
    with pytest.raises(ConfigError, match="a method with a teacher needs one"):
        train(layered, make_windows(), make_recipe(method_named("kd")), tmp_path)


def test_a_recipe_of_before_tells_the_same_identity(make_recipe):
    """Runs begun before a method had these numbers can be resumed."""
    told = make_recipe("softened").identity(7)
    assert set(told) == {
        *("method." + name for name in ("name", "sad", "cross", "deep", "feat", "out", "views")),
        *("method." + name for name in ("temperature", "earlier", "alpha", "warmup")),
        *("training." + name for name in ("steps", "max_steps", "epoch_steps", "batch_size", "warmup")),
        *("training." + name for name in ("learning_rate", "weight_decay", "modality_dropout", "augment")),
        *("training." + name for name in ("average_from", "weights", "gradient_clip")),
        *("transforms", "augmentations", "seed", "windows"),
    }
    changed = dataclasses.replace(make_recipe("softened").method, smoothing=0.1)
    assert make_recipe(changed).identity(7)["method.smoothing"] == 0.1
