"""`sensorkd update`: a bundle learns from a press that has a state of its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from sensorkd.cli.__main__ import main
from sensorkd.edge import __main__ as device
from tests.press_run import SECONDS, write_press

# Worn and hot at once, which the bundle has no name for.
SHIFT = (("ok", 0, 20), ("worn", 20, SECONDS), ("hot", 20, SECONDS))


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A press that comes loose."""
    path = write_press(tmp_path, "p9", seed=9, shift=SHIFT, labelled=False)
    (tmp_path / "labels.csv").write_text(
        "target,machine,class,t0,t1\nstate,p9,ok,0,20\nstate,p9,loose,28,60\n"
    )
    return path


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def verdicts(bundle: Path, path: Path, capsys: pytest.CaptureFixture[str]) -> set[str]:
    assert main(["predict", str(bundle), str(path), "--json"]) == 0
    rows = told(capsys)["predictions"]
    assert all(isinstance(row["unknown"], bool) for row in rows)
    return {row["verdict"] for row in rows if 30 < row["time"] < 60}


def test_a_class_of_its_own_is_learned_from_a_table(
    press_bundle: Path, other: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, table = tmp_path / "out", tmp_path / "labels.csv"
    arguments = ["update", str(press_bundle), "--data", str(other), "--labels", str(table), "--out", str(out)]
    assert main([*arguments, "--new-class", "loose", "--most-lost", "0.3", "--json"]) == 0
    result = told(capsys)
    assert result["classes"][-1] == "loose"
    assert result["windows"] == {"loose": 16, "ok": 16}
    assert result["patch_bytes"] <= 64 << 10
    assert "loose" in verdicts(out, other, capsys)
    assert main(["verify", str(out)]) == 0
    capsys.readouterr()
    # The bundle itself is as it was.
    assert "loose" not in verdicts(press_bundle, other, capsys)
    assert not (press_bundle / "update").exists()


def test_a_patch_for_devices_is_signed_with_the_operators_key(
    press_bundle: Path, other: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "update.key").write_text("0123456789abcdef-operator\n")
    shutil.copytree(press_bundle, tmp_path / "device")
    key, patch = ["--key", str(tmp_path / "update.key")], str(tmp_path / "p9.patch")
    path = write_press(tmp_path, "p8", seed=8)
    arguments = ["update", str(press_bundle), "--data", str(path), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--patch", patch]) == 2
    assert "--key FILE" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main([*arguments, *key, "--patch", patch]) == 0
    assert device.main(["install", str(tmp_path / "device"), patch, *key]) == 0
    assert "in force: patch" in capsys.readouterr().out


def test_what_cannot_be_learned_leaves_nothing(
    press_bundle: Path, other: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["update", str(press_bundle), "--data", str(other), "--out", str(tmp_path / "out")]
    assert main(arguments) == 2
    assert "no recording has labels for target" in capsys.readouterr().err
    assert main([*arguments, "--labels", str(tmp_path / "labels.csv")]) == 2
    assert "--new-class loose adds it" in capsys.readouterr().err
    assert [item.name for item in tmp_path.iterdir() if "out" in item.name] == []
    (tmp_path / "out").mkdir()
    assert main([*arguments, "--labels", str(tmp_path / "labels.csv"), "--new-class", "loose"]) == 2
    assert "exists already" in capsys.readouterr().err
