"""One bad file never ends a job over a folder: it is told, the others go on, and the exit code says so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from sensorkd.cli.__main__ import main
from sensorkd.errors import SplitError
from sensorkd.evaluation.evaluate import evaluate_run
from sensorkd.evaluation.report import write_report
from sensorkd.runs import Run, train_run
from sensorkd.runs.data import plan_run
from tests.press_run import press_config, press_tree

SHORT = {"steps": 4, "batch_size": 16}


@pytest.fixture
def folder(press: Path, tmp_path: Path) -> Path:
    """Presses p0 to p4; p1 is empty, and something fell on the middle of p2's acceleration."""
    from tests.windows.damaging import flip_in_chunk

    shutil.copytree(press, tmp_path / "press")
    (tmp_path / "press" / "p1.h5").write_bytes(b"")
    flip_in_chunk(tmp_path / "press" / "p2.h5", "/shift/streams/shake/samples", index=5)
    return tmp_path / "press"


@pytest.mark.parametrize("mode", ["memory", "cache", "direct"])
def test_training_goes_on_without_them_and_says_so(folder: Path, tmp_path: Path, mode: str) -> None:
    notes: list[str] = []
    cache = {"mode": mode, "folder": str(tmp_path / "cache")}
    run = train_run(press_config(folder, tmp_path / mode, training=SHORT, cache=cache), on_note=notes.append)
    assert run.groups["train"] == ("p0", "p2", "p3")
    assert Run.load(run.folder).left_out == run.left_out
    empty, damaged = run.left_out
    assert "p1.h5" in empty and "the file is empty" in empty
    assert (
        "p2.h5" in damaged and "20.000 s to 24.000 s" in damaged and "windows lose an input by it" in damaged
    )
    assert [note for note in notes if note.startswith("left out")] == [f"left out: {x}" for x in run.left_out]
    assert (run.health["shake"].present, run.health["shake"].not_logged) == (152, 4)


def test_the_exit_code_of_a_finished_training_tells_them(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "press.yaml"
    config.write_text(yaml.safe_dump(press_tree(folder, tmp_path / "run", training=SHORT)))
    assert main(["train", str(config), "--json"]) == 1
    told = capsys.readouterr()
    assert [("p1.h5" in told.err), ("p2.h5" in told.err)] == [True, True]
    assert "2 files were left out" in told.err
    assert len(json.loads(told.out)["errors"]) == 2
    assert (tmp_path / "run" / "averaged.safetensors").exists()
    assert main(["evaluate", str(tmp_path / "run")]) == 1
    assert "p1.h5" in capsys.readouterr().err


def test_evaluation_and_report_go_on_without_the_windows_that_cannot_be_read(
    folder: Path, press_run: Run, tmp_path: Path
) -> None:
    judged = evaluate_run(press_run, [str(folder)])
    assert {error.file for error in judged.failed} == {str(folder / "p1.h5"), str(folder / "p2.h5")}
    assert set(judged.groups) == {"p0", "p2", "p3", "p4"}
    run = train_run(press_config(folder, tmp_path / "run", training=SHORT))
    write_report(run, tmp_path / "run.html")
    assert "the file is empty" in (tmp_path / "run.html").read_text("utf-8")


def test_a_file_that_is_gone_once_it_was_opened_costs_its_windows(folder: Path, tmp_path: Path) -> None:
    from sensorkd.runs.data import read_usable

    config = press_config(folder, tmp_path / "run")
    planned = plan_run(config)
    (folder / "p0.h5").unlink()
    reading = read_usable(planned, planned.rows("train"), config)
    assert {name.split("::")[0] for name in reading.windows.recording} == {"p2.h5", "p3.h5"}
    assert sorted(Path(str(error.file)).name for error in reading.failed) == ["p0.h5", "p2.h5"]


def test_where_a_group_is_missing_for_a_bad_file_the_error_names_the_file(
    folder: Path, tmp_path: Path
) -> None:
    split: Any = {"by": "machine", "test": ["p1"]}
    with pytest.raises(SplitError, match="no group 'p1'") as caught:
        train_run(press_config(folder, tmp_path / "run", split=split))
    assert str(folder / "p1.h5") in str(caught.value) and "the file is empty" in str(caught.value)
