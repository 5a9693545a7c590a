"""What a student costs on a device: size and latency, measured where it is exported."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sensorkd.edge.runtime import open_session
from sensorkd.export.onnx import export_onnx
from sensorkd.export.subset import student_for
from sensorkd.models.cost import cost_of
from sensorkd.models.student import Student
from sensorkd.runs.build import example_inputs
from sensorkd.runs.run import Run

__all__ = ["Footprint", "footprint_of", "torch_latency"]

REPEATS, WARM = 60, 10


@dataclass(frozen=True)
class Footprint:
    """macs: multiply-accumulates of one window. onnx_bytes: of the file that ships. Latencies: ms for one
    window on one thread of this computer.
    """

    parameters: int
    macs: int
    onnx_bytes: int
    torch_p50_ms: float
    onnx_p50_ms: float
    onnx_p99_ms: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return dataclasses.asdict(self)


def footprint_of(run: Run, sensors: Sequence[str] | None = None) -> Footprint:
    """Export a run's student to a temporary file, and measure both.

    Args:
        sensors: measure the smaller student for some of the run's inputs.

    Raises:
        GateError: the student cannot be exported.
        ConfigError: there can be none for these sensors, see `student_for`.
    """
    student, encodings = student_for(run, sensors)
    cost = cost_of(student, example_inputs(encodings))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_onnx(student, encodings, path)
        size, model = path.stat().st_size, path.read_bytes()
    session = open_session(model)
    feed: dict[str, Any] = {name: encoding.blank()[None] for name, encoding in encodings.items()}
    feed["presence"] = np.ones((1, len(encodings)), np.float32)
    times = _times(lambda: session.run(feed))
    return Footprint(
        parameters=cost.parameters,
        macs=cost.macs,
        onnx_bytes=size,
        torch_p50_ms=torch_latency(student, example_inputs(encodings)),
        onnx_p50_ms=float(np.percentile(times, 50)),
        onnx_p99_ms=float(np.percentile(times, 99)),
    )


def torch_latency(student: Student, example: dict[str, torch.Tensor]) -> float:
    """Median ms of one window in torch, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            times = _times(lambda: student(example, torch.ones(1, len(example))))
    finally:
        torch.set_num_threads(threads)
    return float(np.percentile(times, 50))


def _times(act: Callable[[], object]) -> list[float]:
    times = []
    for _ in range(WARM + REPEATS):
        started = time.perf_counter()
        act()
        times.append((time.perf_counter() - started) * 1e3)
    return times[WARM:]
