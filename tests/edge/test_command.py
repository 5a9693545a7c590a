"""`python -m sensorkd.edge`, in a process of its own, as a device runs it."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys

import numpy as np
import pytest

from sensorkd.edge import __main__ as command


def call(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "sensorkd.edge", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def run(capsys, *arguments):
    """The same without a new process."""
    code = command.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def windows_file(tmp_path, make_samples):
    arrays = {f"input.{name}": values for name, values in make_samples(3).items()}
    path = tmp_path / "windows.npz"
    np.savez(path, presence=np.array([[1, 1], [0, 1], [1, 1]]), t_ref=np.array([10, 20, 30]), **arrays)
    return path


def test_a_device_verifies_and_predicts(bundle_folder, windows_file):
    verified = call("verify", bundle_folder)
    assert (verified.returncode, verified.stderr) == (0, "")
    assert verified.stdout.startswith("verified: 5 golden windows")
    predicted = call("predict", bundle_folder, windows_file)
    assert (predicted.returncode, predicted.stderr) == (0, "")
    rows = list(csv.DictReader(io.StringIO(predicted.stdout)))
    assert [row["t_ref"] for row in rows] == ["10", "20", "30"]
    assert [row["missing"] for row in rows] == ["", "shake", ""]


def test_a_device_that_says_something_else_fails_without_a_traceback(bundle_folder, rewrite_golden):
    rewrite_golden(logits=np.zeros((5, 3), np.float32))
    result = call("verify", bundle_folder)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr


def test_importing_the_edge_brings_nothing_heavy():
    heavy = ["torch", "h5py", "pandas", "pydantic", "scipy", "sklearn", "yaml", "typer", "onnx", "matplotlib"]
    code = "import sys, sensorkd.edge, sensorkd.edge.__main__; print(*sorted(set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(result.stdout.split())
    assert {"numpy", "sensorkd.edge.predictor"} <= modules
    assert modules.isdisjoint([*heavy, "onnxruntime", "openvino"])  # these only once there is a model to load
    foreign = {name for name in modules if name.startswith("sensorkd.")}
    rooms = {name.split(".")[1] for name in foreign}
    assert rooms <= {"edge", "errors", "timeline", "quality", "alarms", "encoding", "durable", "_version"}


def test_verification_speaks_json(capsys, bundle_folder):
    code, out, _ = run(capsys, "verify", bundle_folder, "--json")
    assert code == 0
    assert json.loads(out)["windows"] == 5


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_predictions_go_to_a_file(capsys, bundle_folder, windows_file, tmp_path, ending):
    out = tmp_path / f"verdicts.{ending}"
    code, told, _ = run(capsys, "predict", bundle_folder, windows_file, "--out", out)
    assert (code, told) == (0, "")
    with out.open(newline="") as handle:
        rows = list(csv.DictReader(handle)) if ending == "csv" else [json.loads(line) for line in handle]
    assert [int(row["t_ref"]) for row in rows] == [10, 20, 30]
    assert all(row["verdict"] in ("calm", "rough", "hot") for row in rows)


def broken(tmp_path, bundle, windows, what):
    """Arguments of a call that cannot work."""
    other = tmp_path / "other.npz"
    with np.load(windows) as arrays:
        loaded = dict(arrays)
    if what == "no bundle":
        return ["verify", tmp_path / "nowhere"]
    if what == "no windows":
        return ["predict", bundle, tmp_path / "nowhere.npz"]
    if what == "text for windows":
        other.write_text("hello")
    if what == "an array for windows":
        with other.open("wb") as handle:
            np.save(handle, np.zeros(3))
    if what == "no input":
        np.savez(other, presence=loaded["presence"])
    if what == "too few references":
        np.savez(other, **{**loaded, "t_ref": np.zeros(1)})
    if what == "another shape":
        np.savez(other, **{**loaded, "input.heat": np.zeros((3, 9, 1), np.int16)})
    if what == "no folder to write to":
        return ["predict", bundle, windows, "--out", tmp_path / "no" / "such" / "out.csv"]
    return ["predict", bundle, other]


@pytest.mark.parametrize(
    "what",
    [
        "no bundle",
        "no windows",
        "text for windows",
        "an array for windows",
        "no input",
        "too few references",
        "another shape",
        "no folder to write to",
    ],
)
def test_unusable_input_is_told_with_exit_code_2(capsys, bundle_folder, windows_file, tmp_path, what):
    code, out, err = run(capsys, *broken(tmp_path, bundle_folder, windows_file, what))
    assert (code, out) == (2, "")
    assert err.startswith("error: ")


def test_debugging_shows_the_traceback(tmp_path):
    with pytest.raises(command.SensorkdError, match="not a bundle"):
        command.main(["--debug", "verify", str(tmp_path)])
