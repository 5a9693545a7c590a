"""A run that was cut off repeats what it lost, bit for bit, whatever its method keeps beside the weights."""

from __future__ import annotations

import pytest
import torch

from sensorkd.distillation.methods import method_named
from sensorkd.distillation.teacher import Teacher
from sensorkd.training.checkpoint import load_tensors
from sensorkd.training.log import TrainingLog
from sensorkd.training.loop import train
from sensorkd.training.recipe import Recipe
from sensorkd.training.state_files import STATE, sound_state

SOON = {"warmup": 0.1}
SOFTENED = {**SOON, "cross": 0.5, "deep": 0.5, "feat": 0.005, "out": 1.0, "earlier": "snapshot", "alpha": 0.3}
FAMILIES = {
    "label_smoothing": ("label_smoothing", {}),
    "mixup": ("mixup", {}),
    "ps_kd": ("ps_kd", {}),
    "byot": ("byot", {}),
    "snapshot": ("sad", SOFTENED),
    "last visit of auxiliaries": ("sad", {**SOFTENED, "earlier": "last_visit", "confidence": 0.4}),
    "learned weights": ("sad", {**SOFTENED, "balance": "auto"}),
    "fused alone": ("sad", {**SOFTENED, "auxiliaries": "fused", "cross": 0.0, "mixup": 0.3}),
    "modalities alone": ("sad", {"auxiliaries": "modality", "smoothing": 0.1}),
    "pseudo_label": ("pseudo_label", {}),
    "fixmatch": ("fixmatch", {"threshold": 0.5}),
    "mean_teacher": ("mean_teacher", {}),
    "a visit": ("lsskd", SOON),
    "without labels": ("sad", {**SOFTENED, "unlabelled": 1.0}),
    "pseudo-labels of a moving average": (
        "sad",
        {
            **{**SOFTENED, "earlier": "ema", "decay": 0.8, "unlabelled": 0.5},
            **{"pseudo": "soft", "pseudo_from": "earlier", "align": True, "strong": True, "ramp": 0.5},
        },
    ),
    "pseudo-labels of a snapshot": (
        "sad",
        {**SOFTENED, "unlabelled": 0.5, "pseudo": "hard", "pseudo_from": "earlier", "threshold": 0.4},
    ),
    "kd": ("kd", {}),
    "sskd": ("sskd", {}),
    "hsakd": ("hsakd", {}),
}


class InterruptedRunError(Exception):
    pass


def stop_at(limit):
    def on_step(step, steps, values):
        if step == limit:
            raise InterruptedRunError

    return on_step


def with_teacher(recipe: Recipe, make_layered) -> Recipe:
    if recipe.method.teacher == "none":
        return recipe
    return Recipe(
        recipe.method,
        recipe.config,
        recipe.families,
        recipe.augmentations,
        recipe.seed,
        Teacher(make_layered(3)),
    )


@pytest.mark.parametrize(
    ("name", "damaged"),
    [(name, False) for name in FAMILIES]
    + [(name, True) for name in ("last visit of auxiliaries", "snapshot", "a visit")],
)
def test_a_resumed_run_ends_with_the_very_same_weights(
    make_layered, make_windows, make_recipe, tmp_path, name, damaged
):
    """damaged: its newest state is lost, and it goes on from the one before."""
    method = method_named(FAMILIES[name][0], FAMILIES[name][1])
    shares = (0.5, 0.3, 0.2)
    recipe = make_recipe(method, steps=6, epoch_steps=2, batch_size=8, unlabelled_shares=shares)
    recipe = with_teacher(recipe, make_layered)
    sources = make_windows(16), make_windows(12, seed=9)
    records, again = [], []

    def run(folder, layered, **options):
        return train(layered, sources[0], recipe, tmp_path / folder, unlabelled=sources[1], **options)

    whole = run("whole", make_layered(), on_epoch=records.append)
    with pytest.raises(InterruptedRunError):
        run("cut", make_layered(), on_step=stop_at(5))
    if damaged:
        (tmp_path / "cut" / STATE).unlink()
        assert sound_state(tmp_path / "cut", TrainingLog(tmp_path / "cut" / "metrics.jsonl"))
    resumed = run("cut", make_layered(77), resume=True, on_epoch=again.append)
    for mine, theirs in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs)
    kept = [load_tensors(tmp_path / folder / "last.safetensors")[0] for folder in ("whole", "cut")]
    assert kept[0].keys() == kept[1].keys()
    assert all(torch.equal(kept[0][key], kept[1][key]) for key in kept[0])
    for record in records + again:
        record.pop("seconds", None)
        record.pop("waited", None)
        record.pop("idle", None)  # a resumed run cannot know of the steps before
    assert again == records[-len(again) :]
