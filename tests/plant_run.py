"""A small simulated plant and a run on it, made once and shared by the tests of the whole road."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sensorkd.cli.__main__ import main
from sensorkd.testing.plant import write_plant
from sensorkd.training.checkpoint import load_tensors

CONFIG = Path(__file__).parents[1] / "examples" / "configs" / "plant.yaml"
SHORT = ["training.max_steps=6", "training.batch_size=8", "inputs.temperature.span=4.0"]


def same_weights(first: Path, second: Path) -> bool:
    """Whether two runs ended in the same weights, bit for bit."""
    name = "averaged.safetensors"
    one, other = load_tensors(first / name)[0], load_tensors(second / name)[0]
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.fixture(scope="session")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plant")
    write_plant(folder, machines=3, seconds=8.0)
    return folder


@pytest.fixture(scope="session")
def overrides(plant: Path) -> list[str]:
    return [*SHORT, f"data=[{plant}]", "split.test=[m02]"]


@pytest.fixture(scope="session")
def run_folder(overrides: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "plant"
    assert main(["train", str(CONFIG), *overrides, f"out={folder}"]) == 0
    return folder


@pytest.fixture(scope="session")
def bundle(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "plant"
    assert main(["export", str(run_folder), "--out", str(folder)]) == 0
    return folder
