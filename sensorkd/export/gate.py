"""The gate: what was trained is what runs, on held-out windows of every sensor subset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from sensorkd.errors import GateError
from sensorkd.models.student import Student

__all__ = ["Comparison", "compare"]

MARGIN = 1e-4


@dataclass(frozen=True)
class Comparison:
    """windows compared; excluded: those whose top two logits differ by at most 1e-4, where a verdict
    means nothing. largest_difference: of any logit or embedding value.
    """

    windows: int
    excluded: int
    largest_difference: float
    tolerance: float


def compare(
    student: Student,
    model: Path,
    inputs: Mapping[str, NDArray[Any]],
    presences: Sequence[NDArray[np.float32]],
    *,
    tolerance: float,
) -> Comparison:
    """Run student and exported model on the same windows, under each presence (W, K).

    Raises:
        GateError: any output differs by more than `tolerance`, or a clear verdict differs.
    """
    session = onnxruntime.InferenceSession(model.read_bytes(), providers=["CPUExecutionProvider"])
    tensors = {name: torch.from_numpy(values) for name, values in inputs.items()}
    worst, excluded, total = 0.0, 0, 0
    student.eval()
    for presence in presences:
        with torch.inference_mode():
            logits, embedding = (value.numpy() for value in student(tensors, torch.from_numpy(presence)))
        found = session.run(["logits", "embedding"], {**inputs, "presence": presence})
        difference = max(float(np.abs(found[0] - logits).max()), float(np.abs(found[1] - embedding).max()))
        ranked = np.sort(logits, axis=1)
        clear = ranked[:, -1] - ranked[:, -2] > MARGIN
        changed = (found[0].argmax(axis=1) != logits.argmax(axis=1)) & clear
        if not difference <= tolerance or changed.any():
            raise GateError(
                "the exported model is not the trained one",
                file=model,
                found=f"outputs differ by up to {difference:.3g}, {int(changed.sum())} verdicts differ",
                expected=f"at most {tolerance:.3g}, and the same verdicts",
                mend="nothing was written; look for an operation that exports differently in a custom "
                "frontend or encoder",
            )
        worst, excluded, total = max(worst, difference), excluded + int((~clear).sum()), total + len(logits)
    return Comparison(total, excluded, worst, tolerance)
