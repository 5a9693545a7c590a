"""Writes a model in int8: static, per channel, as pairs of quantise and dequantise (QDQ).

Only layers with weights are touched. What comes before them (units, NaN and range repair, normalisation, a
spectrum) stays in float, so that what is judged unusable is the same in both precisions. Dynamic quantisation
and integer operators of signed activations run many times slower than float, and are not on offer.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd.export.tidy import tidy

__all__ = ["Layer", "Quantizer", "layers_of"]

# A sum over so few channels is too short for integers to pay, and what it sees are samples, not features.
FEWEST_CHANNELS = 8
# Carried along in integers between two layers that compute in them.
BETWEEN = ("Relu", "Reshape", "Transpose")
CHUNK = 8
PERCENTILE, BINS = 99.99, 2048


@dataclass(frozen=True)
class Layer:
    """node: its name in the graph. name: of its weights in the student."""

    node: str
    name: str
    operation: str


def layers_of(model: Path, trained: Collection[str]) -> list[Layer]:
    """The layers of an exported student that can compute in integers, in order.

    Args:
        trained: names of its parameters; constants of the graph, such as a Fourier transform's, are none.
    """
    import onnx

    graph = onnx.load(model).graph
    channels = {item.name: item.dims[1] for item in graph.initializer if len(item.dims) > 1}
    found = []
    for node in graph.node:
        name = node.input[1].removeprefix("student.") if len(node.input) > 1 else ""
        if node.op_type not in ("Conv", "Gemm") or name not in trained or node.input[1] not in channels:
            continue
        groups = next((item.i for item in node.attribute if item.name == "group"), 1)
        if node.op_type == "Gemm" or channels[node.input[1]] * groups >= FEWEST_CHANNELS:
            found.append(Layer(node.name, name.removesuffix(".weight"), node.op_type))
    return found


class Quantizer:
    """Knows the range of every value of a model, and writes it with some of its layers in int8.

    A range is that of all but a ten-thousandth of the values at either end: a single window of a machine
    that is falling apart would otherwise make the steps of all others coarse.
    """

    def __init__(
        self, model: Path, inputs: Mapping[str, NDArray[Any]], presence: NDArray[np.float32]
    ) -> None:
        """Run the model on the windows that give the ranges, with presence (W, K) as it is then used."""
        from onnxruntime.quantization import CalibrationMethod, create_calibrator

        self._model = model
        with tempfile.TemporaryDirectory() as folder, _quiet():
            calibrator = create_calibrator(
                model,
                ["Conv", "Gemm", *BETWEEN],
                augmented_model_path=str(Path(folder) / "ranges.onnx"),
                calibrate_method=CalibrationMethod.Percentile,
                extra_options={"percentile": PERCENTILE, "num_bins": BINS},
            )
            for start in range(0, len(presence), CHUNK):
                part = slice(start, start + CHUNK)
                some = {name: values[part] for name, values in inputs.items()}
                # All values of a call are held at once, so a call is given little.
                calibrator.collect_data(_Once({**some, "presence": presence[part]}))
            self._ranges = calibrator.compute_data()

    def write(self, target: Path, layers: Sequence[Layer]) -> None:
        """Write the model with these layers in int8.

        Weights are of 7 bits: pairs of products then fit into 16, and processors without instructions for
        8-bit products come to the same verdicts as those with them.
        """
        import onnx
        from onnxruntime.quantization import QDQQuantizer, QuantType
        from onnxruntime.quantization.quant_utils import load_model_with_shape_infer

        with _quiet():
            model = load_model_with_shape_infer(self._model)
            between = [node.name for node in model.graph.node if node.op_type in BETWEEN]
            quantizer = QDQQuantizer(
                model,
                per_channel=True,
                reduce_range=True,
                weight_qType=QuantType.QInt8,
                activation_qType=QuantType.QUInt8,
                tensors_range=self._ranges,
                nodes_to_quantize=[*between, *(layer.node for layer in layers)],
                nodes_to_exclude=[],
                op_types_to_quantize=["Conv", "Gemm", *BETWEEN],
                # What a linear layer says is added up with the others' in float.
                extra_options={"OpTypesToExcludeOutputQuantization": ["Gemm"]},
            )
            quantizer.quantize_model()
            quantizer.model.topological_sort()
            onnx.save(quantizer.model.model, target)
        tidy(target)


class _Once:
    """A reader of windows, as onnxruntime's calibration wants one, that holds a single batch."""

    def __init__(self, feed: dict[str, NDArray[Any]]) -> None:
        self._feeds = iter([feed])

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """The batch, then nothing."""
        return next(self._feeds, None)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what calibration prints, and advice to simplify a graph that is simple already."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        root.setLevel(level)
