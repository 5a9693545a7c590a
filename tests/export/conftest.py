"""Two small students of the same seed, trained with and without distillation, and exported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from sensorkd.distillation.methods import method_named
from sensorkd.encoding import InputEncoding
from sensorkd.export.onnx import export_onnx
from sensorkd.models.frontend import ChannelStats
from sensorkd.models.size import SIZES, ModelSize
from sensorkd.models.student import Student
from sensorkd.quality import FAULTS
from sensorkd.runs.build import adapters_for, build_layered, build_student, families_of
from sensorkd.runs.config_file import parse_config
from sensorkd.runs.run import Run
from sensorkd.training.batches import ArrayDataset
from sensorkd.training.checkpoint import save_tensors
from sensorkd.training.config import TrainingConfig
from sensorkd.training.loop import train
from sensorkd.training.recipe import Recipe
from sensorkd.windows.read import WindowArrays

# Small tensors: a second thread only waits.
torch.set_num_threads(1)

# Two stages: every operation that ships, in half the time to export.
MINI = ModelSize("mini", (8, 12), (6, 8), embedding=16)
CLASSES = ("idle", "grind", "jam")
PRIOR = tuple(1 / len(CLASSES) for _ in CLASSES)
COMMON = {"scale": 1.0, "offset": 0.0, "rate": 20.0, "span": None}
ENCODINGS = {
    "shake": InputEncoding(
        modality="acceleration",
        dtype="int16",
        unit="m/s2",
        sample_shape=(3,),
        channels=("x", "y", "z"),
        steps=40,
        valid_range=(-300.0, 300.0),
        resampling="linear",
        **{**COMMON, "scale": 0.01},
    ),
    "camera": InputEncoding(
        modality="video",
        dtype="uint16",
        unit="mm",
        sample_shape=(12, 16, 1),
        channels=("depth",),
        steps=5,
        valid_range=(0.0, 20_000.0),
        resampling="nearest",
        **COMMON,
    ),
}
STATS = {"shake": ChannelStats((0.0, 0.0, 9.8), (3.0,) * 3), "camera": ChannelStats((0.0,), (1.0,))}


def windows(count=12, seed=0) -> WindowArrays:
    rng = np.random.default_rng(seed)
    presence = np.ones((count, 2), np.float32)
    presence[1, 0] = presence[2, 1] = 0
    inputs = {
        "shake": rng.integers(-2000, 2000, (count, 40, 3)).astype(np.int16),
        "camera": rng.integers(0, 4000, (count, 5, 12, 16, 1)).astype(np.uint16),
    }
    for column, name in enumerate(inputs):
        inputs[name][presence[:, column] == 0] = 0
    index = np.arange(count)
    names = np.array([f"r{row}" for row in index])
    faults = np.zeros((*presence.shape, len(FAULTS)), np.float32)
    ids, times = index.astype(np.uint64), index.astype(np.int64)
    return WindowArrays(inputs, presence, presence.copy(), faults, ids, times, names)


def trained(method: str, folder: Path) -> Student:
    adapters = adapters_for(ENCODINGS, {})
    student = build_student(ENCODINGS, STATS, adapters, classes=CLASSES, size=MINI, seed=0)
    arrays = windows()
    recipe = Recipe(
        method=method_named(method),
        config=TrainingConfig(steps=6, epoch_steps=3, batch_size=6),
        families=families_of(adapters),
        augmentations={name: adapters[name].augmentations(e) for name, e in ENCODINGS.items()},
        seed=0,
    )
    dataset = ArrayDataset(arrays.inputs, arrays.presence, np.arange(12) % 3)
    return train(build_layered(student, families_of(adapters), seed=0), dataset, recipe, folder)


@dataclass(frozen=True)
class Exported:
    student: Student
    path: Path


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Exported]:
    """Method -> student and its ONNX file."""
    results = {}
    for method in ("ce", "lsskd"):
        folder = tmp_path_factory.mktemp(method)
        student = trained(method, folder)
        export_onnx(student, ENCODINGS, folder / "model.onnx")
        results[method] = Exported(student, folder / "model.onnx")
    return results


@pytest.fixture
def encodings():
    return dict(ENCODINGS)


@pytest.fixture
def make_windows():
    return windows


@pytest.fixture
def run(exported, tmp_path, monkeypatch):
    """A finished run, whose archives are not needed because `held_out_windows` is stood in for."""
    monkeypatch.setitem(SIZES, MINI.name, MINI)
    tree = {
        "data": ["nowhere"],
        "target": "state",
        "inputs": {"shake": {"steps": 40}, "camera": {"steps": 5}},
        "windows": {"reference": "whole"},
        "split": {"by": "machine", "test": ["m2"]},
        "model": {"size": MINI.name},
        "out": str(tmp_path / "run"),
    }
    groups = {"train": ("m1",), "dev": (), "test": ("m2",)}
    run = Run(tmp_path / "run", parse_config(tree), dict(ENCODINGS), STATS, CLASSES, groups, PRIOR)
    run.save()
    save_tensors(run.folder / "averaged.safetensors", exported["lsskd"].student.state_dict(), {})
    return run
