"""evaluate, predict and windows with --isolated: archives are opened in child processes only."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sensorkd.cli.__main__ import main
from sensorkd.processes import ChildLimits
from sensorkd.recordings.isolated import open_isolated
from sensorkd.runs import Run, data
from tests.press_run import write_press
from tests.recordings.test_isolated import without_heap

SHORT = ChildLimits(seconds=4.0, memory=4 << 30)


@pytest.fixture
def plant(tmp_path: Path) -> Path:
    """A good archive, and one whose reader hangs."""
    folder = tmp_path / "plant"
    folder.mkdir()
    write_press(folder, "p9", seed=9)
    with h5py.File(write_press(folder, "p8", seed=8), "r+") as file:
        file["shift"].attrs["operator"] = "anna"
    without_heap(folder / "p8.h5")
    return folder


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No HDF5 file can be opened here, and nobody waits a minute."""

    def never(*args: Any, **options: Any) -> Any:
        raise AssertionError("opened in the parent")

    monkeypatch.setattr(h5py, "File", never)
    monkeypatch.setattr(data, "open_isolated", functools.partial(open_isolated, limits=SHORT))
    monkeypatch.setattr("sensorkd.recordings.isolated.LIMITS", SHORT)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Any:
    """The object that a verb prints, and its exit code."""

    def run(*arguments: object) -> tuple[int, dict[str, Any]]:
        code = main([*map(str, arguments), "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run


def hangs(result: dict[str, Any]) -> bool:
    (error,) = result["errors"]
    return "p8.h5" in error and "does not end" in error


def test_evaluate(press_run: Run, plant: Path, told: Any, closed: None) -> None:
    code, result = told("evaluate", press_run.folder, plant, "--isolated")
    assert (code, result["windows"], result["groups"]) == (1, 52, ["p9"])
    assert hangs(result)


def test_predict(press_bundle: Path, plant: Path, told: Any, closed: None) -> None:
    code, result = told("predict", press_bundle, plant, "--isolated")
    assert (code, result["windows"]) == (1, 60)
    assert hangs(result)


def test_windows_and_nothing_is_left_beside_them(
    press_run: Run, plant: Path, tmp_path: Path, told: Any, closed: None
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    code, result = told("windows", plant, "--like", press_run.folder, "--out", out / "w.npz", "--isolated")
    assert (code, result["windows"]) == (1, 60)
    assert hangs(result)
    assert [path.name for path in out.iterdir()] == ["w.npz"]
    assert not (tmp_path / "cache").exists()


def test_windows_are_the_same_isolated_or_not(press_run: Run, tmp_path: Path, told: Any) -> None:
    path = write_press(tmp_path, "p9", seed=9)
    files = tmp_path / "here.npz", tmp_path / "there.npz"
    for out, options in zip(files, ([], ["--isolated"]), strict=True):
        code, result = told("windows", path, "--like", press_run.folder, "--out", out, *options)
        assert (code, result["errors"]) == (0, [])
    here, there = (dict(np.load(out)) for out in files)
    assert set(here) == set(there)
    for name, values in here.items():
        np.testing.assert_array_equal(values, there[name])


def test_windows_name_the_files_that_could_not_be_used(press_run: Run, tmp_path: Path, told: Any) -> None:
    write_press(tmp_path, "p9", seed=9)
    (tmp_path / "broken.h5").write_bytes(b"")
    code, result = told("windows", tmp_path, "--like", press_run.folder, "--out", tmp_path / "w.npz")
    assert code == 1
    assert ["broken.h5" in error for error in result["errors"]] == [True]
