"""Constants of one number get as many axes as what they meet, under names that nothing else has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from sensorkd.export.tidy import tidy


def test_a_wider_constant_takes_no_name_that_is_there(tmp_path: Path) -> None:
    """`one` of three axes would be `one_3`; an exporter numbers its constants just so."""
    values = {"one": np.full((1,), 2.0, np.float32), "one_3": np.full((1, 1), 3.0, np.float32)}
    nodes = [
        helper.make_node("Mul", ["x", "one"], ["doubled"]),
        helper.make_node("Add", ["y", "one_3"], ["one_2"]),
        helper.make_node("Mul", ["one_2", "one"], ["moved"]),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3, 4]),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3]),
        ],
        [
            helper.make_tensor_value_info("doubled", TensorProto.FLOAT, [2, 3, 4]),
            helper.make_tensor_value_info("moved", TensorProto.FLOAT, [2, 3]),
        ],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    tidy(path)
    tidied = onnx.load(path)
    onnx.checker.check_model(tidied, full_check=True)
    shapes = {item.name: tuple(item.dims) for item in tidied.graph.initializer}
    assert sorted(shapes.values()) == [(1, 1), (1, 1), (1, 1, 1)]
    x, y = np.ones((2, 3, 4), np.float32), np.ones((2, 3), np.float32)
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    doubled, moved = session.run(None, {"x": x, "y": y})
    assert (doubled == 2.0).all() and (moved == 8.0).all()
