"""benchmarks/cifar100.py runs a grid, goes on with it, and compares methods seed by seed."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sensorkd.distillation.methods import METHODS
from tests.images.conftest import write_hdf5

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "cifar100.py"
Capture = pytest.CaptureFixture[str]


def run(
    folder: Path, *arguments: str, here: Capture | None = None, steps: int = 2
) -> tuple[str, list[dict[str, Any]]]:
    """What it prints and writes; `here`, in this process, which has torch already."""
    short = [f"training.steps={steps}", "training.batch_size=6", f"data={folder / 'images.h5'}", "side=16"]
    where = ["--out", str(folder / "grid"), "--results", str(folder / "figures.json")]
    command = [str(SCRIPT), *short, *where, *arguments]
    if here is None:
        done = subprocess.run([sys.executable, *command], check=True, capture_output=True, text=True)
        told = done.stdout
    else:
        with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit, match="0"):
            patch.setattr(sys, "argv", command)
            runpy.run_path(command[0], run_name="__main__")
        told = here.readouterr().out
    return told, json.loads((folder / "figures.json").read_text())


def test_a_grid_is_run_once_and_compared_by_seed(tmp_path: Path, capsys: Capture) -> None:
    write_hdf5(tmp_path / "images.h5", train=24, test=12, side=16)
    grid = ["--methods", "ce", "ce*2", "--shares", "0.5", "--seeds", "0", "1"]
    told, rows = run(tmp_path, *grid, "--jobs", "2")
    assert told.count("done") == 4
    results = {
        name: [
            json.loads((tmp_path / "grid" / f"{name}-0.5-{seed}" / "result.json").read_text())
            for seed in (0, 1)
        ]
        for name in ("ce", "ce_x2")
    }
    assert [(row["method"], row["seeds"]) for row in rows] == [("ce", [0, 1]), ("ce*2", [0, 1])]
    assert rows[0]["nll"]["by_seed"] == [result["nll"] for result in results["ce"]]
    differences = [b["nll"] - a["nll"] for a, b in zip(results["ce"], results["ce_x2"], strict=True)]
    assert rows[1]["nll_to_ce"]["mean"] == pytest.approx(sum(differences) / 2)
    # Half of Student's interval of two values: 12.706 s / sqrt(2), with s = |a - b| / sqrt(2).
    assert rows[1]["nll_to_ce"]["half"] == pytest.approx(
        12.7062 * abs(differences[0] - differences[1]) / 2, rel=1e-4
    )
    log = (tmp_path / "grid" / "ce_x2-0.5-0" / "metrics.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in log if "step" in line]
    assert steps[-1] == 4
    # What is there is told without a run.
    table, again = run(tmp_path, *grid, "--table", here=capsys)
    assert again == rows
    assert "| 50% | ce*2 |" in table
    assert "done" not in table
    # One seed has no interval, and what JSON has no word for is not written.
    del grid[-1]
    table, rows = run(tmp_path, *grid, "--table", here=capsys)
    assert rows[1]["accuracy"]["half"] is None
    assert "nan" not in table and "±" not in table
    # Figures of another configuration are not passed off as those that were asked for.
    table, rows = run(tmp_path, *grid, "--table", here=capsys, steps=3)
    assert rows == []


def test_methods_with_a_teacher_have_one_and_numbers_of_another_method_are_left_behind(
    tmp_path: Path, capsys: Capture
) -> None:
    write_hdf5(tmp_path / "images.h5", train=24, test=12, side=16)
    config = tmp_path / "config.yaml"
    config.write_text(
        "{format: hdf5, data: images.h5, student: resnet8, teacher_student: resnet14, out: here, "
        "method: {name: lsskd, views: 4, temperature: 3}}"
    )
    grid = ["--config", str(config), "--methods", "ce", "hsakd", "--shares", "1", "--seeds", "0"]
    _, rows = run(tmp_path, *grid, here=capsys)
    assert [row["method"] for row in rows] == ["ce", "hsakd"]
    folder = tmp_path / "grid" / "hsakd-1-0"
    numbers = json.loads((folder / "config.json").read_text())["numbers"]
    assert numbers["method.views"] == METHODS["hsakd"].views
    teacher = json.loads((folder / "teacher" / "result.json").read_text())
    assert teacher["student"] == "resnet14"
    assert rows[1]["seconds"]["mean"] > teacher["seconds"]
