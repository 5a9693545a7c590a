"""Before an epoch, the earlier self labels the windows that it will draw without a label."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from sensorkd.distillation.methods import method_named
from sensorkd.distillation.soft_targets import Ema
from sensorkd.errors import ConfigError
from sensorkd.training import loop
from sensorkd.training.loop import train
from sensorkd.training.order import EpochBatches
from sensorkd.training.visiting import Visiting

LSSKD = method_named("lsskd")


def test_an_epoch_tells_the_rows_it_will_draw_each_once(make_windows):
    chance = torch.Generator().manual_seed(2)
    draws = EpochBatches(make_windows(10), make_windows(30), sizes=(4, 6), count=9, generator=chance)
    rows = draws.unlabelled_rows
    with draws:
        drawn = {int(number) - 10 for draw in draws for number in draw.windows if number >= 10}
    assert set(rows) == drawn and len(rows) == len(drawn)


def test_windows_are_numbered_behind_the_labelled_ones(layered, make_windows, make_recipe):
    recipe = make_recipe(LSSKD)
    visiting = Visiting(recipe, layered, Ema(layered, decay=0.9), make_windows(10), make_windows(90, seed=3))
    rows = list(range(0, 90, 2))
    labels = visiting.at(3, rows)
    assert labels.shares.shape == (45, 3)
    assert torch.equal(labels.of(torch.tensor([10 + 88])).final.shares[0], labels.shares[44])


@pytest.mark.parametrize("told", ["labels", (0.6, 0.3, 0.1)])
@pytest.mark.parametrize("sampling", ["natural", "balanced"])
def test_labels_show_the_class_shares_that_are_known(layered, make_windows, make_recipe, told, sampling):
    """However the labelled windows are drawn: the others are drawn as they come."""
    method = dataclasses.replace(LSSKD, sharpness=0.5)
    recipe = make_recipe(method, unlabelled_shares=told, sampling=sampling)
    few = make_windows(labels=np.array([0] * 6 + [1] * 3 + [2] * 1))
    visiting = Visiting(recipe, layered, Ema(layered, decay=0.9), few, make_windows(90, seed=3))
    shares = visiting.at(0, range(90)).shares.mean(dim=0)
    assert torch.allclose(shares, torch.tensor([0.6, 0.3, 0.1]), atol=0.05)


def test_where_the_class_shares_are_not_known_labels_stay_as_they_are(layered, make_windows, make_recipe):
    """Few labels of each class say nothing about how common the classes are."""
    visits = [
        Visiting(
            make_recipe(dataclasses.replace(LSSKD, align=align)),
            layered,
            Ema(layered, decay=0.9),
            make_windows(labels=np.arange(6) % 3),
            make_windows(90, seed=3),
        )
        for align in (True, False)
    ]
    assert torch.equal(visits[0].at(0, range(90)).shares, visits[1].at(0, range(90)).shares)


def test_shares_of_other_classes_are_refused(layered, make_windows, make_recipe):
    recipe = make_recipe(LSSKD, unlabelled_shares=(0.5, 0.5))
    with pytest.raises(ConfigError, match="not of the student's classes"):
        Visiting(recipe, layered, Ema(layered, decay=0.9), make_windows(10), make_windows(9))


def test_visits_begin_after_the_warm_up(make_layered, make_windows, make_recipe, tmp_path, monkeypatch):
    visits, records = [], []

    class Watched(Visiting):
        def at(self, step, rows):
            visits.append((step, len(set(rows))))
            return super().at(step, rows)

    monkeypatch.setattr(loop, "Visiting", Watched)
    recipe = make_recipe(LSSKD, steps=12, epoch_steps=2, batch_size=8)
    free = make_windows(12, seed=9)
    train(make_layered(), make_windows(16), recipe, tmp_path, unlabelled=free, on_epoch=records.append)
    assert [step for step, _ in visits] == [4, 6, 8, 10]
    assert all(count <= 12 for _, count in visits)
    taught = ["pseudo" in record for record in records[:6]]
    assert taught == [False, False, True, True, True, True]
    assert 0 <= records[3]["accepted"] <= 1


def test_labels_of_the_unlabelled_windows_are_never_looked_at(
    make_layered, make_windows, make_recipe, tmp_path
):
    students = []
    for number in range(2):
        labels = np.full(12, -1) if number else np.arange(12) % 3
        free = make_windows(12, seed=9)
        free._columns["label"] = labels.astype(np.int64)
        recipe = make_recipe(LSSKD, steps=12, epoch_steps=2, batch_size=8)
        folder = tmp_path / str(number)
        students.append(train(make_layered(), make_windows(16), recipe, folder, unlabelled=free))
    for one, other in zip(*(student.parameters() for student in students), strict=True):
        assert torch.equal(one, other)


def test_a_window_is_asked_by_the_first_voices_that_it_has_whole(layered, make_windows, make_recipe):
    def visited(voices, presence):
        free = make_windows(6, seed=3)
        free._columns["presence"] = np.array(presence, np.float32)
        method = dataclasses.replace(LSSKD, threshold=0.0)
        recipe = dataclasses.replace(make_recipe(method), voices=voices)
        return Visiting(recipe, layered, Ema(layered, decay=0.9), make_windows(10), free).at(0, range(6))

    both, shake, heat = [1, 1], [1, 0], [0, 1]
    told = visited((("shake",), ("shake", "heat")), [both, both, both, shake, heat, heat])
    alone = visited(None, [shake, shake, shake, shake, heat, heat])
    assert torch.equal(told.shares[:4], alone.shares[:4])
    # Heat alone is not believed: these windows are left alone, and are no part of the class shares.
    assert told.weight.tolist() == [1, 1, 1, 1, 0, 0] and alone.weight.tolist() == [1] * 6
    either = visited((("shake",), ("heat",)), [both, both, both, shake, heat, heat])
    assert torch.equal(either.shares, alone.shares) and either.weight.tolist() == [1] * 6
