"""Exports a run as an edge bundle, or refuses."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sensorkd._version import __version__
from sensorkd.edge.bundle import CARD, DESCRIPTION, GOLDEN, MODEL, BundleDescription, EdgeBundle, sha256_of
from sensorkd.errors import BundleError
from sensorkd.export.card import model_card
from sensorkd.export.gate import Comparison, compare
from sensorkd.export.onnx import export_onnx
from sensorkd.models.cost import cost_of
from sensorkd.models.student import Student
from sensorkd.runs.build import example_inputs
from sensorkd.runs.data import plan_run
from sensorkd.runs.run import Run
from sensorkd.windows.failures import Failures
from sensorkd.windows.read import WindowArrays, read_readable

__all__ = ["export_run"]

# float32 sums in another order differ by about 1e-6 of the largest term; logits are of order 10.
TOLERANCE = 1e-4
GATE_WINDOWS = 64
GOLDEN_WINDOWS = 8


def export_run(run: Run, folder: str | Path, *, extra: Mapping[str, Any] | None = None) -> Comparison:
    """Strip, export, compare on held-out windows, and seal; nothing appears unless all of it succeeds.

    The windows are of the run's test groups, else of dev, else of train: they decide nothing, they
    only have to be real.

    Raises:
        GateError: the exported model differs from the trained one.
        BundleError: the folder exists.
    """
    folder = Path(folder)
    if folder.exists():
        raise BundleError(
            "the folder exists already", file=folder, mend="name a new one; none is overwritten"
        )
    student, arrays = run.student(), held_out_windows(run)
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    part.mkdir(parents=True)
    try:
        export_onnx(student, run.encodings, part / MODEL)
        comparison = compare(
            student, part / MODEL, arrays.inputs, presences(arrays.presence), tolerance=TOLERANCE
        )
        _write_golden(student, arrays, part / GOLDEN)
        description = _describe(run, student, part, extra or {})
        card = model_card(description, comparison, (part / MODEL).stat().st_size, run.groups)
        (part / CARD).write_text(card, encoding="utf-8")
        (part / DESCRIPTION).write_text(json.dumps(description.to_json(), indent=1), encoding="utf-8")
        EdgeBundle.open(part)
        part.replace(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return comparison


def held_out_windows(run: Run, limit: int = GATE_WINDOWS) -> WindowArrays:
    """Up to `limit` windows spread evenly over the first of test, dev and train that has any."""
    planned = plan_run(run.config)
    for side in ("test", "dev", "train"):
        rows = planned.split.rows(planned.groups, side)
        if len(rows):
            break
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(limit, len(rows))).astype(int))]
    plan = planned.plan.select(rows)
    # A file that cannot be read any more must not stop an export.
    return read_readable(planned.recordings, plan, run.encodings, failures=Failures())[0]


def presences(presence: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """What was there; then each sensor alone and each one missing, where others remain."""
    masks = np.eye(presence.shape[1], dtype=np.float32)
    variants = [presence, *(presence * mask for mask in masks)]
    if presence.shape[1] > 2:
        variants += [presence * (1 - mask) for mask in masks]
    return variants


def _write_golden(student: Student, arrays: WindowArrays, path: Path) -> None:
    rows = np.unique(np.linspace(0, len(arrays) - 1, min(GOLDEN_WINDOWS, len(arrays))).astype(int))
    variants: Sequence[NDArray[np.float32]] = presences(arrays.presence[rows])
    presence = np.concatenate(variants)
    inputs = {name: np.concatenate([values[rows]] * len(variants)) for name, values in arrays.inputs.items()}
    with torch.inference_mode():
        logits, embedding = student(
            {name: torch.from_numpy(values) for name, values in inputs.items()}, torch.from_numpy(presence)
        )
    stored: dict[str, Any] = {f"input.{name}": values for name, values in inputs.items()}
    stored |= {"presence": presence, "logits": logits.numpy(), "embedding": embedding.numpy()}
    with path.open("wb") as handle:
        np.savez_compressed(handle, **stored)


def _describe(run: Run, student: Student, part: Path, extra: Mapping[str, Any]) -> BundleDescription:
    cost = cost_of(student, example_inputs(run.encodings))
    return BundleDescription(
        sensorkd=__version__,
        target=run.config.target,
        classes=run.classes,
        inputs=dict(run.encodings),
        hop=run.config.windows.hop,
        segment_of=run.config.windows.segment_of,
        embedding=student.classifier.in_features,
        tolerance=TOLERANCE,
        parameters=cost.parameters,
        macs=cost.macs,
        files={name: sha256_of(part / name) for name in (MODEL, GOLDEN)},
        extra={"method": dataclasses.asdict(run.config.method.method()), **extra},
    )
