"""Where a run computes and how precisely: on a GPU nothing is left behind on the CPU."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import nn

from sensorkd.distillation.methods import METHODS, Method
from sensorkd.distillation.pretext import ROTATIONS
from sensorkd.distillation.soft_targets import earlier_self
from sensorkd.errors import ConfigError
from sensorkd.images.augmentation import HorizontalFlip, PaddedCrop
from sensorkd.models.frontend import ChannelStats
from sensorkd.models.image_networks import network_named
from sensorkd.models.plain import IMAGE, plain_student
from sensorkd.models.plain_layered import layered_plain
from sensorkd.training.auxiliaries import with_auxiliaries_of
from sensorkd.training.config import TrainingConfig
from sensorkd.training.device import autocast_for, device_named, slow_precision
from sensorkd.training.optimiser import optimiser_for
from sensorkd.training.order import Draw
from sensorkd.training.recipe import Recipe
from sensorkd.training.step import step_batch
from sensorkd.training.step_loss import StepLoss


def test_auto_is_what_there_is_and_a_missing_gpu_is_told() -> None:
    there = torch.cuda.is_available()
    assert device_named("auto").type == ("cuda" if there else "cpu")
    assert device_named("cpu").type == "cpu"
    if not there:
        with pytest.raises(ConfigError, match="no GPU"):
            device_named("cuda")


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_precision_is_that_of_products(precision: str, dtype: torch.dtype) -> None:
    config = TrainingConfig.model_validate({"precision": precision})
    with autocast_for(config, torch.device("cpu")):
        assert nn.Linear(2, 2)(torch.ones(1, 2)).dtype == dtype


@pytest.mark.parametrize(
    ("precision", "cpu", "slow"), [("bf16", "AVX2", True), ("bf16", "AVX512", False), ("fp32", "AVX2", False)]
)
def test_bf16_is_told_to_be_slow_where_the_cpu_has_no_instructions_for_it(
    precision: str, cpu: str, slow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: cpu)
    told = slow_precision(TrainingConfig.model_validate({"precision": precision}))
    assert (told is not None and "training.precision=fp32" in told) == slow


def method_of(name: str) -> Method:
    method = METHODS[name]
    return dataclasses.replace(method, cross=0.0, warmup=0.0) if method.layered else method


@pytest.mark.parametrize("name", ["ce", "sad", "lsskd"])
def test_a_step_of_images_runs_on_another_device_with_its_chance_from_the_cpu(name: str) -> None:
    """`meta` has no numbers, but refuses to meet tensors of the CPU as a GPU does."""
    method, stats = method_of(name), ChannelStats((128.0,) * 3, (64.0,) * 3)
    student = plain_student(network_named("resnet8"), classes=5, stats=stats, size=16, seed=0)
    layered = with_auxiliaries_of(method, layered_plain(student, transforms=4, seed=0), seed=0).to("meta")
    config = TrainingConfig(optimiser="sgd", steps=4)
    augmentations = {IMAGE: (PaddedCrop(2, (-1.0, -1.0, -1.0)), HorizontalFlip())}
    recipe = Recipe(method, config, {IMAGE: ROTATIONS}, augmentations, seed=0)
    optimiser, past = optimiser_for(layered, config), earlier_self(method, layered, every=2)
    batch = {
        IMAGE: torch.zeros(6, 16, 16, 3, dtype=torch.uint8),
        "presence": torch.ones(6, 1),
        "label": torch.zeros(6, dtype=torch.int64),
    }
    generator = torch.Generator().manual_seed(0)
    told = StepLoss(recipe, layered, 4, past, torch.zeros(5, device="meta"), None, None).of(
        step_batch(Draw(batch, None, torch.arange(6)), recipe, layered, generator), 3
    )
    told.loss.backward()
    optimiser.step()
    assert told.loss.device.type == "meta"
    assert told.terms.keys() == method.weights().keys()
    assert {p.grad.device.type for p in layered.parameters() if p.grad is not None} == {"meta"}


@pytest.mark.parametrize("name", ["ce", "lsskd", "softened"])
def test_a_step_of_sensors_runs_on_another_device_too(
    name: str, make_layered: Any, make_windows: Any, make_recipe: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe(name)
    layered = with_auxiliaries_of(recipe.method, make_layered(), seed=0).to("meta")
    past = earlier_self(recipe.method, layered, every=2)
    batch = make_windows(8).__getitems__(list(range(8)))
    # `meta` cannot tell whether all sensors are present: they pass for it.
    told = torch.Tensor.__bool__
    monkeypatch.setattr(torch.Tensor, "__bool__", lambda x: True if x.is_meta else told(x))
    step = step_batch(Draw(batch, None, torch.arange(8)), recipe, layered, torch.Generator().manual_seed(0))
    loss = StepLoss(recipe, layered, 4, past, None, None, None).of(step, 3).loss
    loss.backward()
    assert loss.device.type == "meta"
