from __future__ import annotations

import json
import shutil

import numpy as np
import onnx
import pytest

from sensorkd.edge import EdgeBundle, EdgePredictor
from sensorkd.errors import BundleError, GateError
from sensorkd.export import seal


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch, exported, make_windows):
    """Windows without archives, and the file that was exported already: exporting takes seconds."""
    monkeypatch.setattr(seal, "held_out_windows", lambda run: make_windows(10, seed=3))
    monkeypatch.setattr(seal, "write_statistics", lambda run, student, path, rate: None)
    monkeypatch.setattr(
        seal, "export_onnx", lambda student, encodings, path: shutil.copy(exported["lsskd"].path, path)
    )


def test_a_run_becomes_a_bundle_that_judges_as_it_did(run, exported, make_windows, tmp_path):
    comparison = seal.export_run(run, tmp_path / "bundle", extra={"line": 4})
    assert comparison.windows == 30
    bundle = EdgeBundle.open(tmp_path / "bundle")
    description = bundle.description
    assert description.classes == run.classes
    assert description.inputs == run.encodings
    assert description.extra["line"] == 4
    assert description.extra["method"]["name"] == "lsskd"
    predictor = EdgePredictor(bundle)
    assert predictor.verify(repeats=2).largest_difference <= description.tolerance
    assert description.embedding == bundle.golden()["embedding"].shape[1]
    arrays = make_windows(9, seed=7)
    predictions = predictor.predict(arrays.inputs, arrays.presence)
    student = run.student()
    with seal.torch.inference_mode():
        logits, embedding = student(
            {name: seal.torch.from_numpy(values) for name, values in arrays.inputs.items()},
            seal.torch.from_numpy(arrays.presence),
        )
    assert np.allclose(predictions.logits, logits, atol=1e-4)
    assert np.allclose(predictions.embedding, embedding, atol=1e-4)
    assert np.array_equal(predictions.presence, arrays.presence)


def test_the_description_names_files_and_costs(run, tmp_path):
    seal.export_run(run, tmp_path / "bundle")
    assert {item.name for item in (tmp_path / "bundle").iterdir()} == {
        "bundle.json",
        "golden.npz",
        "model.onnx",
        "README.md",
    }
    tree = json.loads((tmp_path / "bundle/bundle.json").read_text())
    assert tree["schema"] == "bundle-1.0"
    assert set(tree["files"]) == {"model.onnx", "golden.npz"}
    assert tree["macs"] > 0
    card = (tmp_path / "bundle/README.md").read_text()
    for text in ("idle, grind, jam", "40 x 3", "held out: m2", f"{tree['parameters']:,} parameters"):
        assert text in card


def test_golden_windows_cover_every_subset(run, tmp_path):
    seal.export_run(run, tmp_path / "bundle")
    presence = EdgeBundle.open(tmp_path / "bundle").golden()["presence"]
    assert {tuple(row) for row in presence.tolist()} >= {(1, 1), (1, 0), (0, 1)}


def test_a_file_that_differs_is_refused_and_nothing_is_left(run, exported, tmp_path, monkeypatch):
    def export_badly(student, encodings, path):
        model = onnx.load(exported["lsskd"].path)
        (item,) = [item for item in model.graph.initializer if item.name.endswith("classifier.bias")]
        item.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(item) + 0.01, item.name))
        onnx.save(model, path)

    monkeypatch.setattr(seal, "export_onnx", export_badly)
    with pytest.raises(GateError, match=r"differ by up to 0\.01"):
        seal.export_run(run, tmp_path / "out" / "bundle")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_interruption_leaves_nothing(run, tmp_path, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(seal, "model_card", interrupted)
    with pytest.raises(KeyboardInterrupt):
        seal.export_run(run, tmp_path / "out" / "bundle")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_that_is_there_is_never_overwritten(run, tmp_path):
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle/notes.txt").write_text("mine")
    with pytest.raises(BundleError, match="exists already"):
        seal.export_run(run, tmp_path / "bundle")
    assert [item.name for item in (tmp_path / "bundle").iterdir()] == ["notes.txt"]
