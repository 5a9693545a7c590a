"""The simulated plant asks for fusion: no sensor alone tells its conditions apart, all of them do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sensorkd.cli.demo import FULL, demo_config
from sensorkd.evaluation.evaluate import evaluate_run
from sensorkd.runs import train_run
from sensorkd.testing.plant import write_plant


@pytest.mark.slow
def test_only_all_sensors_together_tell_the_conditions_of_unseen_machines(
    tmp_path: Path, record_property: Callable[[str, Any], None]
) -> None:
    """`pytest -m slow tests/testing/test_plant_gate.py -s` prints the accuracies."""
    write_plant(tmp_path / "plant", machines=FULL.machines, seconds=FULL.seconds)
    judged = evaluate_run(train_run(demo_config(tmp_path)))
    singles = {name: metrics.accuracy for name, metrics in judged.subsets.items() if "+" not in name}
    record_property("accuracy", {**singles, "together": judged.overall.accuracy})
    print(f"{singles}, together {judged.overall.accuracy}")
    assert max(singles.values()) <= 0.75, singles
    assert judged.overall.accuracy >= 0.90
