"""`sensorkd report` writes a page and says where; one object for programs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from sensorkd.cli.__main__ import main
from sensorkd.evaluation import report
from sensorkd.export.footprint import Footprint
from sensorkd.runs import Run
from tests.press_run import write_press


@pytest.fixture
def folder(press_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the run, and no export, which has tests of its own."""
    monkeypatch.setattr(report, "footprint_of", lambda run: Footprint(1, 2, 3, 0.1, 0.2, 0.3))
    return Path(shutil.copytree(press_run.folder, tmp_path / "run"))


def test_a_page_is_written_into_the_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(folder)]) == 0
    printed = capsys.readouterr().out
    path = folder / "report.html"
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert printed.startswith(f"wrote {path}: {path.stat().st_size:,} bytes, macro-F1 0.")
    assert printed.count("\n") == 1


def test_json_is_one_object_with_the_evaluation_in_it(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "page.html"
    assert main(["report", str(folder), "--out", str(out), "--json"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1, "one object and nothing else"
    told = json.loads(printed)
    assert told["file"] == str(out)
    assert out.is_file()
    assert not (folder / "report.html").exists()
    assert main(["evaluate", str(folder), "--json"]) == 0
    assert {key: value for key, value in told.items() if key != "file"} == json.loads(capsys.readouterr().out)


def test_other_archives_with_a_label_table_of_their_own(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = write_press(tmp_path, "p9", seed=9, labelled=False)
    table = tmp_path / "labels.csv"
    table.write_text("machine,target,t0,t1,class\np9,state,0,20,ok\np9,state,20,32,worn\np7,state,0,1,ok\n")
    assert main(["report", str(folder), "--data", str(archive), "--labels", str(table), "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["windows"] == 32
    assert "label row fits no recording: line 4" in captured.err
    assert "label row fits no recording: line 4" in (folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["RUN", "--out", "page.pdf"], "ends in .html"),
        (["RUN", "--out", "nowhere/page.html"], "no folder nowhere"),
        (["elsewhere"], "not a run folder"),
        (["RUN", "--data", "nothing.h5"], "no such file or folder"),
        ([], "RUN"),
    ],
)
def test_what_cannot_be_reported_is_told_with_two(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", *[str(folder) if item == "RUN" else item for item in arguments]]) == 2
    printed = capsys.readouterr()
    assert told in printed.err
    assert printed.out == ""
    assert list(tmp_path.rglob("*.html")) == list(tmp_path.rglob("*.pdf")) == []
