"""The road, as a user takes it: archives, training, evaluation, bundle, predictions without torch."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sensorkd.cli.__main__ import main
from sensorkd.edge import EdgeBundle
from sensorkd.export.onnx import summarise
from sensorkd.recordings import RecordingWriter
from tests.plant_run import CONFIG, same_weights

EDGE_ONLY = """
import sys

class OnlyTheEdge:
    allowed = {allowed!r}
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.allowed:
            raise ModuleNotFoundError(f"not on the device: {{name}}", name=name)

sys.meta_path.insert(0, OnlyTheEdge())
from sensorkd.edge.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
NOT_ON_A_DEVICE = ["h5py", "pandas", "pydantic", "rich", "scipy", "sklearn", "torch", "typer", "yaml"]


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1, "one object and nothing else"
    return dict(json.loads(printed))


def on_the_device(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = EDGE_ONLY.format(allowed=set(NOT_ON_A_DEVICE))
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )


def test_inspect_shows_what_was_logged(plant: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = as_json(capsys, "inspect", str(plant / "m00.h5"))
    streams = {stream["name"]: stream for stream in shown["recordings"][0]["streams"]}
    assert {name: stream["rate"] for name, stream in streams.items()} == {
        "acceleration": 2000.0,
        "temperature": 2.0,
        "video": 12.0,
    }
    assert len(shown["recordings"]) == 6
    assert shown["recordings"][0]["identity"]["simulated"] == "yes"


def test_evaluate_judges_every_subset_of_sensors(
    run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judged = as_json(capsys, "evaluate", str(run_folder))
    assert judged["groups"] == ["m02"]
    assert {"accuracy", "macro_f1", "nll", "ece", "windows", "confusion", "subsets"} <= set(judged)
    assert len(judged["subsets"]) == 7
    assert judged["subsets"]["acceleration+temperature+video"]["accuracy"] == judged["accuracy"]
    assert np.sum(judged["confusion"]) == judged["windows"] > 0


def test_evaluate_takes_other_archives_and_says_when_they_were_trained_on(
    run_folder: Path, plant: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    same = as_json(capsys, "evaluate", str(run_folder), "--data", str(plant / "m02.h5"))
    assert same["accuracy"] == as_json(capsys, "evaluate", str(run_folder))["accuracy"]
    assert same["notes"] == []
    known = as_json(capsys, "evaluate", str(run_folder), "--data", str(plant / "m00.h5"))
    assert "trained on" in known["notes"][0]


def test_a_verified_bundle_judges_archives(
    bundle: Path, plant: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert as_json(capsys, "verify", str(bundle))["largest_difference"] < 1e-4
    predicted = as_json(capsys, "predict", str(bundle), str(plant / "m02.h5"))
    assert predicted["windows"] == len(predicted["predictions"]) > 0
    row = predicted["predictions"][0]
    assert row["verdict"] in EdgeBundle.open(bundle).description.classes
    out = tmp_path / "verdicts.csv"
    assert main(["predict", str(bundle), str(plant / "m02.h5"), "--out", str(out)]) == 0
    with out.open() as handle:
        written = list(csv.DictReader(handle))
    assert [item["verdict"] for item in written] == [item["verdict"] for item in predicted["predictions"]]


def test_the_device_says_the_same_without_torch(
    bundle: Path, run_folder: Path, plant: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    windows, verdicts = tmp_path / "windows.npz", tmp_path / "verdicts.csv"
    assert main(["windows", str(plant / "m02.h5"), "--like", str(run_folder), "--out", str(windows)]) == 0
    done = on_the_device("predict", str(bundle), str(windows), "--out", str(verdicts))
    assert done.returncode == 0, done.stderr
    predicted = as_json(capsys, "predict", str(bundle), str(plant / "m02.h5"))["predictions"]
    by_window = {(item["recording"], item["time"]): item for item in predicted}
    with verdicts.open() as handle:
        rows = list(csv.DictReader(handle))
    assert rows
    for row in rows:
        item = by_window[row["recording"], round(int(row["t_ref"]) / 1e9, 6)]
        assert row["verdict"] == item["verdict"]
        assert float(row["probability"]) == pytest.approx(item["probability"], abs=1e-5)
    verified = on_the_device("verify", str(bundle))
    assert verified.returncode == 0
    assert verified.stdout.startswith("verified")


def test_the_auxiliaries_cost_nothing(
    run_folder: Path, overrides: list[str], bundle: Path, tmp_path: Path
) -> None:
    plain, sealed = tmp_path / "ce", tmp_path / "bundle"
    assert main(["train", str(CONFIG), *overrides, f"out={plain}", "method.name=ce"]) == 0
    assert main(["export", str(plain), "--out", str(sealed)]) == 0
    assert summarise(sealed / "model.onnx") == summarise(bundle / "model.onnx")
    costs = [EdgeBundle.open(folder).description for folder in (sealed, bundle)]
    assert costs[0].macs == costs[1].macs
    assert costs[0].parameters == costs[1].parameters
    assert b"auxiliar" not in (bundle / "model.onnx").read_bytes()


def test_training_twice_with_one_seed_gives_the_same_weights(
    run_folder: Path, overrides: list[str], tmp_path: Path
) -> None:
    assert main(["train", str(CONFIG), *overrides, f"out={tmp_path / 'again'}"]) == 0
    assert same_weights(tmp_path / "again", run_folder)


def test_a_plugged_in_sensor_is_found_and_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generator = np.random.default_rng(0)
    for line in ("a", "b", "c"):
        with RecordingWriter(tmp_path / f"{line}.h5") as writer:
            for condition, level in (("dry", 30.0), ("damp", 70.0)):
                draft = writer.recording(condition, clock="relative", identity={"line": line})
                values = generator.normal(level, 3, (240, 1)).astype(np.float32)
                draft.add_stream("humidity", values, rate=1.0, modality="humidity", unit="%")
                draft.add_labels("air", [(0, 240 * 10**9, condition)])
    config = tmp_path / "air.yaml"
    config.write_text(
        "data: [.]\ntarget: air\ninputs: {humidity: {span: 20.0}}\nwindows: {reference: hop, hop: 10.0}\n"
        "split: {by: line, test: [c]}\ntraining: {steps: 30, batch_size: 16}\n"
        f"out: {tmp_path / 'run'}\n"
    )
    assert main(["train", str(config)]) == 0
    assert as_json(capsys, "evaluate", str(tmp_path / "run"))["accuracy"] == 1.0
    assert main(["export", str(tmp_path / "run"), "--out", str(tmp_path / "bundle")]) == 0


def test_a_bundle_goes_on_when_a_sensor_was_never_logged(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with RecordingWriter(tmp_path / "old.h5") as writer:
        draft = writer.recording("one", clock="relative", identity={"machine": "old"})
        samples = np.random.default_rng(0).normal(0, 500, (4000, 3)).astype(np.int16)
        draft.add_stream(
            "acceleration", samples, rate=2000.0, modality="acceleration", unit="m/s2", scale=0.005
        )
    predicted = as_json(capsys, "predict", str(bundle), str(tmp_path / "old.h5"))
    assert {row["missing"] for row in predicted["predictions"]} == {"temperature+video"}
