"""Views serve the auxiliaries; what ships must learn as if they were not there."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from sensorkd.models.layered import LayeredStudent
from sensorkd.training.batches import ArrayDataset
from sensorkd.training.inference import predict_labelled
from sensorkd.training.loop import train
from sensorkd.training.metrics import classification_metrics


@pytest.fixture
def levels():
    """A machine cycle that repeats to the decimal; the class is a level of some per cent of its swing."""

    def make(count, seed):
        rng = np.random.default_rng(seed)
        labels = np.arange(count) % 3
        swing = 0.5 + np.sin(np.arange(24) / 3)[None, :, None] + rng.normal(0, 0.01, (count, 24, 2))
        shake = (swing + 0.05 * (labels - 1)[:, None, None]).astype(np.float32)
        presence = np.tile(np.float32([1, 0]), (count, 1))
        return ArrayDataset(
            {"shake": shake, "heat": np.zeros((count, 12, 1), np.int16)}, presence, labels.astype(np.int64)
        )

    return make


def together(self, prepared, presence, fusion_presence, *, views):
    """All views in one batch, as they are not to be."""
    return self(prepared, presence, fusion_presence)


def test_a_level_is_learned_although_views_turn_it_upside_down(
    levels, make_layered, make_recipe, tmp_path, monkeypatch
):
    def accuracy(name):
        recipe = make_recipe("lsskd", steps=60, epoch_steps=20, learning_rate=0.005)
        recipe = dataclasses.replace(recipe, augmentations={"shake": (), "heat": ()})
        student = train(make_layered(), levels(96, 0), recipe, tmp_path / name)
        return classification_metrics(*predict_labelled(student, levels(300, 1))).accuracy

    apart = accuracy("apart")
    monkeypatch.setattr(LayeredStudent, "by_view", together)
    mixed = accuracy("mixed")
    assert apart > 0.95 and apart > mixed + 0.1
