"""Makes an exported graph small and quick without changing a single number of what it computes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["tidy"]

# Element by element, with operands that are brought to one shape.
ELEMENTWISE = frozenset(
    {"Add", "Sub", "Mul", "Div", "Pow", "Min", "Max", "Mod", "Where", "Equal", "Greater", "Less"}
    | {"GreaterOrEqual", "LessOrEqual"}
)


def tidy(path: Path) -> None:
    """Rewrite a file in place: nothing that only served debugging, and constants of full rank."""
    import onnx

    model = onnx.load(path)
    _widen_constants(model)
    _strip(model)
    onnx.save(model, path)


def _strip(model: Any) -> None:
    """Take out stack traces with this computer's paths, a fifth of the file."""
    nodes = [*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output]
    for item in [*nodes, *model.graph.initializer, model.graph, model]:
        del item.metadata_props[:]
        item.doc_string = ""


def _widen_constants(model: Any) -> None:
    """Give constants of one number as many axes as what they meet.

    onnxruntime walks along the last axis that both operands share. Next to frames of one channel,
    (T, H, W, 1), a number without axes is met one pixel at a time: 80 times slower than one of shape
    (1, 1, 1, 1).
    """
    from onnx import numpy_helper

    ranks = _ranks(model)
    constants = {item.name: item for item in model.graph.initializer}
    taken = set(constants) | {name for node in model.graph.node for name in node.output}
    widened: dict[tuple[str, int], str] = {}
    for node in model.graph.node:
        if node.op_type not in ELEMENTWISE:
            continue
        wanted = max((ranks.get(name, 0) for name in node.input), default=0)
        for place, name in enumerate(node.input):
            item = constants.get(name)
            if item is None or len(item.dims) >= wanted or any(size != 1 for size in item.dims):
                continue
            if (name, wanted) not in widened:
                wide = f"{name}_{wanted}"
                while wide in taken:
                    wide += "_"
                taken.add(wide)
                value = numpy_helper.to_array(item).reshape((1,) * wanted)
                model.graph.initializer.append(numpy_helper.from_array(value, wide))
                widened[name, wanted] = wide
            node.input[place] = widened[name, wanted]
    used = {name for node in model.graph.node for name in node.input}
    kept = [item for item in model.graph.initializer if item.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


def _ranks(model: Any) -> Mapping[str, int]:
    """Axes of every value whose shape can be told."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(model).graph
    known = {
        item.name: len(item.type.tensor_type.shape.dim)
        for item in [*graph.input, *graph.output, *graph.value_info]
        if item.type.tensor_type.HasField("shape")
    }
    return known | {item.name: len(item.dims) for item in graph.initializer}
