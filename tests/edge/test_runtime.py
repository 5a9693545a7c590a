"""Runtimes and precisions: the same verdicts, and plain words where one is not there."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from sensorkd.edge import BundleDescription, EdgeBundle, EdgePredictor
from sensorkd.edge.bundle import sha256_of
from sensorkd.edge.precision import Figures, Int8Model
from sensorkd.edge.runtime import open_session
from sensorkd.edge.verification import changed_verdicts
from sensorkd.errors import BundleError, GateError, MissingExtraError

FIGURES = Figures(0.9, 0.3, 0.05)
INT8 = Int8Model(
    tolerance=0.05,
    layers=3,
    float_layers=("classifier",),
    calibrated=10,
    judged=30,
    side="dev",
    fp32=FIGURES,
    int8=dataclasses.replace(FIGURES, accuracy=0.89),
    divergence=0.001,
)
needs_openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None,
    reason="openvino is not installed: pip install 'sensorkd[openvino]'",
)


@pytest.fixture
def with_int8(bundle_folder, rewrite_golden, by_hand):
    """The same graph once more, as `model.int8.onnx`, whose golden logits are a little off."""

    def write(off=0.01, **changes):
        shutil.copy(bundle_folder / "model.onnx", bundle_folder / "model.int8.onnx")
        golden = EdgeBundle.open(bundle_folder).golden()
        rewrite_golden(**{"logits.int8": golden["logits"] + np.float32(off)})
        tree = json.loads((bundle_folder / "bundle.json").read_text())
        tree["files"]["model.int8.onnx"] = sha256_of(bundle_folder / "model.int8.onnx")
        tree["int8"] = dataclasses.replace(INT8, **changes).to_json()
        (bundle_folder / "bundle.json").write_text(json.dumps(tree))
        return EdgeBundle.open(bundle_folder)

    return write


def test_a_description_with_int8_survives_json(with_int8):
    description = with_int8().description
    assert description.int8 == INT8
    assert BundleDescription.from_json(json.loads(json.dumps(description.to_json()))) == description
    assert "accuracy 0.9000 -> 0.8900" in description.int8.told()
    assert "left in float: classifier" in description.int8.told()


@pytest.mark.parametrize(
    "change", [{"tolerance": 0.0}, {"tolerance": float("nan")}, {"surprise": 1}, {"fp32": {"accuracy": 1.0}}]
)
def test_an_int8_part_that_makes_no_sense_is_refused(with_int8, bundle_folder, change):
    with_int8()
    tree = json.loads((bundle_folder / "bundle.json").read_text())
    tree["int8"] |= change
    (bundle_folder / "bundle.json").write_text(json.dumps(tree))
    with pytest.raises(BundleError, match="cannot be read"):
        EdgeBundle.open(bundle_folder)


def test_int8_must_be_vouched_for(with_int8, bundle_folder):
    with_int8()
    tree = json.loads((bundle_folder / "bundle.json").read_text())
    del tree["files"]["model.int8.onnx"]
    (bundle_folder / "bundle.json").write_text(json.dumps(tree))
    with pytest.raises(BundleError, match=r"must name model\.int8\.onnx"):
        EdgeBundle.open(bundle_folder)


def test_int8_has_golden_logits_and_a_tolerance_of_its_own(with_int8):
    bundle = with_int8()
    result = EdgePredictor(bundle, precision="int8").verify(repeats=2)
    assert (result.precision, result.tolerance) == ("int8", 0.05)
    assert result.largest_difference == pytest.approx(0.01, rel=0.01)
    assert EdgePredictor(bundle).verify(repeats=2).tolerance == 1e-4


def test_int8_logits_beyond_the_tolerance_do_not_verify(with_int8):
    with pytest.raises(GateError, match="does not say here"):
        EdgePredictor(with_int8(off=0.06), precision="int8").verify(repeats=1)


def test_only_clear_verdicts_must_stay():
    expected = np.array([[1.0, 0.0, 0.0], [1.0, 0.8, 0.0], [0.0, 0.0, 3.0]])
    found = np.array([[0.4, 0.6, 0.0], [0.8, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert changed_verdicts(expected, found, 0.5) == 1
    assert changed_verdicts(expected, found, 0.1) == 2
    assert changed_verdicts(expected, found, 2.0) == 0


def test_a_bundle_without_int8_says_how_to_get_one(bundle_folder):
    with pytest.raises(BundleError, match="holds no model in int8") as caught:
        EdgePredictor(EdgeBundle.open(bundle_folder), precision="int8")
    assert "--int8" in str(caught.value)


def test_unknown_precisions_and_runtimes_list_those_there_are(bundle_folder):
    bundle = EdgeBundle.open(bundle_folder)
    with pytest.raises(BundleError, match="no such precision") as caught:
        EdgePredictor(bundle, precision="int4")  # type: ignore[arg-type]
    assert "fp32" in str(caught.value)
    with pytest.raises(BundleError, match="no such runtime") as caught:
        EdgePredictor(bundle, runtime="tflite")  # type: ignore[arg-type]
    assert "openvino" in str(caught.value)


@pytest.mark.parametrize(("runtime", "extra"), [("openvino", "openvino"), ("onnxruntime", "edge")])
def test_a_runtime_that_is_not_installed_is_told_with_its_extra(bundle_folder, monkeypatch, runtime, extra):
    monkeypatch.setitem(sys.modules, runtime, None)  # what Python does for a module that is not to be found
    with pytest.raises(MissingExtraError, match=f"{runtime} is not installed") as caught:
        EdgePredictor(EdgeBundle.open(bundle_folder), runtime=runtime)
    assert f"sensorkd[{extra}]" in str(caught.value)


@needs_openvino
def test_openvino_says_what_onnxruntime_says(bundle_folder, make_samples):
    bundle = EdgeBundle.open(bundle_folder)
    samples, presence = make_samples(7), np.ones((7, 2), np.float32)
    presence[2, 0] = presence[3, 1] = 0
    samples["shake"][4, 1, 1] = np.nan
    first, second = (
        EdgePredictor(bundle, runtime=runtime).predict(samples, presence)
        for runtime in ("onnxruntime", "openvino")
    )
    np.testing.assert_allclose(second.logits, first.logits, atol=1e-4)
    np.testing.assert_allclose(second.embedding, first.embedding, atol=1e-4)
    assert np.array_equal(first.presence, second.presence)
    assert EdgePredictor(bundle, runtime="openvino").verify(repeats=2).runtime == "openvino"


@needs_openvino
def test_openvino_keeps_earlier_answers_and_takes_no_windows(bundle_folder, make_samples):
    predictor = EdgePredictor(EdgeBundle.open(bundle_folder), runtime="openvino")
    first = predictor.predict(make_samples(2, seed=1))
    kept = first.logits.copy()
    predictor.predict(make_samples(2, seed=2))
    assert np.array_equal(first.logits, kept)
    assert predictor.predict(make_samples(0)).logits.shape == (0, 3)


def test_a_session_tells_its_names_and_classes(bundle_folder):
    session = open_session((bundle_folder / "model.onnx").read_bytes())
    assert session.names == {"shake", "heat", "presence", "logits", "embedding"}
    assert session.classes == 3


def test_memory_is_that_of_this_process():
    """In a process of its own: in this one, what others leave behind is freed at any time."""
    code = (
        "import numpy as np; from sensorkd.edge.verification import resident_memory as memory; "
        "before = memory(); held = np.ones(40_000_000, np.uint8); print(memory() - before)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 35 < float(result.stdout) < 60
