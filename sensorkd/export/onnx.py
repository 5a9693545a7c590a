"""Writes a student as ONNX: native samples and presence in, logits and embedding out."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sensorkd.encoding import InputEncoding
from sensorkd.errors import GateError
from sensorkd.export.tidy import tidy
from sensorkd.models.student import Student

__all__ = ["GraphSummary", "export_onnx", "summarise"]

OPSET = 20
# How the exporter writes an operation that it has no translation for.
OPERATION = re.compile(r"(?:torch\.ops\.|op=')((?:\w+\.)+\w+)")


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
        GateError: a part of the model cannot be exported; the operation and the part are named.
    """
    # Two windows, since a size of one would be taken for a constant.
    examples = [torch.from_numpy(e.blank()[None].repeat(2, axis=0)) for e in encodings.values()]
    presence = torch.ones(2, len(encodings))
    batch = torch.export.Dim("batch")
    try:
        program = _program(
            _Positional(student.eval()),
            (*examples, presence),
            input_names=[*encodings, "presence"],
            output_names=["logits", "embedding"],
            dynamic_shapes=((*({0: batch} for _ in examples), {0: batch}),),
        )
        program.save(path, external_data=False)
        tidy(path)
    except Exception as error:
        path.unlink(missing_ok=True)
        part = _part_at_fault(student, dict(zip(encodings, examples, strict=True)))
        raise GateError(
            "the model cannot be exported to ONNX",
            file=path,
            inside=part,
            found=_told(error),
            expected="operations that ONNX has, and no decision that depends on the samples",
            mend="replace it in the adapter's frontend or encoder",
        ) from error


def _program(model: nn.Module, arguments: tuple[Tensor, ...], **options: Any) -> torch.onnx.ONNXProgram:
    """torch's exporter without what it prints."""
    noise, logger = io.StringIO(), logging.getLogger("torch.onnx")
    level = logger.level
    try:
        logger.setLevel(logging.ERROR)
        with warnings.catch_warnings(), contextlib.redirect_stdout(noise), contextlib.redirect_stderr(noise):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                model,
                arguments,
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
                **options,
            )
    finally:
        logger.setLevel(level)
    assert program is not None
    return program


def _part_at_fault(student: Student, examples: Mapping[str, Tensor]) -> str | None:
    """The first frontend or encoder that cannot be exported by itself; None where each of them can."""
    for name in student.modalities:
        frontend, encoder, samples = student.frontends[name], student.encoder(name), examples[name]
        try:
            _program(frontend, (samples,))
        except Exception:  # whatever is raised, this part raises it by itself
            return f"frontend of {name!r}"
        try:
            _program(encoder, (frontend(samples),))
        except Exception:
            return f"encoder of {name!r}"
    return None


def _told(error: BaseException) -> str:
    """The operation that a chain of the exporter's errors names; without one, what its first cause says."""
    first: BaseException = error
    while first.__cause__ is not None:
        first = first.__cause__
        named = OPERATION.search(str(first))
        if named:
            return f"operation {named.group(1).removesuffix('.default')}, for which ONNX has none"
    text = str(first).strip()
    place = re.findall(r'File "[^"]+", line \d+, in \w+', text)
    return " ".join([f"{type(first).__name__}:", *text.splitlines()[:1], *place[-1:]])


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
