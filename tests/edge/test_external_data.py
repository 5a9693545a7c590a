"""Weights outside of a model are found wherever ONNX lets them be."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from sensorkd.edge import EdgeBundle, EdgePredictor
from sensorkd.edge.external_data import external_tensors
from sensorkd.errors import BundleError


def outside(name="w", location="../secret.bin"):
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    return tensor


def graph(*nodes, initializers=(), sparse=()):
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])
    made = helper.make_graph(list(nodes), "g", [], [y], list(initializers))
    made.sparse_initializer.extend(sparse)
    return made


def branch(tensor):
    return helper.make_node("If", ["c"], ["y"], then_branch=graph(initializers=[tensor]), else_branch=graph())


def hidden():
    """Where a tensor may be -> a model with one that lies outside."""
    tensor = outside()
    sparse = onnx.SparseTensorProto(values=tensor, dims=[9])
    function = helper.make_function(
        "d", "f", [], ["y"], [helper.make_node("Constant", [], ["y"], value=tensor)], []
    )
    within = {
        "initializer": graph(initializers=[tensor]),
        "constant": graph(helper.make_node("Constant", [], ["y"], value=tensor)),
        "sparse": graph(sparse=[sparse]),
        "branch": graph(branch(tensor)),
        "branch in a branch": graph(
            helper.make_node("If", ["c"], ["y"], then_branch=graph(branch(tensor)), else_branch=graph())
        ),
    }
    models = {name: helper.make_model(item) for name, item in within.items()}
    models["function"] = helper.make_model(graph(), functions=[function])
    training = helper.make_model(graph())
    training.training_info.add().initialization.CopyFrom(graph(initializers=[tensor]))
    return {**models, "training": training}


@pytest.mark.parametrize("place", list(hidden()))
def test_a_tensor_outside_is_found(place):
    assert external_tensors(hidden()[place].SerializeToString()) == ["w"]


def test_a_model_that_holds_its_weights_has_none(bundle_folder):
    assert external_tensors((bundle_folder / "model.onnx").read_bytes()) == []
    inside = numpy_helper.from_array(np.ones(4, np.float32), "w")
    assert external_tensors(helper.make_model(graph(initializers=[inside])).SerializeToString()) == []


def test_a_reference_without_its_mark_is_found_too():
    """`data_location` left at its default: a lax reader would follow the reference all the same."""
    tensor = outside()
    tensor.ClearField("data_location")
    assert external_tensors(helper.make_model(graph(initializers=[tensor])).SerializeToString()) == ["w"]


@pytest.mark.parametrize("content", [b"\xff" * 12, b"\x3a\xff\xff\x03", b"\x0b", b"\x3a\x85"])
def test_what_is_no_protocol_buffer_is_told(content):
    with pytest.raises(ValueError, match=r"bits|bytes|cut off|wire type"):
        external_tensors(content)


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/hostname", "link.bin", "beside.bin"])
def test_fault_44_a_bundle_whose_model_reads_other_files_is_refused(
    bundle_folder, redescribe, location, tmp_path
):
    np.ones(6, np.float32).tofile(bundle_folder / "beside.bin")
    np.ones(6, np.float32).tofile(tmp_path / "secret.bin")
    (bundle_folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    model = onnx.load(bundle_folder / "model.onnx")
    (weights,) = [item for item in model.graph.initializer if item.name == "weights"]
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    entry = weights.external_data.add()
    entry.key, entry.value = "location", location
    (bundle_folder / "model.onnx").write_bytes(model.SerializeToString())
    redescribe()
    with pytest.raises(BundleError, match="keeps weights in other files") as caught:
        EdgePredictor(EdgeBundle.open(bundle_folder))
    assert "'weights'" in str(caught.value)
