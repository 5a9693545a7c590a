"""A model loaded by onnxruntime, or by OpenVINO where that is installed.

Neither is imported before a model is loaded, so that what needs none (help, an update) starts at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sensorkd.errors import BundleError, MissingExtraError

__all__ = ["RUNTIMES", "Runtime", "Session", "open_session"]

Runtime = Literal["onnxruntime", "openvino"]
RUNTIMES: tuple[Runtime, ...] = ("onnxruntime", "openvino")
OUTPUTS = ["logits", "embedding"]

Outputs = tuple[NDArray[np.float32], NDArray[np.float32]]


class Session(ABC):
    """A loaded model. names: of all its inputs and outputs. classes: logits a window."""

    names: frozenset[str]
    classes: int

    @abstractmethod
    def run(self, feed: Mapping[str, NDArray[Any]]) -> Outputs:
        """Native samples by input and presence (W, K) -> logits (W, N), embedding (W, E)."""


def open_session(
    model: bytes, *, runtime: Runtime = "onnxruntime", threads: int = 1, file: object = None
) -> Session:
    """Load a model; `file` is what errors name.

    Raises:
        BundleError: it cannot be loaded, or no such runtime is known.
        MissingExtraError: the runtime is not installed.
    """
    if runtime not in RUNTIMES:
        raise BundleError("no such runtime", found=runtime, expected=list(RUNTIMES))
    kind: type[Session] = _OnnxSession if runtime == "onnxruntime" else _OpenVinoSession
    try:
        return kind(model, threads)  # type: ignore[call-arg]
    except ImportError as error:
        extra = "edge" if runtime == "onnxruntime" else "openvino"
        raise MissingExtraError(
            f"{runtime} is not installed", found=error, mend=f"pip install 'sensorkd[{extra}]'"
        ) from error
    except Exception as error:  # both raise classes of their own, without a common ancestor
        raise BundleError("the model cannot be loaded", file=file, found=error) from error


class _OnnxSession(Session):
    def __init__(self, model: bytes, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        outputs = {item.name: item.shape for item in self._session.get_outputs()}
        self.names = frozenset([*outputs, *(item.name for item in self._session.get_inputs())])
        self.classes = outputs.get("logits", [0])[-1]

    def run(self, feed: Mapping[str, NDArray[Any]]) -> Outputs:
        logits, embedding = self._session.run(OUTPUTS, feed)
        return logits, embedding


class _OpenVinoSession(Session):
    def __init__(self, model: bytes, threads: int) -> None:
        import openvino

        # Left alone it computes in bfloat16 where the processor can, and logits are off by more than 1.
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
        }
        core = openvino.Core()
        compiled = core.compile_model(core.read_model(model), "CPU", settings)
        outputs = {port.any_name: port for port in compiled.outputs}
        self.names = frozenset([*outputs, *(port.any_name for port in compiled.inputs)])
        self.classes = outputs["logits"].partial_shape[-1].get_length() if "logits" in outputs else 0
        self._widths = [port.partial_shape[-1].get_length() for port in compiled.outputs]
        self._order = [list(outputs).index(name) for name in OUTPUTS if name in outputs]
        self._request = compiled.create_infer_request()

    def run(self, feed: Mapping[str, NDArray[Any]]) -> Outputs:
        if not len(feed["presence"]):
            logits, embedding = (np.zeros((0, self._widths[place]), np.float32) for place in self._order)
            return logits, embedding
        self._request.infer(
            {name: np.ascontiguousarray(values) for name, values in feed.items()}, share_inputs=True
        )
        # Copies: the next run writes into the same memory.
        logits, embedding = (np.array(self._request.get_output_tensor(place).data) for place in self._order)
        return logits, embedding
