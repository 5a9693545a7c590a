"""benchmarks/auxiliaries.py: what auxiliaries know at the end of runs, beside what their student gains."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "auxiliaries.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("auxiliaries_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def finished_cell(folder: Path, label: str, fold: int, accuracy: float, history: list) -> None:
    """As a benchmark leaves it; history: what the log tells of auxiliaries, by epoch."""
    cell = folder / "cells" / label / "2" / f"seed0-fold{fold:02d}"
    (cell / "run").mkdir(parents=True)
    metrics = {
        "heat": {"accuracy": 0.1},
        "heat+sound": {"accuracy": accuracy, "nll": 1.0 - accuracy},
    }
    about = {
        "label": label,
        "budget": "2",
        "seed": 0,
        "fold": fold,
        "inputs": ["heat", "sound"],
        "metrics": metrics,
    }
    (cell / "cell.json").write_text(json.dumps(about))
    records = [{"step": 1, **({"auxiliaries": told} if told else {})} for told in history]
    (cell / "run" / "metrics.jsonl").write_text("\n".join(map(json.dumps, records)))


def told(*, right: float, apart: float) -> dict:
    """Of an epoch: shallow stages are at chance, the deepest are as told."""
    pairs = {"0|1": apart, "0|2": apart - 0.2}
    return {
        "heat/stage1": {"class": 0.0, "0|1": 0.5},
        "heat/stage2": {"class": 0.3, **pairs},
        "fused/stage1": {"class": 0.0, "0|1": 0.5},
        "fused/stage2": {"class": right, "0|1": 1.0},
    }


def test_the_deepest_auxiliaries_are_judged_at_the_end_of_their_runs(script, tmp_path, capsys, monkeypatch):
    early, late = told(right=0.1, apart=0.5), told(right=0.8, apart=0.9)
    finished_cell(tmp_path, "lsskd", 0, 0.7, [early, early, early, late])
    finished_cell(tmp_path, "lsskd", 1, 0.6, [early, early, early, told(right=0.6, apart=0.7)])
    finished_cell(tmp_path, "other", 0, 0.5, [early])
    finished_cell(tmp_path, "plain", 1, 0.8, [None])
    monkeypatch.setattr(sys, "argv", ["auxiliaries.py", str(tmp_path), "--out", str(tmp_path / "told.json")])
    assert script.main() == 0
    found = json.loads((tmp_path / "told.json").read_text())
    assert found["lsskd"]["accuracy"] == pytest.approx(0.65)
    known = found["lsskd"]["auxiliaries"]
    assert known["class, fused"] == pytest.approx([0.1, 0.7])
    assert known["told apart, heat"] == pytest.approx([0.4, 0.7]) and known["told apart, fused"] == [1.0, 1.0]
    assert found["other"]["gained"] == pytest.approx({"accuracy": -0.2, "nll": 0.2})
    assert found["other"]["ahead"] == [0, 1, 1] and found["plain"]["ahead"] == [1, 0, 1]
    assert found["plain"]["auxiliaries"] == {}
    table = capsys.readouterr().out
    assert "0.40 to 0.70" in table and "0:1 of 1" in table


def test_a_reference_without_a_cell_is_refused(script, tmp_path, capsys, monkeypatch):
    finished_cell(tmp_path, "lsskd", 0, 0.7, [told(right=0.8, apart=0.9)])
    monkeypatch.setattr(sys, "argv", ["auxiliaries.py", str(tmp_path), "--reference", "ce"])
    with pytest.raises(SystemExit):
        script.main()
    assert "no finished cell of 'ce'" in capsys.readouterr().err
