"""Baselines of a benchmark learn from the labels that students learn from, each for what it counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sensorkd.evaluation.benchmark_baselines import baseline_logits
from sensorkd.evaluation.minirocket import MiniRocketRidge
from sensorkd.evaluation.trees import Trees
from sensorkd.runs.config import RunConfig
from sensorkd.runs.config_file import parse_config
from sensorkd.runs.data import plan_run

MACHINES = ("m00", "m01", "m02")
CLASSES = ("healthy", "looseness", "belt_slip")


@pytest.fixture
def configured(plant: Path, tmp_path: Path) -> Any:
    """A run whose labels are weak, or soft: rows of a table by machine and class."""

    def of(header: str, row: Any, **labels: Any) -> RunConfig:
        table = tmp_path / "labels.csv"
        rows = [f"{machine}.h5::{name}_s0,{row(machine, name)}\n" for machine in MACHINES for name in CLASSES]
        table.write_text(f"recording,{header}\n" + "".join(rows))
        return parse_config(
            {
                "data": [str(plant)],
                "target": "label",
                "labels": {"table": str(table), **labels},
                "inputs": {"acceleration": {"span": 0.25}, "temperature": {"span": 4.0}},
                "windows": {"reference": "hop", "hop": 2.0},
                "split": {"by": "machine", "test": ["m02"]},
                "out": "unused",
            }
        )

    return of


def fitted_with(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The weights that baselines were fitted with, of trees and MiniRocket."""
    found = []
    for kind, name in ((Trees, "trees"), (MiniRocketRidge, "minirocket")):
        fit = kind.fit

        def seen(self: Any, inputs: Any, presence: Any, labels: Any, weights: Any, fit: Any = fit) -> Any:
            found.append(weights)
            return fit(self, inputs, presence, labels, weights)

        monkeypatch.setattr(kind, "fit", seen)
        assert baseline_logits(config, name, "none", "test").logits
        monkeypatch.undo()
    first, *others = found
    assert all(np.array_equal(first, other) if first is not None else other is None for other in others)
    return first


def test_weak_labels_count_for_what_they_weigh(configured: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    config = configured("class,weight", lambda machine, name: f"{name},{0.25 if machine == 'm00' else 1}")
    weights = fitted_with(config, monkeypatch)
    planned = plan_run(config)
    rows = planned.rows("train")
    weak = np.array([planned.groups[row] == "m00" for row in rows])
    assert len(weights) == len(rows)
    for label in range(3):
        here = planned.labels[rows] == label
        # Classes weigh alike: the mean of each is 1.
        assert weights[here].mean() == pytest.approx(1.0)
        np.testing.assert_allclose(weights[here & ~weak], 4 * weights[here & weak][0])


def test_soft_labels_count_for_the_share_of_their_class(
    configured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shares(machine: str, name: str) -> str:
        most = 6 if machine == "m00" else 10
        return ",".join(str(most if name == other else (10 - most) // 2) for other in CLASSES)

    config = configured(",".join(CLASSES), shares, share_of={name: name for name in CLASSES})
    weights = fitted_with(config, monkeypatch)
    assert sorted({round(value, 6) for value in (weights / weights.max()).tolist()}) == [0.6, 1.0]


def test_labels_that_are_sure_weigh_alike(configured: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fitted_with(configured("class", lambda _, name: name), monkeypatch) is None
