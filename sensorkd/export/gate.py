"""The gate: what was trained is what runs, on held-out windows of every sensor subset."""

from __future__ import annotations

import itertools
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

__all__ = ["Comparison", "compare", "presences"]

MARGIN = 1e-4
# Of more sensors than this there are too many subsets to compare them all.
MOST_SENSORS = 4
# Video of more windows at once falls out of the processor's cache and takes three times as long.
CHUNK = 8


@dataclass(frozen=True)
class Comparison:
    """windows compared; excluded: those whose top two logits differ by at most 1e-4, where a verdict
    means nothing. largest_difference: of any logit or embedding value.
    """

    windows: int
    excluded: int
    largest_difference: float
    tolerance: float


def presences(presence: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Presence (W, K) under every subset of the sensors: as logged, each one alone, then larger ones.

    Of more than four sensors only those alone, those with one missing, and all.
    """
    count = presence.shape[1]
    sizes = range(1, count) if count <= MOST_SENSORS else (1, count - 1)
    subsets = [subset for size in sizes for subset in itertools.combinations(range(count), size)]
    return [presence, *(presence * np.isin(np.arange(count), subset) for subset in subsets)]


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
    worst, excluded, total = 0.0, 0, 0
    student.eval()
    for presence in presences:
        expected, found = _both(student, session, inputs, presence)
        logits = expected[0]
        difference = max(float(np.abs(b - a).max()) for a, b in zip(expected, found, strict=True))
        ranked = np.sort(logits, axis=1)
        clear = ranked[:, -1] - ranked[:, -2] > MARGIN
        changed = (found[0].argmax(axis=1) != logits.argmax(axis=1)) & clear
        if not difference <= tolerance or changed.any():
            raise GateError(
                "the exported model is not the trained one",
                file=model,
                inside="windows with " + ("+".join(_present(inputs, presence)) or "nothing"),
                found=f"outputs differ by up to {difference:.3g}, {int(changed.sum())} verdicts differ",
                expected=f"at most {tolerance:.3g}, and the same verdicts",
                mend="nothing was written; look for an operation that exports differently in a custom "
                "frontend or encoder",
            )
        worst, excluded, total = max(worst, difference), excluded + int((~clear).sum()), total + len(logits)
    return Comparison(total, excluded, worst, tolerance)


def _present(inputs: Mapping[str, Any], presence: NDArray[np.float32]) -> list[str]:
    return [name for column, name in enumerate(inputs) if presence[:, column].any()]


def _both(
    student: Student,
    session: onnxruntime.InferenceSession,
    inputs: Mapping[str, NDArray[Any]],
    presence: NDArray[np.float32],
) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
    """Logits and embedding by the student, and by the exported model."""
    expected, found = [], []
    for start in range(0, len(presence), CHUNK):
        some = {name: values[start : start + CHUNK] for name, values in inputs.items()}
        here = presence[start : start + CHUNK]
        with torch.inference_mode():
            outputs = student({name: torch.from_numpy(x) for name, x in some.items()}, torch.from_numpy(here))
        expected.append([output.numpy() for output in outputs])
        found.append(session.run(["logits", "embedding"], {**some, "presence": here}))
    return _joined(expected), _joined(found)


def _joined(chunks: Sequence[Sequence[NDArray[np.float32]]]) -> list[NDArray[np.float32]]:
    return [np.concatenate(parts) for parts in zip(*chunks, strict=True)]
