"""`sensorkd evaluate` tells people all that it found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sensorkd.cli.__main__ import main
from sensorkd.runs import Run
from tests.press_run import write_press


def test_sensors_confusion_health_shares_and_alarms_are_told(
    press_run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(press_run.folder)]) == 0
    metrics, confusion, health, prior, alarms = capsys.readouterr().out.strip().split("\n\n")
    lines = [line.split("  ") for line in metrics.splitlines()]
    assert [line[0] for line in lines] == [
        "sensors", "all sensors that are there", "shake", "heat", "shake+heat"
    ]  # fmt: skip
    assert "there in" in metrics.splitlines()[0]
    assert "94%" in metrics.splitlines()[3]
    assert confusion.splitlines()[0].split() == ["truth", "\\", "verdict", "hot", "ok", "worn"]
    assert health.splitlines() == [
        "shake: present in 60 of 60 windows",
        "heat: present in 57 of 60 windows; not logged in 3",
    ]
    assert prior.startswith(
        "class shares (answered for / judged / estimated without labels): hot 0.23 / 0.23"
    )
    assert alarms.startswith("alarm: anything but ok; threshold 0.")
    assert "(chosen on the dev groups for 500 false alarms a day), 2 of 3 windows raise it" in alarms
    assert "faults found: 2 of 2 (recall 1.00)" in alarms


def test_json_is_one_object(press_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_press(tmp_path, "p9", seed=9, heat_until=20)
    assert main(["evaluate", str(press_run.folder), str(path), "--json"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    told = json.loads(printed)
    assert told["sensors"]["heat"]["not_logged"] == 43
    assert told["subsets"]["heat"]["reached"] < 0.4
    assert told["groups"] == ["p9"]


def test_one_bad_file_is_told_and_the_others_are_judged(
    press_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_press(tmp_path, "p9", seed=9)
    (tmp_path / "broken.h5").write_bytes(b"")
    assert main(["evaluate", str(press_run.folder), str(tmp_path), "--json"]) == 1
    captured = capsys.readouterr()
    told = json.loads(captured.out)
    assert told["windows"] == 52
    assert ["broken.h5" in error for error in told["errors"]] == [True]
    assert "error: " in captured.err


def test_classes_that_the_model_does_not_know_are_noted_and_not_judged(
    press_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shift = (("ok", 0, 20), ("worn", 20, 32), ("wet", 32, 40))
    path = write_press(tmp_path, "p9", seed=9, shift=shift)
    assert main(["evaluate", str(press_run.folder), str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["windows"] == 32
    assert "windows of classes that the model does not know are not judged: 'wet' 8" in told["notes"]
