"""benchmarks/int8.py: what is lost of each group, in the mean over them, and of all their windows."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "int8.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("int8_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for what annotations mean
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        del sys.modules[spec.name]


def sure_of(*classes):
    """Logits of somebody who has no doubt."""
    return 9.0 * np.eye(2)[list(classes)]


def test_losses_of_groups_count_alike_and_windows_count_alike_when_pooled(script):
    small, large = np.array([0, 1]), np.array([0, 1, 0, 1, 0, 1])
    judged = {
        "small": script.Judged(small, {"all": {"fp32": sure_of(0, 1), "int8": sure_of(0, 0)}}, ()),
        "large": script.Judged(
            large, {"all": {"fp32": sure_of(*large), "int8": sure_of(*large)}}, ("encoder",)
        ),
    }
    found = script.losses(judged, "all")
    assert [item["accuracy"]["lost"] for item in found["groups"].values()] == [0.5, 0.0]
    assert found["mean"]["accuracy"]["lost"] == 0.25
    assert found["pooled"]["accuracy"] == {"fp32": 1.0, "int8": 0.875, "lost": 0.125}
    assert found["pooled"]["nll"]["lost"] == pytest.approx(9 / 8, abs=1e-3)
    assert found["pooled"]["ece"]["lost"] > 0.1


def test_every_subset_is_judged_by_the_same_labels(script):
    labels = np.array([0, 1])
    said = {"fp32": sure_of(0, 1, 0, 0), "int8": sure_of(0, 1, 0, 1)}
    found = script.figures([script.Judged(labels, {"every": said}, ())], "every")
    assert (found["accuracy"]["fp32"], found["accuracy"]["lost"]) == (0.75, -0.25)
