"""`python -m sensorkd.edge update|install|rollback`."""

from __future__ import annotations

import csv
import io
import shutil

import numpy as np
import pytest

from sensorkd.edge import __main__ as command
from sensorkd.edge.patch import KEY_VARIABLE, LIMIT

HERE, NEW = (2.0, 1.0), (-2.0, 8.0)


@pytest.fixture
def run(capsys, monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)

    def call(*arguments):
        code = command.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def device(learning_folder, tmp_path, windows_at):
    """A bundle, windows of this machine, their labels and the operator's key."""
    inputs = windows_at([HERE, HERE, HERE, NEW, NEW, NEW])
    np.savez(tmp_path / "windows.npz", **{f"input.{name}": values for name, values in inputs.items()})
    (tmp_path / "labels.txt").write_text("rough\nrough\n\nmelting\nmelting\n\n")
    (tmp_path / "update.key").write_text("0123456789abcdef-operator\n")
    return learning_folder


def update(device, tmp_path, *more):
    files = (tmp_path / "windows.npz", "--labels", tmp_path / "labels.txt", "--key", tmp_path / "update.key")
    return ("update", device, *files, *more)


def verdicts(run, device, tmp_path):
    code, out, _ = run("predict", device, tmp_path / "windows.npz")
    assert code == 0
    return [row["verdict"] for row in csv.DictReader(io.StringIO(out))]


def test_a_device_learns_judges_and_goes_back(run, device, tmp_path):
    assert verdicts(run, device, tmp_path) == ["hot"] * 6
    code, out, _ = run(*update(device, tmp_path, "--new-class", "melting"))
    assert code == 0
    assert "learned from 4 windows" in out
    assert "in force: patch" in out
    assert verdicts(run, device, tmp_path) == ["rough"] * 3 + ["melting"] * 3
    assert run("rollback", device)[0] == 0
    assert verdicts(run, device, tmp_path) == ["hot"] * 6


def test_a_patch_is_made_on_one_device_and_taken_by_another_once(run, device, tmp_path):
    shutil.copytree(device, tmp_path / "other")
    patch = tmp_path / "new.patch"
    code, out, _ = run(*update(device, tmp_path, "--new-class", "melting", "--out", patch))
    assert code == 0
    assert f"{patch.stat().st_size} bytes" in out
    assert patch.stat().st_size <= LIMIT
    assert verdicts(run, device, tmp_path) == ["hot"] * 6
    install = ("install", tmp_path / "other", patch, "--key", tmp_path / "update.key")
    assert run(*install)[0] == 0
    assert verdicts(run, tmp_path / "other", tmp_path) == ["rough"] * 3 + ["melting"] * 3
    code, _, told = run(*install)
    assert code == 2
    assert "installed before" in told
    assert run("rollback", tmp_path / "other", "--to-trained")[0] == 0
    code, _, told = run(*install)
    assert code == 2
    assert "installed before" in told
    code, _, told = run(*update(device, tmp_path, "--new-class", "melting", "--out", patch))
    assert code == 2
    assert "exists already" in told


def test_a_key_in_the_environment_serves_as_well(run, device, tmp_path, monkeypatch):
    arguments = list(update(device, tmp_path, "--new-class", "melting"))
    del arguments[arguments.index("--key") : arguments.index("--key") + 2]
    code, _, told = run(*arguments)
    assert code == 2
    assert KEY_VARIABLE in told
    monkeypatch.setenv(KEY_VARIABLE, "0123456789abcdef-operator")
    assert run(*arguments)[0] == 0


def test_a_label_that_is_no_class_changes_nothing(run, device, tmp_path):
    code, _, told = run(*update(device, tmp_path))
    assert code == 2
    assert "--new-class melting adds it" in told
    assert not (device / "update").exists()


def test_what_would_forget_ends_with_1_and_changes_nothing(run, device, tmp_path, windows_at, places_near):
    inputs = windows_at(places_near(["calm"] * 40, seed=4))
    np.savez(tmp_path / "windows.npz", **{f"input.{name}": values for name, values in inputs.items()})
    (tmp_path / "labels.txt").write_text("hot\n" * 40)
    code, _, told = run(*update(device, tmp_path))
    assert code == 1
    assert "would forget" in told
    assert not (device / "update").exists()


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", None])
def test_labels_that_cannot_be_read_are_told(run, device, tmp_path, content):
    (tmp_path / "labels.txt").unlink()
    if content is not None:
        (tmp_path / "labels.txt").write_bytes(content)
    code, _, told = run(*update(device, tmp_path))
    assert code == 2
    assert "labels cannot be read" in told
