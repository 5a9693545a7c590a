"""Writes a student as ONNX: native samples and presence in, logits and embedding out."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from sensorkd.encoding import InputEncoding
from sensorkd.errors import GateError
from sensorkd.export.tidy import tidy
from sensorkd.models.student import Student

__all__ = ["GraphSummary", "export_onnx", "summarise"]

OPSET = 20


class _Positional(nn.Module):
    """The exporter names graph inputs by position, so the dictionary is opened up here."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

    def forward(self, *arguments: Tensor) -> tuple[Tensor, Tensor]:
        inputs = dict(zip(self.student.modalities, arguments[:-1], strict=True))
        logits, embedding = self.student(inputs, arguments[-1])
        return logits, embedding


def export_onnx(student: Student, encodings: Mapping[str, InputEncoding], path: Path) -> None:
    """Write the graph with a free batch size, weights inside the file.

    Raises:
        GateError: a part of the model cannot be exported; the operation is named.
    """
    # Two windows, since a size of one would be taken for a constant.
    examples = [torch.from_numpy(e.blank()[None].repeat(2, axis=0)) for e in encodings.values()]
    presence = torch.ones(2, len(encodings))
    batch = torch.export.Dim("batch")
    noise = io.StringIO()
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    try:
        logger.setLevel(logging.ERROR)
        with warnings.catch_warnings(), contextlib.redirect_stdout(noise), contextlib.redirect_stderr(noise):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                _Positional(student.eval()),
                (*examples, presence),
                input_names=[*encodings, "presence"],
                output_names=["logits", "embedding"],
                opset_version=OPSET,
                dynamo=True,
                dynamic_shapes=((*({0: batch} for _ in examples), {0: batch}),),
                external_data=False,
                verbose=False,
            )
            assert program is not None
            program.save(path, external_data=False)
        tidy(path)
    except Exception as error:
        raise GateError(
            "the model cannot be exported to ONNX",
            file=path,
            found=str(error).strip()[-800:],
            mend="replace the operation it names in the adapter's frontend or encoder",
        ) from error
    finally:
        logger.setLevel(level)


class GraphSummary(dict[str, object]):
    """What of an ONNX file must not depend on how the student was trained."""


def summarise(path: Path) -> GraphSummary:
    """Operations in order, initialiser names and shapes, inputs, outputs, and bytes of an ONNX file."""
    import onnx

    graph = onnx.load(path).graph
    return GraphSummary(
        operations=[node.op_type for node in graph.node],
        initialisers=sorted((item.name, tuple(item.dims), item.data_type) for item in graph.initializer),
        inputs=[item.name for item in graph.input],
        outputs=[item.name for item in graph.output],
        bytes=path.stat().st_size,
    )
