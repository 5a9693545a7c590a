from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch

from sensorkd.training.batches import ArrayDataset, collate
from sensorkd.training.inference import (
    predict_labelled,
    predict_logits,
    predict_subsets,
    recompute_norms,
)


def statistics(module):
    return {name: value.clone() for name, value in module.named_buffers() if "running" in name}


def test_predictions_do_not_depend_on_the_batch_size(layered, make_windows):
    windows = make_windows(21)
    whole = predict_logits(layered.student, windows, batch_size=64)
    assert whole.shape == (21, 3)
    assert np.allclose(predict_logits(layered.student, windows, batch_size=4), whole, atol=1e-5)


def test_labels_come_in_the_order_of_the_logits(layered, make_windows):
    windows = make_windows(10)
    logits, labels = predict_labelled(layered.student, windows, batch_size=3)
    assert labels.tolist() == windows.labels.tolist()
    assert np.array_equal(logits, predict_logits(layered.student, windows, batch_size=3))


def test_only_the_named_sensors_are_seen(layered, make_windows):
    windows = make_windows(10)
    batch = windows[:]
    other = ArrayDataset(
        {"shake": batch["shake"].numpy(), "heat": np.zeros_like(batch["heat"].numpy())},
        batch["presence"].numpy(),
        windows.labels,
    )
    student = layered.student
    hidden = predict_logits(student, windows, only=["shake"])
    assert np.array_equal(hidden, predict_logits(student, other, only=["shake"]))
    assert not np.allclose(hidden, predict_logits(student, windows))
    everything = predict_logits(student, windows, only=student.modalities)
    assert np.array_equal(everything, predict_logits(student, windows))


def test_no_windows_give_no_predictions(layered, make_windows):
    assert predict_logits(layered.student, make_windows(6).select(np.arange(0))).shape == (0, 3)


def test_recomputed_statistics_are_those_of_the_windows_as_logged(make_layered, make_windows):
    """One batch: the first norm's mean is that of its input over present windows, not augmented."""
    student, windows = make_layered().student, make_windows(40)
    weights = [parameter.clone() for parameter in student.parameters()]
    recompute_norms(student, windows)
    batch = windows[:]
    prepared = student.prepare(batch)
    for column, name in enumerate(student.modalities):
        x = prepared[name][batch["presence"][:, column] > 0]
        first = student.encoder(name).stages["stage1"]
        convolved = first[0](x).detach()
        assert torch.allclose(first[1].running_mean, convolved.mean((0, 2)), atol=1e-5)
        assert torch.allclose(first[1].running_var, convolved.var((0, 2)), rtol=1e-4, atol=1e-5)
    assert all(torch.equal(a, b) for a, b in zip(weights, student.parameters(), strict=True))
    assert not student.training


def test_recomputing_forgets_what_was_there_and_keeps_the_momentum(make_layered, make_windows):
    one, other = make_layered().student, make_layered().student
    with torch.no_grad():
        for name, buffer in other.named_buffers():
            if "running" in name:
                buffer.add_(100.0)
    momenta = [m.momentum for m in other.modules() if isinstance(m, torch.nn.BatchNorm1d)]
    for student in (one, other):
        torch.rand(3)
        recompute_norms(student, make_windows(70), batch_size=16)
    mine, theirs = statistics(one), statistics(other)
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert [m.momentum for m in other.modules() if isinstance(m, torch.nn.BatchNorm1d)] == momenta


def test_a_sensor_that_was_hardly_ever_there_keeps_its_statistics(make_layered, make_windows):
    student, windows = make_layered().student, make_windows(30)
    batch = windows[:]
    presence = batch["presence"].numpy().copy()
    presence[:, 1] = 0
    presence[4, 1] = 1
    rare = ArrayDataset({name: batch[name].numpy() for name in ("shake", "heat")}, presence, windows.labels)
    with torch.no_grad():
        for name, buffer in student.named_buffers():
            if "running" in name:
                buffer.copy_(torch.full_like(buffer, 3.0))
    before = copy.deepcopy(statistics(student.encoder("heat")))
    recompute_norms(student, rare)
    after = statistics(student.encoder("heat"))
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not torch.equal(student.encoder("shake").stages["stage1"][1].running_mean, torch.full((6,), 3.0))


def test_items_one_by_one_and_many_at_once_are_the_same_batch(make_windows):
    windows = make_windows(6)
    at_once, one_by_one = collate(windows.__getitems__([4, 1])), collate([windows[4], windows[1]])
    assert at_once.keys() == one_by_one.keys()
    for name, value in at_once.items():
        assert torch.equal(value, one_by_one[name])
        assert value.dtype == one_by_one[name].dtype


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "float32", "float64"])
def test_native_dtypes_stay_until_the_model(dtype):
    values = np.arange(12).reshape(3, 4, 1).astype(dtype)
    dataset = ArrayDataset({"x": values}, np.ones((3, 1), np.float32), np.zeros(3, np.int64))
    for batch in (dataset.__getitems__([2, 0]), collate([dataset[2], dataset[0]])):
        assert batch["x"].numpy().dtype == np.dtype(dtype)
        assert np.array_equal(batch["x"].numpy(), values[[2, 0]])


def test_window_ids_keep_their_bits():
    ids = np.array([2**64 - 1, 3], np.uint64)
    dataset = ArrayDataset({"x": np.zeros((2, 1))}, np.ones((2, 1)), np.zeros(2), window_id=ids)
    assert dataset.select(np.array([0]))[:]["window_id"].numpy().view(np.uint64).tolist() == [2**64 - 1]


def test_arrays_of_other_lengths_are_refused():
    with pytest.raises(ValueError, match="x holds 3 windows, labels 2"):
        ArrayDataset({"x": np.zeros((3, 1))}, np.ones((2, 1)), np.zeros(2))


def test_inputs_may_not_take_the_names_of_the_batch():
    with pytest.raises(ValueError, match=r"\['label'\]"):
        ArrayDataset({"label": np.zeros((2, 1))}, np.ones((2, 1)), np.zeros(2))


def test_datasets_can_be_pickled(make_windows):
    windows = make_windows(5)
    again = pickle.loads(pickle.dumps(windows))
    assert torch.equal(again[3]["shake"], windows[3]["shake"])


def test_all_subsets_at_once_are_those_one_by_one(layered, make_windows):
    student, windows = layered.student, make_windows(22)
    subsets = [("shake",), ("heat",), ("shake", "heat")]
    together = predict_subsets(student, windows, subsets, batch_size=5)
    assert list(together) == ["shake", "heat", "shake+heat"]
    for names in subsets:
        alone = predict_logits(student, windows, only=names)
        np.testing.assert_allclose(together["+".join(names)], alone, atol=1e-5)


def test_norms_of_augmented_windows_are_those_of_what_training_saw(make_layered, make_windows):
    """An augmentation that lifts every value lifts the mean that is kept by as much."""
    windows = make_windows(70)

    def mean_of(augmentations):
        student = make_layered().student
        recompute_norms(student, windows, augmentations=augmentations)
        convolution, norm = student.encoders["shake"].stages["stage1"][:2]
        return convolution.weight, norm.running_mean

    weight, plain = mean_of(None)
    _, none = mean_of({"shake": (), "heat": ()})
    _, lifted = mean_of({"shake": (lambda x, draw: x * 3,), "heat": ()})
    assert torch.equal(plain, none)
    assert weight.abs().sum() > 0
    torch.testing.assert_close(lifted, 3 * plain)
