"""A whole benchmark, little: run, cut off and gone on with, refused, told of and summed up again."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
from sensorkd_adapters.acceleration import AccelerationAdapter
from sensorkd_adapters.temperature import TemperatureAdapter

from sensorkd.cli.__main__ import main
from sensorkd.errors import ConfigError, RunError, SplitError
from sensorkd.evaluation.benchmark import report_benchmark, run_benchmark
from sensorkd.evaluation.benchmark_cell import finished, run_cell
from sensorkd.evaluation.benchmark_code import code_digest
from sensorkd.evaluation.benchmark_config import load_benchmark
from sensorkd.evaluation.benchmark_entries import TuneConfig
from sensorkd.evaluation.benchmark_plan import Plan, plan_benchmark
from sensorkd.evaluation.benchmark_table import results_text
from sensorkd.evaluation.benchmark_time import EqualTime
from sensorkd.evaluation.benchmark_tune import dev_groups, tune_benchmark
from sensorkd.training.metrics import classification_metrics

GRID: dict[str, Any] = {
    "run": "run.yaml",
    "split": {"folds": 2},
    "methods": ["ce", "sad"],
    "labels_per_class": [1, "all"],
    "seeds": [0, 1],
    "reference": "ce",
    "sensors": "singles",
}


@pytest.fixture(scope="module")
def place(plant: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run that the benchmarks share: two sensors, four steps."""
    folder = tmp_path_factory.mktemp("benchmark")
    tree = {
        "data": [str(plant)],
        "target": "condition",
        "inputs": {"acceleration": {"span": 0.25}, "temperature": {"span": 4.0, "augment": False}},
        "windows": {"reference": "hop", "hop": 3.0},
        "split": {"by": "machine"},
        "training": {"steps": 4, "batch_size": 6},
        "out": "unused",
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(tree))
    write(folder)
    return folder


def write(folder: Path, name: str = "little", **changes: Any) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({**GRID, **changes}))
    return path


@pytest.fixture(scope="module")
def done(place: Path) -> Path:
    """The folder of the whole benchmark, run without a break."""
    result = run_benchmark(place / "little.yaml", place / "out", jobs=2, tell=lambda _: None)
    assert result.results is not None and not result.progress.failed
    assert result.progress.done == 16
    return place / "out"


def plan_of(path: Path, out: Path) -> Plan:
    return plan_benchmark(load_benchmark(path), out, name=path.stem)


def test_every_method_and_budget_has_a_row_for_all_sensors_and_each(done: Path) -> None:
    told = json.loads((done / "results.json").read_text())
    keys = {(row["method"], row["labels_per_class"], row["sensors"]) for row in told["rows"]}
    sensors = ("all", "acceleration", "temperature")
    assert keys == {(m, b, s) for m in ("ce", "sad") for b in ("1", "all") for s in sensors}
    for row in told["rows"]:
        assert row["seeds"] == [0, 1] and row["groups"] == 3 and row["steps"] == 4
        for metric in ("accuracy", "macro_f1", "nll", "ece"):
            low, high = row[metric]["interval"]
            # A ninth of all draws take each of three groups and two seeds once: the figure itself is among
            # them, so that even of figures that do not add up over groups it lies within.
            assert low - 1e-9 <= row[metric]["mean"] <= high + 1e-9
            assert high - low > 1e-6
        assert [(cell["seed"], cell["fold"]) for cell in row["cells"]] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert told["config"]["run"] == "run.yaml" and str(done.parent) not in json.dumps(told["config"])
    assert any("with 3 groups the intervals are coarse" in note for note in told["notes"])
    with (done / "results.csv").open() as handle:
        assert len(list(csv.DictReader(handle))) == len(told["rows"])
    pictures = {path.name for path in done.glob("*.png")}
    assert {"differences.png", "labels_macro_f1.png", "labels_accuracy.png", "labels_nll.png"} <= pictures


def test_a_row_is_what_its_kept_windows_say(done: Path, place: Path) -> None:
    """From log-probabilities alone: pooled over the folds, by a model that saw nothing of the group."""
    plan = plan_of(place / "little.yaml", done)
    told = json.loads((done / "results.json").read_text())
    row = next(
        r for r in told["rows"] if (r["method"], r["labels_per_class"], r["sensors"]) == ("sad", "1", "all")
    )
    for seed in (0, 1):
        logp, labels, groups = [], [], []
        for cell in plan.cells:
            if (cell.label, cell.budget, cell.seed) == ("sad", "1", seed):
                about = finished(cell)
                assert about is not None
                assert set(about["groups"]) == set(cell.config.split.test)
                with np.load(cell.folder / "windows.npz") as kept:
                    logp.append(kept["logp0"])
                    labels.append(kept["labels"])
                groups += about["groups"]
        assert sorted(groups) == ["m00", "m01", "m02"]
        metrics = classification_metrics(np.concatenate(logp), np.concatenate(labels))
        assert row["accuracy"]["by_seed"][seed] == pytest.approx(metrics.accuracy)
        assert row["macro_f1"]["by_seed"][seed] == pytest.approx(metrics.macro_f1)
        assert row["nll"]["by_seed"][seed] == pytest.approx(metrics.nll, abs=1e-5)
        assert row["ece"]["by_seed"][seed] == pytest.approx(metrics.ece, abs=1e-5)


def test_the_cells_of_a_row_are_told_one_by_one(done: Path, place: Path) -> None:
    out = place / "cells-told"
    shutil.copytree(done / "cells", out / "cells")
    record = {"doubts": [{"sensors": ["temperature"], "doubt": 0.5}], "windows": 7}
    path = out / "cells" / "sad" / "1" / "seed1-fold00" / "cell.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"cross_validation": record}))
    # As earlier versions left it.
    older = out / "cells" / "sad" / "1" / "seed0-fold01" / "cell.json"
    about = json.loads(older.read_text())
    assert about.pop("cross_validation") is None
    older.write_text(json.dumps(about))
    results = report_benchmark(place / "little.yaml", out)
    for sensors, name in (("all", "acceleration+temperature"), ("temperature", "temperature")):
        row = next(
            r
            for r in results.rows
            if (r["method"], r["labels_per_class"], r["sensors"]) == ("sad", "1", sensors)
        )
        assert [cell["cross_validation"] for cell in row["cells"]] == [None, None, record, None]
        for cell in row["cells"]:
            folder = out / "cells" / "sad" / "1" / f"seed{cell['seed']}-fold{cell['fold']:02d}"
            metrics = json.loads((folder / "cell.json").read_text())["metrics"][name]
            assert all(cell[key] == metrics[key] for key in ("accuracy", "macro_f1", "nll", "ece"))


def test_what_labels_held_out_of_training_said_is_kept(place: Path) -> None:
    shared = {"training.steps": 12, "training.epoch_steps": 2}
    # Two labels a class on two machines: one of them can be asked about the other.
    grid: dict[str, Any] = {"methods": ["lsskd"], "labels_per_class": [2], "reference": "lsskd"}
    path = write(place, "asked", set=shared, split={"groups": ["m00"]}, **grid)
    told = run_cell(plan_of(path, place / "asked").cells[0])["cross_validation"]
    assert ["acceleration", "temperature"] in [item["sensors"] for item in told["doubts"]]
    assert told["windows"] > 0


def test_confusion_by_group_and_the_run_itself_are_kept(done: Path, place: Path) -> None:
    cell = plan_of(place / "little.yaml", done).cells[0]
    about = finished(cell)
    assert about is not None
    confusion = np.sum(
        [np.array(item) for item in about["confusion"]["acceleration+temperature"].values()], axis=0
    )
    metrics = about["metrics"]["acceleration+temperature"]
    assert confusion.sum() == metrics["windows"]
    assert np.trace(confusion) / confusion.sum() == pytest.approx(metrics["accuracy"])
    assert (cell.folder / "run" / "averaged.safetensors").exists()
    assert not (cell.folder / "run" / "last.safetensors").exists(), "needed only by a run that was cut off"


def test_finished_cells_are_not_run_again(done: Path, place: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in done.rglob("cell.json")}
    again = run_benchmark(place / "little.yaml", done, tell=lambda _: None)
    assert again.progress.done == 0 and again.results is not None
    assert {path: path.stat().st_mtime_ns for path in done.rglob("cell.json")} == before


def test_a_killed_benchmark_goes_on_and_ends_as_if_it_had_not_been(done: Path, place: Path) -> None:
    out = place / "killed"
    part = ["--only", "seed=0,budget=1", "--out", str(out)]
    command = [sys.executable, "-m", "sensorkd.cli", "benchmark", str(place / "little.yaml"), *part]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 300
        while not list(out.rglob("cell.json")) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    kept = list(out.rglob("cell.json"))
    assert 1 <= len(kept) < 4
    assert main(["benchmark", str(place / "little.yaml"), *part, "--json"]) == 0
    for path in done.rglob("windows.npz"):
        other = out / path.relative_to(done)
        if "/1/seed0" in path.as_posix():
            with np.load(path) as first, np.load(other) as second:
                assert all(np.array_equal(first[key], second[key]) for key in first.files)
        else:
            assert not other.exists()


def test_a_cell_cut_off_in_training_goes_on_from_its_last_epoch(done: Path, place: Path) -> None:
    out = place / "resumed"
    cell = next(c for c in plan_of(place / "little.yaml", out).cells if c.label == "sad")
    run = cell.folder / "run"

    def stop(step: int, _: int, __: object) -> None:
        if step == 3:
            raise KeyboardInterrupt

    from sensorkd.runs.train import train_run

    with pytest.raises(KeyboardInterrupt):
        train_run(cell.config, on_step=stop)
    assert (run / "last.safetensors").exists()
    own = code_digest([AccelerationAdapter, TemperatureAdapter])
    assert run_cell(cell)["code"] == ["unknown", own], "nothing told what began it"
    whole = done / cell.folder.relative_to(out)
    with np.load(cell.folder / "windows.npz") as first, np.load(whole / "windows.npz") as second:
        assert np.array_equal(first["logp0"], second["logp0"])


def test_a_cell_tells_all_the_code_that_was_at_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sensorkd.evaluation import benchmark_cell
    from sensorkd.runs.train import train_run

    cell = plan_of(place / "little.yaml", place / "killed-twice").cells[0]
    begun: list[bool] = []

    def cut_off(config: Any, *, resume: bool) -> Any:
        """Twice: before there is a state to go on from, and after."""

        def stop(step: int, _: int, __: object) -> None:
            if step == 3:
                raise KeyboardInterrupt

        begun.append(resume)
        if len(begun) == 1:
            raise KeyboardInterrupt
        return train_run(config, resume=resume, on_step=stop if len(begun) == 2 else None)

    monkeypatch.setattr(benchmark_cell, "train_run", cut_off)
    for version in ("first", "second"):
        monkeypatch.setattr(benchmark_cell, "code_digest", lambda _, version=version: version)
        with pytest.raises(KeyboardInterrupt):
            run_cell(cell)
    monkeypatch.setattr(benchmark_cell, "code_digest", lambda _: "third")
    assert run_cell(cell)["code"] == ["second", "third"], "nothing of the first is left"
    assert begun == [False, False, True]


def test_a_cell_of_another_configuration_is_refused_by_name(done: Path, place: Path) -> None:
    other = write(place, "other", set={"training.learning_rate": 0.001})
    with pytest.raises(RunError) as caught:
        run_benchmark(other, done, tell=lambda _: None)
    told = str(caught.value)
    assert "16 cells in the folder are of another benchmark" in told
    assert "cells/ce/1/seed0-fold00/cell.json" in told and "learning_rate" in told


def test_a_cell_that_fails_is_told_and_the_others_go_on(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(
        place,
        "failing",
        methods=["trees", {"name": "far too few", "method": "ce", "set": {"training.weights": "best"}}],
        labels_per_class=["all"],
        seeds=[0],
        reference="trees",
        sensors="none",
    )
    assert main(["benchmark", str(path), "--out", str(place / "failing"), "--json"]) == 1
    captured = capsys.readouterr()
    told = json.loads(captured.out)
    assert sorted(told["failed"]) == [f"far too few, all labels, seed 0, fold {n}" for n in (0, 1)]
    assert "dev" in captured.err
    assert {row["method"] for row in told["rows"]} == {"trees"}


def test_a_run_that_saw_a_judged_group_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    from sensorkd.evaluation import benchmark_cell

    def leaking(config: Any, **_: Any) -> Any:
        from sensorkd.runs.train import train_run

        run = train_run(config)
        return dataclasses.replace(run, groups={**run.groups, "train": ("m00", "m01", "m02")})

    monkeypatch.setattr(benchmark_cell, "train_run", leaking)
    cell = plan_of(place / "little.yaml", place / "leaking").cells[0]
    with pytest.raises(SplitError, match="one group stands on both sides"):
        run_cell(cell)
    assert finished(cell) is None


def test_incomplete_seeds_are_left_out_and_named(done: Path, place: Path) -> None:
    out = place / "partly"
    shutil.copytree(done / "cells", out / "cells")
    shutil.rmtree(out / "cells" / "sad" / "1" / "seed1-fold01")
    results = report_benchmark(place / "little.yaml", out)
    row = next(r for r in results.rows if (r["method"], r["labels_per_class"]) == ("sad", "1"))
    assert row["seeds"] == [0]
    difference = next(d for d in results.differences if d["labels_per_class"] == "1")
    assert difference["seeds"] == [0] and difference["of"] == 3
    assert "left out, 1 of 2 folds finished: sad, 1 label a class, seed 1" in results.notes
    assert "left out, 1 of 2 folds" in results_text(results)


@pytest.mark.parametrize("damage", ["cut", "empty", "gone", "null"])
def test_a_damaged_cell_is_named_with_what_to_do(done: Path, place: Path, damage: str) -> None:
    out = place / f"damaged-{damage}"
    shutil.copytree(done / "cells", out / "cells")
    folder = out / "cells" / "sad" / "1" / "seed1-fold01"
    path = folder / ("cell.json" if damage == "null" else "windows.npz")
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes({"cut": content[:-40], "empty": b"", "null": b"null"}[damage])
    with pytest.raises(RunError) as caught:
        report_benchmark(place / "little.yaml", out)
    assert str(path) in str(caught.value)
    assert "remove" in str(caught.value.mend)


def test_damaged_ratios_of_times_are_told(done: Path, place: Path) -> None:
    times = EqualTime(plan_of(place / "little.yaml", place / "ratios"))
    times.path.parent.mkdir(exist_ok=True)
    for content in ("{", "null"):
        times.path.write_text(content)
        with pytest.raises(RunError, match="ratios of times cannot be read") as caught:
            times.ratios()
        assert caught.value.file == str(times.path)


def test_sensors_that_some_folds_were_not_judged_by_have_no_row(done: Path, place: Path) -> None:
    out = place / "fewer"
    shutil.copytree(done / "cells", out / "cells")
    for path in out.glob("cells/ce/1/*fold01/cell.json"):
        told = json.loads(path.read_text())
        path.write_text(json.dumps(told | {"sensors": told["sensors"][:1]}))
    results = report_benchmark(place / "little.yaml", out)
    rows = {(r["method"], r["sensors"]) for r in results.rows if r["labels_per_class"] == "1"}
    assert rows == {("ce", "all"), *(("sad", s) for s in ("all", "acceleration", "temperature"))}
    assert (
        "left out, 1 of 2 folds finished: ce, 1 label a class, temperature sensors, seed 0" in results.notes
    )


def test_one_seed_is_told_of_the_methods_that_have_no_more(done: Path, place: Path) -> None:
    out = place / "one-seed"
    shutil.copytree(done / "cells", out / "cells")
    for path in out.glob("cells/sad/*/seed1-*"):
        shutil.rmtree(path)
    notes = report_benchmark(place / "little.yaml", out).notes
    assert "with one seed the intervals of 6 rows are over groups alone" in notes
    for path in out.glob("cells/ce/*/seed1-*"):
        shutil.rmtree(path)
    notes = report_benchmark(place / "little.yaml", out).notes
    assert "with one seed the intervals are over groups alone" in notes


def test_rows_that_other_versions_of_the_code_have_run_are_told(done: Path, place: Path) -> None:
    told = report_benchmark(place / "little.yaml", done)
    (own,) = {code for row in told.rows for code in row["code"]}
    assert own == code_digest([AccelerationAdapter, TemperatureAdapter])
    assert not any("versions of the code" in note for note in told.notes)
    out = place / "updated"
    shutil.copytree(done / "cells", out / "cells")
    for path in out.glob("cells/sad/1/seed1-*/cell.json"):
        about = json.loads(path.read_text())
        path.write_text(json.dumps(about | {"code": "before"}))
    mixed = report_benchmark(place / "little.yaml", out)
    found = {(row["method"], row["labels_per_class"]): row["code"] for row in mixed.rows}
    assert found == {
        ("ce", "1"): [own],
        ("ce", "all"): [own],
        ("sad", "1"): sorted([own, "before"]),
        ("sad", "all"): [own],
    }
    assert "cells were run by 2 versions of the code: `code` of a row in results.json" in mixed.notes
    # A cell that was cut off and gone on with tells several; earlier versions told none.
    for path in out.glob("cells/ce/all/seed1-fold00/cell.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"code": ["unknown", own]}))
    mixed = report_benchmark(place / "little.yaml", out)
    row = next(r for r in mixed.rows if (r["method"], r["labels_per_class"]) == ("ce", "all"))
    assert row["code"] == [own, "unknown"]
    assert any("cells of 3 of 12 rows were run by earlier versions" in note for note in mixed.notes)
    for path in out.glob("cells/*/*/*/cell.json"):
        about = json.loads(path.read_text())
        del about["code"]
        path.write_text(json.dumps(about))
    notes = report_benchmark(place / "little.yaml", out).notes
    assert [note for note in notes if "code" in note] == [
        "which code ran the cells is not known: earlier versions did not tell"
    ]


def test_differences_are_taken_anew_to_another_row(
    done: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = place / "turned"
    shutil.copytree(done, out)
    before = json.loads((out / "results.json").read_text())
    command = ["benchmark", str(place / "little.yaml"), "--out", str(out)]
    assert main([*command, "--report-only", "--reference", "sad"]) == 0
    table = capsys.readouterr().out
    assert "less sad" in table and "less ce" not in table
    note = "differences are taken to sad, as was asked; the benchmark takes them to ce"
    assert note in table
    told = json.loads((out / "results.json").read_text())
    assert told["reference"] == "sad" and note in told["notes"] and told["config"]["reference"] == "ce"
    assert told["rows"] == before["rows"]
    for turned, item in zip(told["differences"], before["differences"], strict=True):
        assert (turned["method"], item["method"]) == ("ce", "sad")
        assert turned["nll"]["mean"] == pytest.approx(-item["nll"]["mean"])
        assert (turned["nll"]["ahead"], turned["nll"]["behind"]) == (
            item["nll"]["behind"], item["nll"]["ahead"]
        )  # fmt: skip
    assert main([*command, "--report-only", "--reference", "saad"]) == 2
    assert "did you mean 'sad'?" in capsys.readouterr().err
    assert main([*command, "--reference", "sad"]) == 2
    assert "add --report-only" in capsys.readouterr().err


def test_what_was_judged_by_other_windows_is_not_compared(place: Path) -> None:
    denser = {"name": "denser", "method": "trees", "set": {"windows.hop": 1.5}}
    again = {"name": "again", "method": "trees"}
    grid: dict[str, Any] = {"labels_per_class": ["all"], "seeds": [0], "sensors": "none"}
    path = write(place, "unlike", methods=["trees", denser], reference="trees", **grid)
    results = run_benchmark(path, place / "unlike", tell=lambda _: None).results
    assert results is not None and results.differences == []
    (note,) = [note for note in results.notes if "no difference" in note]
    assert "denser, all labels was judged by other windows" in note and "3 of 3 groups" in note
    # Nor can rows that no reference stands beside.
    for cell in (place / "unlike" / "cells" / "trees").rglob("cell.json"):
        cell.rename(cell.with_name("away.json"))
    path = write(place, "unlike", methods=["trees", denser, again], reference="trees", **grid)
    results = run_benchmark(path, place / "unlike", only=["method=again"], tell=lambda _: None).results
    assert results is not None and [row["method"] for row in results.rows] == ["denser", "again"]
    (note,) = [note for note in results.notes if "not comparable" in note]
    assert "again, all labels was judged by other windows or labels than denser, in 3 of 3 groups" in note


def test_files_that_are_left_out_are_told(
    place: Path, plant: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that cannot be opened changes the folds, one that cannot be read the windows."""
    for path in plant.glob("*.h5"):
        shutil.copy(path, tmp_path)
    with (tmp_path / "m02.h5").open("r+b") as handle:
        handle.truncate(200_000)
    with h5py.File(tmp_path / "m01.h5", "r") as file:
        recording = file[sorted(file)[0]]
        place_of = recording["streams/acceleration/samples"].id.get_chunk_info(0).byte_offset
    with (tmp_path / "m01.h5").open("r+b") as handle:
        handle.seek(place_of)
        handle.write(b"no chunk")
    grid: dict[str, Any] = {"labels_per_class": ["all"], "seeds": [0], "sensors": "none"}
    data = {"data": [str(tmp_path)]}
    path = write(place, "damaged", methods=["trees"], reference="trees", set=data, **grid)
    assert main(["benchmark", str(path), "--out", str(tmp_path / "out")]) == 1
    told = capsys.readouterr().out
    assert "left out: " in told and "m02.h5" in told and "m01.h5" in told
    assert main(["benchmark", str(path), "--out", str(tmp_path / "out"), "--report-only", "--json"]) == 1
    assert len(json.loads(capsys.readouterr().out)["left_out"]) == 2


def test_time_is_made_equal_by_the_steps_measured_and_the_ratio_stays(done: Path, place: Path) -> None:
    out = place / "timed"
    shutil.copytree(done / "cells", out / "cells")
    for path in out.rglob("cell.json"):
        told = json.loads(path.read_text())
        told["seconds"] = told["steps"] * (3.0 if told["label"] == "sad" else 1.0)
        path.write_text(json.dumps(told))
    longer = {"name": "ce as long", "method": "ce", "equal_time_with": "sad"}
    path = write(place, "timed", methods=["ce", "sad", longer], labels_per_class=[1], seeds=[0])
    result = run_benchmark(path, out, tell=lambda _: None)
    assert result.results is not None
    (times,) = result.results.equal_time
    assert times["ratio"] == pytest.approx(3.0) and times["steps"] == 12
    row = next(r for r in result.results.rows if r["method"] == "ce as long")
    assert row["steps"] == 12
    assert "12 steps take the time of sad" in results_text(result.results)
    # Steps of another day took another time.
    (note,) = [note for note in result.results.notes if "not of equal time" in note]
    assert re.fullmatch(
        r"not of equal time: ce as long, 1 label a class, took \d+\.\d\d times the seconds of sad", note
    )
    for cell in out.glob("cells/ce_as_long/*/*/cell.json"):
        cell.write_text(json.dumps(json.loads(cell.read_text()) | {"seconds": 12.5}))
    assert not any("not of equal time" in note for note in report_benchmark(path, out).notes)
    # Lost, the ratio is told anew by the same cells, and none is run again.
    before = {cell: cell.stat().st_mtime_ns for cell in out.rglob("cell.json")}
    (out / "equal_time.json").unlink()
    again = run_benchmark(path, out, tell=lambda _: None).results
    assert again is not None and again.equal_time[0]["steps"] == 12
    assert {cell: cell.stat().st_mtime_ns for cell in out.rglob("cell.json")} == before
    # Slower cells later change nothing.
    for cell in out.rglob("cell.json"):
        cell.write_text(json.dumps(json.loads(cell.read_text()) | {"seconds": 99.0}))
    plan = plan_of(path, out)
    resolved = EqualTime(plan).resolved(next(c for c in plan.cells if c.label == "ce as long"))
    assert resolved is not None and resolved.config.training.total_steps == 12
    assert finished(resolved) is not None
    # Those of another configuration are measured anew.
    other = write(
        place, "timed", methods=["ce", "sad", longer], labels_per_class=[1], seeds=[0],
        set={"training.steps": 5},
    )  # fmt: skip
    times_of = EqualTime(plan_of(other, out))
    assert times_of.told() == []
    assert all(times_of.resolved(cell) is None for cell in times_of.plan.cells if cell.label == "ce as long")


def test_time_is_not_measured_by_some_of_the_folds(done: Path, place: Path) -> None:
    out = place / "half-timed"
    shutil.copytree(done / "cells", out / "cells")
    shutil.rmtree(out / "cells" / "sad" / "1" / "seed0-fold01")
    longer = {"name": "ce as long", "method": "ce", "equal_time_with": "sad"}
    path = write(place, "half-timed", methods=["ce", "sad", longer], labels_per_class=[1], seeds=[0])
    told: list[str] = []
    result = run_benchmark(path, out, only=["method=ce as long"], tell=told.append)
    assert result.progress.done == 0 and not (out / "equal_time.json").exists()
    assert told[-1] == (
        "2 cells were not begun: the methods by whose times their steps are told are not finished in every "
        "fold of seed 0"
    )


def test_tuning_chooses_on_dev_groups_and_never_reads_the_test_fold(place: Path) -> None:
    tune = {
        "dev": ["m00"],
        "labels_per_class": ["all"],
        "metric": "nll",
        "trials": {"ce": [{"training.learning_rate": 1e-6}, {"training.learning_rate": 0.004}]},
    }
    folds = [["m02"], ["m01"]]
    path = write(place, "tuning", methods=["ce", "trees"], tune=tune, split={"folds": folds}, seeds=[0])
    tuned, progress = tune_benchmark(path, place / "tuning", tell=lambda _: None)
    assert not progress.failed and progress.done == 2
    assert tuned.dev == ("m00",) and tuned.held_out == ("m02",)
    for about in (place / "tuning").rglob("cell.json"):
        assert json.loads(about.read_text())["groups"] == ["m00"]
        groups = json.loads((about.parent / "run" / "run.json").read_text())["groups"]
        assert groups == {"train": ["m01"], "dev": ["m00"], "test": ["m02"]}
    scores = [score for _, score in tuned.trials["ce"]]
    best = int(np.argmin(np.array(scores, float)))
    assert tuned.chosen["ce"] == tune["trials"]["ce"][best]  # type: ignore[index]

    applied = write(place, "applied", methods=["ce"], tuned="tuning/tuned.yaml", seeds=[0])
    plan = plan_of(applied, place / "applied")
    assert plan.cells[0].config.training.learning_rate == tuned.chosen["ce"]["training.learning_rate"]
    assert plan.tuned_on == ("m00",)

    # What could not be chosen is not replaced by a default in silence.
    chosen = yaml.safe_load((place / "tuning" / "tuned.yaml").read_text())
    (place / "nothing.yaml").write_text(yaml.safe_dump({**chosen, "methods": {}}))
    empty = write(place, "empty", methods=["ce"], tuned="nothing.yaml", seeds=[0])
    with pytest.raises(ConfigError, match="nothing could be chosen"):
        plan_of(empty, place / "empty")


def test_trials_that_would_be_lost_are_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def tuning(changes: dict[str, Any], dev: Any = ("m00",)) -> Path:
        tune = {"dev": list(dev), "trials": {"ce": [changes]}}
        return write(place, "lost", methods=["ce"], labels_per_class=["all"], seeds=[0], tune=tune)

    with pytest.raises(ConfigError, match="the grid itself tells 'seed'"):
        tune_benchmark(tuning({"seed": 3}), place / "lost")
    assert main(["benchmark", str(tuning({})), "--tune", "--only", "method=ce"]) == 2
    assert "--tune runs all trials" in capsys.readouterr().err


def test_dev_groups_that_the_run_would_not_part_from_training_are_refused(place: Path) -> None:
    """Halves of one machine are groups of their own: with one named alone, the other would be trained on."""
    plan = plan_of(place / "little.yaml", place / "kin")
    parts = {f"{name}/{half}": frozenset([name]) for name in ("m00", "m01", "m02") for half in "ab"}
    finer = dataclasses.replace(
        plan, groups=tuple(parts), labelled=tuple(parts), within=parts, folds=(("m02/a", "m02/b"),)
    )

    def chosen(dev: Any) -> Any:
        return dev_groups(finer, TuneConfig(dev=dev, trials={"ce": ({},)}))

    with pytest.raises(SplitError, match="one group stands on both sides") as refused:
        chosen(("m00/a",))
    assert "m00/b" in str(refused.value.mend)
    assert chosen(("m00/a", "m00/b")) == (("m00/a", "m00/b"), ("m02/a", "m02/b"), 0)
    assert chosen(0.3)[0] in (("m00/a", "m00/b"), ("m01/a", "m01/b"))


def test_windows_of_a_class_that_is_trained_on_nowhere_are_told(done: Path, place: Path) -> None:
    out = place / "strange"
    shutil.copytree(done, out)
    for path in out.glob("cells/*/*/seed0-fold01/cell.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"strange": {"cracked": 7}}))
    (note,) = [n for n in report_benchmark(place / "little.yaml", out).notes if "not judged" in n]
    assert note == "not judged in fold 1, for no group that is trained on has their class: 'cracked' 7"


def test_after_the_time_no_cell_is_begun_and_what_is_there_is_told(
    done: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = place / "hours"
    shutil.copytree(done / "cells", out / "cells")
    shutil.rmtree(out / "cells" / "sad" / "all")
    command = ["benchmark", str(place / "little.yaml"), "--out", str(out), "--budget-hours", "0", "--json"]
    assert main(command) == 0
    captured = capsys.readouterr()
    told = json.loads(captured.out)
    assert told["left"] == 4
    assert "4 cells were not begun: the time is up" in captured.err


def test_a_part_of_the_grid_is_named_by_what_it_holds(
    place: Path, done: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["benchmark", str(place / "little.yaml"), "--out", str(done), "--only", "method=saad"]) == 2
    assert "did you mean 'sad'?" in capsys.readouterr().err
    assert main(["benchmark", str(place / "little.yaml"), "--out", str(done), "--only", "seed=9"]) == 2
    told = capsys.readouterr().err
    assert "seed one of ['0', '1']" in told and "did you mean" not in told and "name one of these" in told
    assert main(["benchmark", str(place / "little.yaml"), "--out", str(done), "--report-only"]) == 0
    table = capsys.readouterr().out
    assert table.splitlines()[0].split()[:3] == ["method", "labels", "sensors"]
    assert "less ce" in table and "3 groups by machine in 2 folds" in table
    assert "less ce, by Student's t over groups" in table


@pytest.mark.parametrize("second", ["training.steps=5", "nowhere.yaml"])
def test_what_is_no_benchmark_is_told_before_the_first_one_runs(
    place: Path, capsys: pytest.CaptureFixture[str], second: str
) -> None:
    out = place / f"before-{second}"
    assert main(["benchmark", str(place / "little.yaml"), second, "--out", str(out)]) == 2
    told = capsys.readouterr().err
    assert second in told and "to mend:" in told
    assert not out.exists()


def test_several_benchmarks_end_in_a_table_of_them_all(
    place: Path, done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = place / "other.yaml"
    shutil.copy(place / "little.yaml", other)
    for name in ("little", "other"):
        shutil.copytree(done, tmp_path / name)
    command = ["benchmark", str(place / "little.yaml"), str(other), "--out", str(tmp_path), "--report-only"]
    assert main([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told["benchmarks"]) == ["little", "other"]
    (sad,) = told["across"]
    assert (sad["method"], sad["of"]) == ("sad", len(sad["places"]))
    assert {place["benchmark"] for place in sad["places"]} == {"little", "other"}
    assert main(command) == 0
    assert "macro-F1 less that of ce, by data set and labels a class" in capsys.readouterr().out


def test_the_shipped_benchmark_of_the_simulated_plant_runs(tmp_path: Path, plant: Path) -> None:
    root = Path(__file__).parents[2]
    shutil.copytree(root / "examples" / "configs", tmp_path / "examples" / "configs")
    shutil.copytree(root / "examples" / "benchmarks", tmp_path / "examples" / "benchmarks")
    (tmp_path / "demo-out").mkdir()
    (tmp_path / "demo-out" / "plant").symlink_to(plant)
    path = tmp_path / "examples" / "benchmarks" / "plant.yaml"
    tree = yaml.safe_load(path.read_text())
    tree["set"] = {"training.max_steps": 2, "training.batch_size": 4, "inputs.temperature.span": 4.0}
    path.write_text(yaml.safe_dump(tree))
    result = run_benchmark(path, tmp_path / "out", only=["seed=0,budget=1,method=ce"], tell=lambda _: None)
    assert not result.progress.failed and result.results is not None
    sensors = {row["sensors"] for row in result.results.rows}
    assert sensors == {"all", "acceleration+temperature", "acceleration", "temperature", "video"}
    assert all(row["parameters"] > 0 and row["macs"] > 0 for row in result.results.rows)
