from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

import sensorkd
from sensorkd.errors import GateError
from sensorkd.export.gate import compare, presences
from sensorkd.export.onnx import OPSET, export_onnx, summarise
from sensorkd.export.tidy import ELEMENTWISE, tidy
from sensorkd.models.cost import cost_of
from sensorkd.runs.build import example_inputs

TOLERANCE = 1e-4


def test_distillation_adds_nothing_to_what_ships(exported, encodings):
    """The same graph, initialisers, operations, multiply-accumulates and bytes, whatever the training."""
    plain, distilled = exported["ce"], exported["lsskd"]
    assert summarise(plain.path) == summarise(distilled.path)
    assert plain.path.stat().st_size == distilled.path.stat().st_size
    examples = example_inputs(encodings)
    assert cost_of(plain.student, examples) == cost_of(distilled.student, examples)
    assert plain.path.read_bytes() != distilled.path.read_bytes()


def test_a_summary_holds_what_must_be_equal(exported):
    summary = summarise(exported["ce"].path)
    assert summary["inputs"] == ["shake", "camera", "presence"]
    assert summary["outputs"] == ["logits", "embedding"]
    assert {"Conv", "Gemm"} <= set(summary["operations"])
    assert any("classifier.weight" in name for name, shape, dtype in summary["initialisers"])
    assert summary["bytes"] == exported["ce"].path.stat().st_size


@pytest.mark.parametrize("method", ["ce", "lsskd"])
def test_the_file_names_no_auxiliary_and_no_path_of_this_computer(exported, method):
    content = exported[method].path.read_bytes()
    home, package = Path.home(), Path(sensorkd.__file__).resolve().parent
    forbidden = ["auxiliar", "site-packages", str(package), str(package.parent), "stack_trace", "Traceback"]
    forbidden += [str(home)] if home != Path("/") else []
    for text in [*forbidden, ".py"]:
        assert text.encode() not in content, text


def test_weights_lie_inside_the_file_once(exported, encodings):
    student, path = exported["ce"].student, exported["ce"].path
    assert [item.name for item in path.parent.glob("*.onnx*")] == ["model.onnx"]
    weights = cost_of(student, example_inputs(encodings)).weight_bytes
    assert weights * 0.9 < path.stat().st_size < weights * 1.2 + 20_000


def test_the_file_is_valid_and_takes_native_samples(exported):
    model = onnx.load(exported["lsskd"].path)
    onnx.checker.check_model(model, full_check=True)
    assert {item.domain: item.version for item in model.opset_import}[""] == OPSET
    types = {item.name: item.type.tensor_type.elem_type for item in model.graph.input}
    assert types == {
        "shake": onnx.TensorProto.INT16,
        "camera": onnx.TensorProto.UINT16,
        "presence": onnx.TensorProto.FLOAT,
    }


@pytest.mark.parametrize("count", [1, 2, 7])
def test_any_number_of_windows_can_be_judged(exported, make_windows, count):
    arrays = make_windows(7)
    session = onnxruntime.InferenceSession(exported["lsskd"].path, providers=["CPUExecutionProvider"])
    some = {name: values[:count] for name, values in arrays.inputs.items()}
    logits, _ = session.run(None, {**some, "presence": arrays.presence[:count]})
    with torch.inference_mode():
        expected = exported["lsskd"].student(
            {name: torch.from_numpy(values) for name, values in some.items()},
            torch.from_numpy(arrays.presence[:count]),
        )[0]
    assert np.allclose(logits, expected, atol=TOLERANCE)


def test_the_gate_passes_what_was_exported_under_every_subset(exported, make_windows):
    arrays = make_windows(19, seed=2)
    masks = presences(arrays.presence)
    for one in exported.values():
        result = compare(one.student, one.path, arrays.inputs, masks, tolerance=TOLERANCE)
        assert result.windows == 19 * 3
        assert 0 < result.largest_difference <= TOLERANCE
        assert result.excluded < result.windows


def test_the_gate_refuses_another_students_file(exported, make_windows):
    arrays = make_windows()
    with pytest.raises(GateError, match="not the trained one"):
        compare(
            exported["ce"].student,
            exported["lsskd"].path,
            arrays.inputs,
            [arrays.presence],
            tolerance=TOLERANCE,
        )


def every_weight(path):
    return [item.name for item in onnx.load(path).graph.initializer if item.name.endswith("weight")]


def perturb(source: Path, target: Path, name: str, value: float) -> None:
    """Add noise to one initialiser; a constant would vanish in the norm that follows."""
    model = onnx.load(source)
    (item,) = [item for item in model.graph.initializer if item.name == name]
    weights = onnx.numpy_helper.to_array(item)
    noise = np.random.default_rng(0).normal(0, 1, weights.shape).astype(np.float32) * np.float32(value)
    item.CopyFrom(onnx.numpy_helper.from_array(weights + noise, name))
    onnx.save(model, target)


def test_the_gate_refuses_a_file_in_which_any_weight_differs(exported, make_windows, tmp_path):
    one, arrays = exported["lsskd"], make_windows()
    names = every_weight(one.path)
    assert len(names) > 10
    for name in names:
        perturb(one.path, tmp_path / "other.onnx", name, 0.05)
        with pytest.raises(GateError, match="not the trained one") as caught:
            compare(
                one.student,
                tmp_path / "other.onnx",
                arrays.inputs,
                presences(arrays.presence),
                tolerance=TOLERANCE,
            )
        assert caught.value.exit_code == 1


def test_the_gate_refuses_outputs_that_are_not_finite(exported, make_windows, tmp_path):
    one, arrays = exported["lsskd"], make_windows()
    perturb(one.path, tmp_path / "other.onnx", every_weight(one.path)[0], float("nan"))
    with pytest.raises(GateError, match="outputs differ by up to nan"):
        compare(one.student, tmp_path / "other.onnx", arrays.inputs, [arrays.presence], tolerance=TOLERANCE)


def test_subsets_hold_each_sensor_alone_and_each_one_missing():
    logged = np.array([[1, 1, 1], [1, 0, 1]], np.float32)
    variants = [variant.tolist() for variant in presences(logged)]
    assert variants[0] == logged.tolist()
    assert variants[1] == [[1, 0, 0], [1, 0, 0]]
    assert variants[6] == [[0, 1, 1], [0, 0, 1]]
    assert len(variants) == 7


@pytest.mark.parametrize(("sensors", "subsets"), [(1, 1), (2, 3), (3, 7), (4, 15), (5, 11), (9, 19)])
def test_up_to_four_sensors_are_compared_in_every_subset(sensors, subsets):
    variants = {tuple(map(tuple, variant)) for variant in presences(np.ones((1, sensors), np.float32))}
    assert len(variants) == subsets
    assert ((0.0,) * sensors,) not in variants
    for left_out in range(sensors if sensors > 1 else 0):
        assert (tuple(float(column != left_out) for column in range(sensors)),) in variants
        assert (tuple(float(column == left_out) for column in range(sensors)),) in variants


def test_what_cannot_be_exported_is_told_with_its_operation(exported, encodings, tmp_path, monkeypatch):
    student = exported["ce"].student

    def awkward(inputs, presence):
        if presence.sum() > 1:
            return presence, presence
        return -presence, presence

    monkeypatch.setattr(student, "forward", awkward)
    with pytest.raises(GateError, match="cannot be exported") as caught:
        export_onnx(student, encodings, tmp_path / "model.onnx")
    assert "frontend or encoder" in str(caught.value)
    assert not (tmp_path / "model.onnx").exists()


class Awkward(nn.Module):
    """A stage of a custom encoder with an operation that ONNX has not, or a decision on samples."""

    def __init__(self, inner, operation):
        super().__init__()
        self.inner, self.operation = inner, operation

    def forward(self, x):
        if self.operation == "special_airy_ai":
            x = torch.special.airy_ai(x)
        elif x.sum() > 0:
            x = -x
        return self.inner(x)


@pytest.mark.parametrize(
    ("operation", "told"),
    [("special_airy_ai", "operation aten.special_airy_ai"), ("branch", "GuardOnDataDependentSymNode")],
)
def test_an_operation_that_does_not_export_is_named_with_its_sensor(
    exported, encodings, tmp_path, operation, told
):
    student = copy.deepcopy(exported["ce"].student)
    stages = student.encoder("camera").stages
    stages["stage1"] = Awkward(stages["stage1"], operation)
    with pytest.raises(GateError, match="cannot be exported to ONNX") as caught:
        export_onnx(student, encodings, tmp_path / "model.onnx")
    assert caught.value.inside == "encoder of 'camera'"
    assert told in str(caught.value)
    assert not (tmp_path / "model.onnx").exists()


def test_constants_have_the_rank_of_what_they_meet(exported):
    """Otherwise onnxruntime walks frames of one channel pixel by pixel."""
    model = onnx.shape_inference.infer_shapes(onnx.load(exported["ce"].path))
    graph = model.graph
    shapes = {
        item.name: len(item.type.tensor_type.shape.dim)
        for item in [*graph.input, *graph.output, *graph.value_info]
    }
    shapes |= {item.name: len(item.dims) for item in graph.initializer}
    numbers = {item.name for item in graph.initializer if np.prod(item.dims) == 1}
    met = [node for node in graph.node if node.op_type in ELEMENTWISE and numbers & set(node.input)]
    assert len(met) > 5
    for node in met:
        assert len({shapes[name] for name in node.input}) == 1, node.name


def test_widening_a_constant_leaves_those_that_meet_it_otherwise_alone(tmp_path):
    node = onnx.helper.make_node
    number = onnx.numpy_helper.from_array(np.float32(3), "three")
    graph = onnx.helper.make_graph(
        [node("Mul", ["frames", "three"], ["a"]), node("Add", ["row", "three"], ["b"])],
        "two ranks",
        [
            onnx.helper.make_tensor_value_info("frames", onnx.TensorProto.FLOAT, ["batch", 4, 1]),
            onnx.helper.make_tensor_value_info("row", onnx.TensorProto.FLOAT, ["batch"]),
        ],
        [
            onnx.helper.make_tensor_value_info("a", onnx.TensorProto.FLOAT, ["batch", 4, 1]),
            onnx.helper.make_tensor_value_info("b", onnx.TensorProto.FLOAT, ["batch"]),
        ],
        [number],
    )
    path = tmp_path / "model.onnx"
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=9)
    onnx.save(model, path)
    tidy(path)
    assert sorted(tuple(item.dims) for item in onnx.load(path).graph.initializer) == [(1,), (1, 1, 1)]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    frames, row = np.arange(8, dtype=np.float32).reshape(2, 4, 1), np.array([1, 2], np.float32)
    found = session.run(["a", "b"], {"frames": frames, "row": row})
    assert np.array_equal(found[0], frames * 3) and np.array_equal(found[1], row + 3)
