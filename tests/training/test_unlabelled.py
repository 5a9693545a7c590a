"""Windows without a label: what they may teach, and what they may not touch."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from sensorkd.distillation.methods import Method, method_named
from sensorkd.errors import ConfigError
from sensorkd.training.batches import ArrayDataset
from sensorkd.training.inference import predict_logits, recompute_norms
from sensorkd.training.joined import Joined
from sensorkd.training.loop import train
from sensorkd.training.metrics import classification_metrics
from sensorkd.training.order import Draw, EpochBatches
from sensorkd.training.step import step_batch
from sensorkd.training.step_loss import StepLoss

LEARNS = {
    "lsskd": method_named("lsskd", {"warmup": 0.1}),
    "all terms": Method(
        "all terms",
        **dict.fromkeys(("sad", "cross", "deep", "feat", "out", "unlabelled"), 1.0),
        **{"views": 2, "earlier": "ema", "alpha": 0.3, "pseudo": "hard", "threshold": 0.8, "warmup": 0.1},
    ),
    "pseudo_label": method_named("pseudo_label"),
    "fixmatch": method_named("fixmatch", {"threshold": 0.8}),
    "mean_teacher": method_named("mean_teacher"),
}


def same_weights(one, other):
    return all(
        torch.equal(mine, theirs)
        for mine, theirs in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    )


def relabelled(windows, labels):
    everything = windows[:]
    return ArrayDataset(
        {name: everything[name].numpy() for name in ("shake", "heat")}, everything["presence"].numpy(), labels
    )


@pytest.mark.parametrize("name", LEARNS)
def test_their_own_labels_are_never_looked_at(make_layered, make_windows, make_recipe, tmp_path, name):
    recipe = make_recipe(LEARNS[name], steps=4, epoch_steps=2)
    hidden = make_windows(20, seed=4)
    students = [
        train(make_layered(), make_windows(), recipe, tmp_path / str(number), unlabelled=free)
        for number, free in enumerate([hidden, relabelled(hidden, np.full(20, -1))])
    ]
    assert same_weights(*students)


@pytest.mark.parametrize("name", ["ce", "softened"])
def test_methods_without_a_use_for_them_leave_them_alone(
    make_layered, make_windows, make_recipe, tmp_path, name
):
    recipe = make_recipe(name, steps=4, epoch_steps=2)
    with_them = train(
        make_layered(), make_windows(), recipe, tmp_path / "a", unlabelled=make_windows(20, seed=4)
    )
    without = train(make_layered(), make_windows(), recipe, tmp_path / "b")
    assert same_weights(with_them, without)


@pytest.mark.parametrize("name", ["pseudo_label", "fixmatch", "mean_teacher"])
def test_a_method_that_lives_on_them_is_refused_without_any(
    layered, make_windows, make_recipe, tmp_path, name
):
    for nothing in (None, make_windows().select(np.arange(0))):
        with pytest.raises(ConfigError, match="there is none") as caught:
            train(layered, make_windows(), make_recipe(LEARNS[name]), tmp_path, unlabelled=nothing)
        assert "labels_per_class" in str(caught.value)


def test_lsskd_goes_on_without_them(make_layered, make_windows, make_recipe, tmp_path):
    records = []
    recipe = make_recipe(LEARNS["lsskd"], steps=4, epoch_steps=2)
    train(make_layered(), make_windows(), recipe, tmp_path, on_epoch=records.append)
    assert not [name for name in records[0] if "unlabelled" in name or "pseudo" in name]


@pytest.mark.parametrize("name", LEARNS)
def test_a_few_labels_and_many_windows_without_solve_a_toy_problem(
    make_layered, make_windows, make_recipe, tmp_path, name
):
    recipe = make_recipe(LEARNS[name], steps=60, epoch_steps=20, learning_rate=0.01)
    few, many = make_windows(9), make_windows(90, seed=6)
    student = train(make_layered(), few, recipe, tmp_path, unlabelled=many)
    test = make_windows(seed=5)
    assert classification_metrics(predict_logits(student, test), test.labels).accuracy > 0.85


def test_they_never_change_what_labels_say(layered, make_windows, make_recipe):
    """With statistics fixed, the terms of labelled windows are the same with and without them."""
    recipe = make_recipe(LEARNS["all terms"], augment=False, modality_dropout=0.0)
    layered.eval()
    losses = StepLoss(recipe, layered, 10, None, None, None, None)
    batch, free = make_windows(12)[:], make_windows(7, seed=3)[:]

    def terms(unlabelled):
        draw = Draw(batch, unlabelled, torch.arange(12 if unlabelled is None else 19))
        made = step_batch(draw, recipe, layered, torch.Generator().manual_seed(0))
        return losses.of(made, 0).terms

    alone, together = terms(None), terms(free)
    for name, term in alone.items():
        assert torch.allclose(term, together[name], rtol=1e-5), name
    assert {name.removesuffix("_unlabelled") for name in together.keys() - alone.keys()} == {
        *("sad", "cross", "deep", "feat", "out", "past", "pseudo", "pseudo_sad")
    }


def test_a_step_draws_of_both_and_numbers_them_through(make_windows):
    windows, free = make_windows(10), make_windows(30, seed=2)
    windows._columns["t_ref"], free._columns["t_ref"] = np.arange(10), np.arange(10, 40)
    chance = torch.Generator().manual_seed(1)
    with EpochBatches(windows, free, sizes=(4, 6), count=5, generator=chance) as draws:
        drawn = list(draws)
    assert len(drawn) == 5
    for draw in drawn:
        told = torch.cat([draw.labelled["t_ref"], draw.unlabelled["t_ref"]])
        assert draw.windows.tolist() == told.tolist()
        assert (len(draw.labelled["label"]), len(draw.unlabelled["label"])) == (4, 6)
    assert len({row for draw in drawn for row in draw.unlabelled["t_ref"].tolist()}) == 30


def test_the_batch_without_labels_has_a_size_of_its_own(
    make_layered, make_windows, make_recipe, tmp_path, monkeypatch
):
    sizes = []
    before = StepLoss.of

    def watched(self, batch, step, visited):
        sizes.append((batch.labelled, batch.sight.size - batch.labelled))
        return before(self, batch, step, visited)

    monkeypatch.setattr(StepLoss, "of", watched)
    for number, chosen in enumerate([None, 5]):
        recipe = make_recipe(LEARNS["fixmatch"], steps=1, batch_size=8, unlabelled_batch=chosen)
        train(
            make_layered(),
            make_windows(),
            recipe,
            tmp_path / str(number),
            unlabelled=make_windows(20, seed=4),
        )
    assert sizes == [(8, 8), (8, 5)]


def test_a_lesson_that_nothing_was_sure_enough_for_is_told(make_layered, make_windows, make_recipe, tmp_path):
    records = []
    for name, threshold in (("never", 1.0), ("always", 0.0)):
        recipe = make_recipe(method_named("pseudo_label", {"threshold": threshold}), steps=4, epoch_steps=2)
        told = []
        train(
            make_layered(),
            make_windows(8),
            recipe,
            tmp_path / name,
            unlabelled=make_windows(8, seed=5),
            on_epoch=told.append,
        )
        records.append(told[-1]["idle"])
    assert records == [["pseudo"], []]


def test_pseudo_labels_of_plain_windows_see_neither_augmentation_nor_hiding(
    layered, make_windows, make_recipe
):
    recipe = make_recipe(LEARNS["fixmatch"], modality_dropout=0.9)
    batch, free = make_windows(8)[:], make_windows(6, seed=3)[:]
    made = step_batch(Draw(batch, free, torch.arange(14)), recipe, layered, torch.Generator().manual_seed(0))
    plain = layered.student.prepare({name: free[name] for name in ("shake", "heat")})
    assert all(torch.equal(made.plain.prepared[name], x) for name, x in plain.items())
    assert torch.equal(made.plain.fusion_presence, free["presence"])
    assert not torch.equal(made.sight.prepared["shake"][8:], plain["shake"])
    assert made.sight.fusion_presence.sum() < made.sight.presence.sum()


def test_statistics_that_ship_are_of_all_training_windows(make_layered, make_windows, make_recipe, tmp_path):
    windows, free = make_windows(20), make_windows(30, seed=8)
    recipe = make_recipe(LEARNS["lsskd"], steps=4, epoch_steps=2, weights="last")
    student = train(make_layered(), windows, recipe, tmp_path, unlabelled=free)
    again = copy.deepcopy(student)
    parts = [windows[:], free[:]]
    together = ArrayDataset(
        {name: torch.cat([part[name] for part in parts]).numpy() for name in ("shake", "heat")},
        torch.cat([part["presence"] for part in parts]).numpy(),
        np.full(50, -1),
    )
    recompute_norms(again, together)
    assert same_weights(student, again)
    recompute_norms(again, windows)
    assert not same_weights(student, again)


def test_joined_sources_are_one_after_the_other(make_windows):
    joined = Joined([make_windows(3), make_windows(4, seed=2)], ("shake", "heat"))
    assert len(joined) == 7
    assert torch.equal(joined[2]["shake"], make_windows(3)[2]["shake"])
    assert torch.equal(joined[3]["shake"], make_windows(4, seed=2)[0]["shake"])
    assert set(joined[6]) == {"shake", "heat", "presence"}
    with pytest.raises(IndexError):
        joined[7]


@pytest.mark.parametrize("changes", [{}, {"pseudo": "hard", "warmup": 0.5}])
def test_a_last_visit_softens_windows_without_a_label_too(
    make_layered, make_windows, make_recipe, tmp_path, changes
):
    free, records, students = make_windows(16, seed=5), [], []
    for weight in (1.0, 0.0):
        method = method_named(
            "ps_kd", {**changes, **({"unlabelled": weight} if weight else {"pseudo": "none"})}
        )
        recipe = make_recipe(method, steps=9, epoch_steps=3, batch_size=8)
        folder, told = tmp_path / str(weight), records.append if weight else None
        students.append(
            train(make_layered(), make_windows(16), recipe, folder, unlabelled=free, on_epoch=told)
        )
    past = [record["past_unlabelled"] for record in records if "past_unlabelled" in record]
    assert len(past) == 3 and past[-1] > 0
    assert not same_weights(*students)
