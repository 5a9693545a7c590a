from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from sensorkd.distillation.methods import Method, method_named
from sensorkd.distillation.soft_targets import Snapshot
from sensorkd.errors import ConfigError, DeadTermError, RunError
from sensorkd.models.auxiliary import FusedAuxiliary, MapAuxiliary
from sensorkd.training import loop
from sensorkd.training.batches import ArrayDataset
from sensorkd.training.checkpoint import load_tensors
from sensorkd.training.inference import predict_logits
from sensorkd.training.loop import Recipe, train
from sensorkd.training.metrics import classification_metrics


class InterruptedRunError(Exception):
    pass


def stop_at(limit):
    def on_step(step, steps, values):
        if step == limit:
            raise InterruptedRunError

    return on_step


def same_weights(one, other):
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


class Items:
    """A dataset of dictionaries in a list, as a user's own might be."""

    def __init__(self, dataset):
        self.items = [dataset[row] for row in range(len(dataset))]

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


@pytest.mark.parametrize("method", ["ce", "lsskd", "softened", "ema", "ps_kd"])
def test_a_toy_problem_is_learned(make_layered, make_windows, make_recipe, tmp_path, method):
    recipe = make_recipe(method, steps=40, epoch_steps=20, learning_rate=0.01)
    student = train(make_layered(), make_windows(), recipe, tmp_path)
    test = make_windows(seed=5)
    assert classification_metrics(predict_logits(student, test), test.labels).accuracy > 0.9
    assert not student.training


def test_any_dataset_of_items_trains_alike(make_layered, make_windows, make_recipe, tmp_path):
    recipe = make_recipe("softened")
    arrays = train(make_layered(), make_windows(), recipe, tmp_path / "arrays")
    items = train(make_layered(), Items(make_windows()), recipe, tmp_path / "items")
    assert same_weights(arrays, items)


@pytest.mark.parametrize("method", ["ce", "softened"])
def test_the_same_seed_gives_the_same_weights_whatever_happened_before(
    make_layered, make_windows, make_recipe, tmp_path, method
):
    one = train(make_layered(), make_windows(), make_recipe(method), tmp_path / "one")
    torch.manual_seed(12345)
    torch.rand(7)
    same = train(make_layered(), make_windows(), make_recipe(method), tmp_path / "same")
    other = train(make_layered(), make_windows(), make_recipe(method, seed=1), tmp_path / "other")
    assert same_weights(one, same)
    assert not same_weights(one, other)


@pytest.mark.parametrize(
    ("method", "weights", "cut"),
    [
        ("ce", "last", 2),
        ("ce", "best", 9),
        ("softened", "averaged", 2),
        ("softened", "averaged", 9),
        ("softened", "best", 6),
        ("ema", "averaged", 9),
        ("ps_kd", "last", 6),
    ],
)
def test_a_resumed_run_ends_with_the_very_same_weights(
    make_layered, make_windows, make_recipe, tmp_path, method, weights, cut
):
    """Cut off in the first epoch, in the second, and after averaging began."""
    recipe, dev = make_recipe(method, weights=weights, average_from=0.5), make_windows(12, seed=3)
    whole = train(make_layered(), make_windows(), recipe, tmp_path / "whole", dev=dev)
    with pytest.raises(InterruptedRunError):
        train(make_layered(), make_windows(), recipe, tmp_path / "cut", dev=dev, on_step=stop_at(cut))
    fresh = make_layered(seed=77)
    resumed = train(fresh, make_windows(), recipe, tmp_path / "cut", dev=dev, resume=True)
    assert same_weights(whole, resumed)


@pytest.mark.parametrize(
    "changes", [{"sampling": "balanced"}, {"logit_adjustment": 1.0}], ids=["balanced", "adjusted"]
)
@pytest.mark.parametrize("cut", [2, 9])
def test_a_resumed_run_over_classes_of_unlike_size_ends_with_the_very_same_weights(
    make_layered, make_windows, make_recipe, tmp_path, changes, cut
):
    recipe, windows = (
        make_recipe("softened", **changes),
        make_windows(labels=[0] * 30 + [1] * 9 + [-1] * 6 + [2] * 3),
    )
    whole = train(make_layered(), windows, recipe, tmp_path / "whole")
    with pytest.raises(InterruptedRunError):
        train(make_layered(), windows, recipe, tmp_path / "cut", on_step=stop_at(cut))
    resumed = train(make_layered(seed=77), windows, recipe, tmp_path / "cut", resume=True)
    assert same_weights(whole, resumed)


def test_a_run_cut_off_between_epochs_resumes_with_the_same_records(
    make_layered, make_windows, make_recipe, tmp_path
):
    recipe = make_recipe("softened")
    whole, cut, resumed = [], [], []
    train(make_layered(), make_windows(), recipe, tmp_path / "whole", on_epoch=whole.append)

    def keep_two(record):
        cut.append(record)
        if len(cut) == 2:
            raise InterruptedRunError

    with pytest.raises(InterruptedRunError):
        train(make_layered(), make_windows(), recipe, tmp_path / "cut", on_epoch=keep_two)
    train(make_layered(), make_windows(), recipe, tmp_path / "cut", resume=True, on_epoch=resumed.append)
    for record in whole + cut + resumed:
        record.pop("seconds", None)
        record.pop("waited", None)
    assert cut + resumed == whole


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"learning_rate": 1e-3}, "training.learning_rate"),
        ({"steps": 16}, "training.steps"),
        ({"epoch_steps": 3}, "training.epoch_steps"),
        ({"seed": 4}, "seed"),
        ({"method": "ema"}, "method.earlier"),
        ({"sampling": "balanced"}, "training.sampling"),
        ({"logit_adjustment": 0.5}, "training.logit_adjustment"),
    ],
)
def test_resuming_with_another_recipe_is_refused(
    make_layered, make_windows, make_recipe, tmp_path, changes, key
):
    with pytest.raises(InterruptedRunError):
        train(make_layered(), make_windows(), make_recipe("softened"), tmp_path, on_step=stop_at(6))
    other = make_recipe(**{"method": "softened", **changes})
    with pytest.raises(RunError, match="another recipe") as caught:
        train(make_layered(), make_windows(), other, tmp_path, resume=True)
    assert key in caught.value.found
    assert key in caught.value.expected
    assert "training.batch_size" not in caught.value.found


def test_resuming_with_other_windows_or_another_network_is_refused(
    make_layered, make_windows, make_recipe, tmp_path
):
    recipe = make_recipe()
    train(make_layered(), make_windows(), recipe, tmp_path)
    with pytest.raises(RunError, match="another recipe"):
        train(make_layered(), make_windows(30), recipe, tmp_path, resume=True)
    wider = make_layered()
    wider.student.classifier = torch.nn.Linear(12, 5)
    with pytest.raises(RunError, match="another network") as caught:
        train(wider, make_windows(), recipe, tmp_path, resume=True)
    assert "classifier" in caught.value.found


def test_resuming_nothing_is_refused(layered, make_windows, make_recipe, tmp_path):
    with pytest.raises(RunError, match="nothing to resume from"):
        train(layered, make_windows(), make_recipe(), tmp_path, resume=True)


def test_a_finished_run_resumes_to_the_same_result(make_layered, make_windows, make_recipe, tmp_path):
    one = train(make_layered(), make_windows(), make_recipe(), tmp_path)
    again = train(make_layered(seed=5), make_windows(), make_recipe(), tmp_path, resume=True)
    assert same_weights(one, again)


def test_targets_are_softened_by_the_network_of_the_previous_epoch(
    make_layered, make_windows, make_recipe, tmp_path, monkeypatch
):
    layered, ends, recalled = make_layered(), [], []

    def weight(network):
        return network.student.classifier.weight.detach().clone()

    class Watched(Snapshot):
        def recall(self, *arguments, **options):
            recalled.append((len(ends), weight(self.network)))
            return super().recall(*arguments, **options)

    monkeypatch.setattr(loop, "earlier_self", lambda method, network, every: Watched(network, every=every))
    ends.append(weight(layered))
    recipe = make_recipe("softened")
    train(layered, make_windows(), recipe, tmp_path, on_epoch=lambda record: ends.append(weight(layered)))
    assert len(recalled) == sum(recipe.method.alpha_at(step, 12) > 0 for step in range(12))
    assert all(torch.equal(past, ends[count - 1]) for count, past in recalled)
    assert len({count for count, _ in recalled}) == 3


def test_averaged_weights_are_the_mean_of_the_last_steps(make_layered, make_windows, make_recipe, tmp_path):
    layered, seen = make_layered(), []

    def on_step(step, steps, values):
        if step > 6:
            seen.append([parameter.detach().double().clone() for parameter in layered.student.parameters()])

    recipe = make_recipe(average_from=0.5)
    student = train(layered, make_windows(), recipe, tmp_path, on_step=on_step)
    assert len(seen) == 6
    for index, parameter in enumerate(student.parameters()):
        expected = sum(weights[index] for weights in seen) / len(seen)
        assert torch.allclose(parameter.double(), expected, atol=1e-6)


def test_best_weights_need_a_dev_group(layered, make_windows, make_recipe, tmp_path):
    with pytest.raises(ConfigError, match="dev group"):
        train(layered, make_windows(), make_recipe(weights="best"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_best_weights_are_those_of_the_best_epoch(make_layered, make_windows, make_recipe, tmp_path):
    records, dev = [], make_windows(30, seed=3)
    recipe = make_recipe(weights="best", steps=20, epoch_steps=2, learning_rate=0.02)
    student = train(make_layered(), make_windows(), recipe, tmp_path, dev=dev, on_epoch=records.append)
    best = max(record["dev"]["macro_f1"] for record in records)
    metrics = classification_metrics(predict_logits(student, dev), dev.labels)
    assert metrics.macro_f1 == pytest.approx(best)
    first = next(record for record in records if record["dev"]["macro_f1"] == best)
    assert load_tensors(tmp_path / "best.safetensors")[1]["epoch"] == first["epoch"]
    assert not (tmp_path / "best_so_far.safetensors").exists()


def test_the_best_so_far_of_a_run_that_was_cut_off_is_not_its_result(
    make_layered, make_windows, make_recipe, tmp_path
):
    def stop(step, *_):
        if step == 7:
            raise KeyboardInterrupt

    recipe, dev = make_recipe(weights="best", steps=10, epoch_steps=2), make_windows(30, seed=3)
    whole = train(make_layered(), make_windows(), recipe, tmp_path / "whole", dev=dev)
    with pytest.raises(KeyboardInterrupt):
        train(make_layered(), make_windows(), recipe, tmp_path / "cut", dev=dev, on_step=stop)
    assert (tmp_path / "cut" / "best_so_far.safetensors").exists()
    assert not (tmp_path / "cut" / "best.safetensors").exists()
    student = train(make_layered(5), make_windows(), recipe, tmp_path / "cut", dev=dev, resume=True)
    assert all(torch.equal(value, student.state_dict()[key]) for key, value in whole.state_dict().items())
    again = train(make_layered(5), make_windows(), recipe, tmp_path / "cut", dev=dev, resume=True)
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in whole.state_dict().items())


def test_what_is_returned_is_what_is_kept(make_layered, make_windows, make_recipe, tmp_path):
    for weights, name in (("averaged", "averaged"), ("last", "final")):
        student = train(make_layered(), make_windows(), make_recipe(weights=weights), tmp_path / weights)
        kept, about = load_tensors(tmp_path / weights / f"{name}.safetensors")
        assert all(torch.equal(kept[key], value) for key, value in student.state_dict().items())
        assert about["final"] == weights


def test_records_hold_means_and_the_schedule(make_layered, make_windows, make_recipe, tmp_path):
    records, values = [], []
    recipe = make_recipe("softened", steps=10, epoch_steps=4)
    train(
        make_layered(),
        make_windows(),
        recipe,
        tmp_path,
        dev=make_windows(12, seed=3),
        on_step=lambda step, steps, now: values.append(now),
        on_epoch=records.append,
    )
    *epochs, final = records
    assert [record["step"] for record in epochs] == [4, 8, 10]
    assert epochs[2]["loss"] == pytest.approx((values[8]["loss"] + values[9]["loss"]) / 2)
    weights = recipe.method.weights()
    for now in values:
        assert now["loss"] == pytest.approx(sum(weights[name] * now[name] for name in weights), rel=1e-4)
    assert [record["alpha"] for record in epochs] == [recipe.method.alpha_at(s, 10) for s in (3, 7, 9)]
    assert epochs[-1]["learning_rate"] < epochs[0]["learning_rate"]
    assert set(final["dev"]) == {"accuracy", "macro_f1", "nll", "ece"}


def test_cross_entropy_alone_computes_no_auxiliary(
    make_layered, make_windows, make_recipe, tmp_path, monkeypatch
):
    def refuse(*arguments):
        raise AssertionError("an auxiliary was computed")

    monkeypatch.setattr(MapAuxiliary, "forward", refuse)
    monkeypatch.setattr(FusedAuxiliary, "forward", refuse)
    for method in ("ce", "ps_kd"):
        train(make_layered(), make_windows(), make_recipe(method), tmp_path / method)
    with pytest.raises(AssertionError, match="auxiliary"):
        train(make_layered(), make_windows(), make_recipe("softened"), tmp_path / "lsskd")


def test_auxiliaries_do_not_sway_cross_entropy(make_layered, make_windows, make_recipe, tmp_path):
    one, other = make_layered(), make_layered()
    with torch.no_grad():
        for name, parameter in other.named_parameters():
            if not name.startswith("student."):
                parameter.mul_(100)
    untouched = {name: value.clone() for name, value in other.state_dict().items() if "auxiliaries" in name}
    first = train(one, make_windows(), make_recipe("ce"), tmp_path / "one")
    second = train(other, make_windows(), make_recipe("ce"), tmp_path / "other")
    assert same_weights(first, second)
    assert all(torch.equal(untouched[name], other.state_dict()[name]) for name in untouched)
    assert not [name for name in load_tensors(tmp_path / "one/last.safetensors")[0] if "auxiliaries" in name]


def test_a_loss_that_is_not_finite_is_refused(make_layered, make_windows, make_recipe, tmp_path):
    layered = make_layered()
    with torch.no_grad():
        layered.student.classifier.bias[1] = math.nan
    with pytest.raises(RunError, match="not finite") as caught:
        train(layered, make_windows(), make_recipe(), tmp_path)
    assert math.isnan(caught.value.found["label"])
    assert "learning_rate" in str(caught.value)


def test_a_dead_term_stops_a_run_in_its_first_step(make_layered, make_windows, make_recipe, tmp_path):
    windows = make_windows()
    blind = ArrayDataset(
        {name: windows[:][name].numpy() for name in ("shake", "heat")},
        np.zeros((len(windows), 2), np.float32),
        windows.labels,
    )
    with pytest.raises(DeadTermError, match="'cross'"):
        train(make_layered(), blind, make_recipe("softened"), tmp_path)


def test_more_views_than_transforms_are_refused(layered, make_windows, make_recipe, tmp_path):
    with pytest.raises(ConfigError, match="more views") as caught:
        train(layered, make_windows(), make_recipe(Method("many", sad=1, views=5)), tmp_path)
    assert "at most 4" in str(caught.value)


def test_transforms_other_than_the_auxiliaries_were_built_for_are_refused(
    layered, make_windows, make_recipe, tmp_path
):
    recipe = make_recipe("softened")
    fewer = {**recipe.families, "heat": recipe.families["heat"][:2]}
    with pytest.raises(ConfigError, match="'heat': 2"):
        train(layered, make_windows(), dataclasses.replace(recipe, families=fewer), tmp_path)


def test_no_windows_are_refused(layered, make_windows, make_recipe, tmp_path):
    with pytest.raises(ConfigError, match="no window to train on"):
        train(layered, make_windows().select(np.arange(0)), make_recipe(), tmp_path)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_fewer_windows_than_a_batch_train_too(make_layered, make_windows, make_recipe, tmp_path, count):
    student = train(make_layered(), make_windows(count), make_recipe("softened"), tmp_path)
    assert np.isfinite(predict_logits(student, make_windows(6))).all()


def test_unlabelled_windows_take_part(make_layered, make_windows, make_recipe, tmp_path):
    windows = make_windows()
    labels = windows.labels.copy()
    labels[24:] = -1
    some = ArrayDataset(
        {name: windows[:][name].numpy() for name in ("shake", "heat")}, windows[:]["presence"].numpy(), labels
    )
    recipe = make_recipe("softened", steps=40, epoch_steps=20, learning_rate=0.01)
    student = train(make_layered(), some, recipe, tmp_path)
    assert classification_metrics(predict_logits(student, windows), windows.labels).accuracy > 0.9


def test_a_recipe_with_custom_augmentations_can_be_resumed(make_recipe):
    """What has no repr of its own must not bring an address into the identity."""

    class Mine:
        def __call__(self, x, draw):
            return x

    def identity() -> dict:
        recipe: Recipe = make_recipe("softened")
        return dataclasses.replace(recipe, augmentations={"shake": (Mine(),), "heat": ()}).identity(3)

    assert identity() == identity()


def test_norms_that_ship_are_those_that_are_asked_for(make_layered, make_windows, make_recipe, tmp_path):
    def shipped(norms):
        recipe = make_recipe("softened", weights="last", norms=norms)
        student = train(make_layered(), make_windows(), recipe, tmp_path / norms)
        return student.state_dict()

    running, logged, augmented = (shipped(norms) for norms in ("running", "logged", "augmented"))
    trained = load_tensors(tmp_path / "running" / "last.safetensors")[0]
    means = [name for name in running if name.endswith("running_mean")]
    assert means
    for name in means:
        assert torch.equal(running[name], trained[f"network.student.{name}"])
        assert not torch.equal(running[name], logged[name])
        assert not torch.equal(augmented[name], logged[name])
    assert all(torch.equal(running[name], logged[name]) for name in running if "weight" in name)


def test_a_snapshot_of_a_single_epoch_is_refused(make_layered, make_windows, make_recipe, tmp_path):
    """There would be no network of an epoch before, and the first one has learned nothing."""
    recipe = make_recipe("softened", steps=12, epoch_steps=12)
    with pytest.raises(ConfigError, match="no epoch is before another"):
        train(make_layered(), make_windows(), recipe, tmp_path)


def test_a_snapshot_gives_no_pseudo_labels_before_its_first_copy(
    make_layered, make_windows, make_recipe, tmp_path
):
    method = dataclasses.replace(
        method_named("mean_teacher", {"ramp": 0.0}), name="by snapshot", earlier="snapshot"
    )
    recipe, records = make_recipe(method, steps=12, epoch_steps=4), []
    train(
        make_layered(),
        make_windows(12),
        recipe,
        tmp_path,
        unlabelled=make_windows(48, seed=3),
        on_epoch=records.append,
    )
    assert ["pseudo" in record for record in records[:3]] == [False, True, True]
