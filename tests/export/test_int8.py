"""int8 keeps verdicts: what is quantised, by which windows, and what the gate lets through."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest

from sensorkd.edge.precision import Figures
from sensorkd.edge.runtime import open_session
from sensorkd.errors import GateError
from sensorkd.export.calibration import calibration_of, check_ranges
from sensorkd.export.gate import presences
from sensorkd.export.int8_gate import LIMITS, Int8Gate, Judgement, divergence_of
from sensorkd.export.quantize import FEWEST_CHANNELS, Quantizer, layers_of
from sensorkd.export.sensitivity import write_int8


@pytest.fixture(scope="module")
def source(exported):
    return exported["lsskd"].path


@pytest.fixture(scope="module")
def layers(exported):
    student = exported["lsskd"].student
    return layers_of(exported["lsskd"].path, {name for name, _ in student.named_parameters()})


@pytest.fixture(scope="module")
def arrays():
    from tests.export.conftest import windows

    return windows(24, seed=5)


@pytest.fixture(scope="module")
def quantizer(source, arrays):
    return Quantizer(source, arrays.inputs, arrays.presence)


@pytest.fixture(scope="module")
def gate(source, arrays):
    return Int8Gate(source, arrays.inputs, presences(arrays.presence), np.arange(24) % 3)


@pytest.fixture(scope="module")
def written(quantizer, layers, tmp_path_factory):
    path = tmp_path_factory.mktemp("int8") / "model.int8.onnx"
    quantizer.write(path, layers)
    return path


def operations(path):
    return [node.op_type for node in onnx.load(path).graph.node]


def quantised_weights(path) -> dict[str, np.ndarray]:
    """Name in the student -> int8 weights."""
    items = onnx.load(path).graph.initializer
    return {
        item.name.removeprefix("student.").removesuffix(".weight_quantized"): onnx.numpy_helper.to_array(item)
        for item in items
        if item.name.endswith(".weight_quantized")
    }


def test_layers_are_those_with_weights_of_their_own_and_enough_channels(source, layers, exported):
    names = [layer.name for layer in layers]
    weights = dict(exported["lsskd"].student.named_parameters())
    assert "classifier" in names and "fusion.stage1.project.camera" in names
    assert "encoders.shake.stages.stage1.0" not in names  # three axes
    for layer in layers:
        assert layer.operation == "Gemm" or weights[f"{layer.name}.weight"].shape[1] >= FEWEST_CHANNELS
    assert {layer.operation for layer in layers} == {"Conv", "Gemm"}
    assert layers_of(source, ()) == []


def test_int8_is_pairs_of_quantise_and_dequantise_with_static_ranges(written, source, layers):
    found = operations(written)
    assert {"QuantizeLinear", "DequantizeLinear"} <= set(found)
    assert not [
        name for name in found if "Dynamic" in name or name.startswith("QLinear") or "Integer" in name
    ]
    assert set(quantised_weights(written)) == {layer.name for layer in layers}
    assert written.stat().st_size < source.stat().st_size
    onnx.checker.check_model(onnx.load(written), full_check=True)


def test_weights_have_seven_bits_and_a_scale_for_every_channel(written):
    constants = {item.name: item for item in onnx.load(written).graph.initializer}
    for name, values in quantised_weights(written).items():
        assert values.dtype == np.int8
        assert np.abs(values.astype(int)).max() <= 64
        assert list(constants[f"student.{name}.weight_scale"].dims) == [len(values)]


def test_the_input_gate_of_the_graph_stays_in_float(written, source):
    """Comparisons, repair and normalisation are the same nodes on the same values as before."""
    before = {node.name: list(node.input) for node in onnx.load(source).graph.node}
    after = {node.name: list(node.input) for node in onnx.load(written).graph.node}
    repair = [
        node.name
        for node in onnx.load(source).graph.node
        if node.op_type in ("Where", "GreaterOrEqual", "LessOrEqual", "And", "Sub", "Div")
    ]
    assert len(repair) > 8
    for name in repair:
        assert after[name] == before[name]


def test_logits_are_near_those_in_float_and_probabilities_nearer(written, source, arrays):
    feed = {**arrays.inputs, "presence": arrays.presence}
    expected, found = (open_session(path.read_bytes()).run(feed)[0] for path in (source, written))
    assert 0 < np.abs(found - expected).max() < 0.25 * np.ptp(expected)
    assert divergence_of(expected, found) < 0.01


def test_divergence_is_that_of_kullback_and_leibler():
    first, second = np.array([[0.0, 0.0]]), np.log([[0.9, 0.1]])
    assert divergence_of(first, first) == 0
    assert divergence_of(first, second) == pytest.approx(0.5 * np.log(0.5 / 0.9) + 0.5 * np.log(0.5 / 0.1))


def test_a_file_judged_against_itself_loses_nothing(gate, source):
    judgement = gate.judge(source)
    assert judgement.windows == 24 * 3
    assert judgement.losses == dict.fromkeys(LIMITS, 0.0)
    assert judgement.passed


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("share", [0.9, 1.1, np.nan])
def test_the_gate_holds_every_limit(name, share):
    same = Figures(0.9, 0.3, 0.05)
    loss = LIMITS[name] * share
    worse = {"accuracy": -loss, "nll": loss, "ece": loss, "divergence": 0.0}
    changed = same
    if name != "divergence":
        changed = dataclasses.replace(same, **{name: getattr(same, name) + worse[name]})
    judgement = Judgement(100, same, changed, loss if name == "divergence" else 0.0)
    assert judgement.passed == (share < 1)
    assert name in judgement.told()


class HurtBy:
    """A gate that finds a divergence for each layer that is in int8, and what it was shown."""

    def __init__(self, harm: dict[str, float]) -> None:
        self.harm = harm
        self.seen: list[set[str]] = []

    def judge(self, model: Path) -> Judgement:
        names = set(quantised_weights(model))
        self.seen.append(names)
        figures = Figures(1.0, 0.0, 0.0)
        return Judgement(1, figures, figures, sum(self.harm.get(name, 0.0) for name in names))


def test_nothing_is_left_out_where_all_is_well(quantizer, gate, layers, tmp_path):
    watching = HurtBy({})
    left_out, judgement = write_int8(quantizer, watching, layers, tmp_path / "model.onnx")
    assert left_out == []
    assert judgement.passed
    assert len(watching.seen) == 1


def test_layers_that_hurt_stay_in_float_the_worst_first(quantizer, layers, tmp_path):
    path = tmp_path / "model.onnx"
    worst, bad = "encoders.shake.stages.stage2.0", "fusion.stage1.project.shake"
    harm = HurtBy({bad: 0.02, worst: 0.5, "classifier": 1e-4})
    left_out, judgement = write_int8(quantizer, harm, layers, path)
    assert [layer.name for layer in left_out] == [worst, bad]
    assert judgement.passed
    assert set(quantised_weights(path)) == {layer.name for layer in layers} - {worst, bad}


def test_a_model_that_bears_no_int8_is_refused_and_nothing_is_left(quantizer, layers, tmp_path):
    path = tmp_path / "model.onnx"
    with pytest.raises(GateError, match="does not keep its verdicts") as caught:
        write_int8(quantizer, HurtBy({layer.name: 1.0 for layer in layers}), layers, path)
    assert "divergence" in str(caught.value) and "--int8" in str(caught.value)
    assert not path.exists()
    with pytest.raises(GateError, match="no layer"):
        write_int8(quantizer, HurtBy({}), [], path)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_ranges_are_never_taken_from_what_is_no_number(bad):
    samples = np.zeros((3, 4, 2), np.float32)
    check_ranges({"shake": samples, "camera": np.zeros((3, 2), np.uint8)}, 3)
    samples[1, 2, 0] = bad
    with pytest.raises(GateError, match="cannot give an int8 model its ranges") as caught:
        check_ranges({"shake": samples}, 3)
    assert "1 of 3 windows" in str(caught.value)
    with pytest.raises(GateError, match="no window"):
        check_ranges({"shake": samples[:0]}, 0)


def test_dev_groups_decide_where_there_are_any(press_run):
    found = calibration_of(press_run)
    assert found.side == "dev"
    assert {name.split("::")[0] for name in [*found.ranges.recording, *found.judged.recording]} == {"p3.h5"}
    assert (found.labels >= 0).all() and len(found.labels) == len(found.judged)
    assert not set(found.ranges.id.tolist()) & set(found.judged.id.tolist())


def test_training_groups_decide_otherwise_and_never_test_groups(press_run):
    groups = {"train": press_run.groups["train"], "dev": (), "test": ("p3", "p4")}
    found = calibration_of(dataclasses.replace(press_run, groups=groups))
    assert found.side == "train"
    seen = {name.split("::")[0] for name in [*found.ranges.recording, *found.judged.recording]}
    assert seen == {"p0.h5", "p1.h5", "p2.h5"}
