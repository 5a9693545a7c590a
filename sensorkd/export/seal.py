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

from sensorkd._version import __version__
from sensorkd.alarms import AlarmRule
from sensorkd.edge.bundle import (
    CARD,
    DESCRIPTION,
    GOLDEN,
    INT8,
    MODEL,
    STATISTICS,
    BundleDescription,
    EdgeBundle,
    sha256_of,
)
from sensorkd.edge.precision import Int8Model
from sensorkd.edge.runtime import open_session
from sensorkd.edge.unknown_rule import UNKNOWN_RATE
from sensorkd.encoding import InputEncoding
from sensorkd.errors import BundleError
from sensorkd.export.calibration import Calibration, calibration_of, spread
from sensorkd.export.card import model_card
from sensorkd.export.gate import Comparison, compare, presences
from sensorkd.export.int8_gate import Int8Gate, Judgement
from sensorkd.export.onnx import export_onnx
from sensorkd.export.quantize import Layer, Quantizer, layers_of
from sensorkd.export.sensitivity import write_int8
from sensorkd.export.statistics import write_statistics
from sensorkd.export.subset import student_for, windows_of
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
FILES = (MODEL, INT8, GOLDEN, STATISTICS)
GOLDEN_WINDOWS, GOLDEN_OF_SUBSET = 8, 2


def export_run(
    run: Run,
    folder: str | Path,
    *,
    sensors: Sequence[str] | None = None,
    int8: bool = False,
    alarm: AlarmRule | None = None,
    unknown_rate: float = UNKNOWN_RATE,
    extra: Mapping[str, Any] | None = None,
) -> Comparison:
    """Strip, export, compare on held-out windows, and seal; nothing appears unless all of it succeeds.

    The windows are of the run's test groups, else of dev, else of train: they decide nothing, they
    only have to be real.

    Args:
        sensors: of the run's inputs; the bundle is then smaller, and says what the whole one says with the
            others absent.
        int8: add the model in int8 as well; see `calibration_of` for the windows that decide on it.
        alarm: when the device raises one; default the rule of the configuration. `alarm_rule_of` chooses its
            threshold on the dev groups.
        unknown_rate: of windows like those of the dev groups, how many may be called unknown.

    Raises:
        GateError: the exported model differs from the trained one, or int8 loses too much.
        ConfigError: no such sensors.
        BundleError: the folder exists.
    """
    folder = Path(folder)
    if folder.exists():
        raise BundleError(
            "the folder exists already", file=folder, mend="name a new one; none is overwritten"
        )
    student, encodings = student_for(run, sensors)
    arrays = windows_of(held_out_windows(run), student.modalities)
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    part.mkdir(parents=True)
    try:
        export_onnx(student, encodings, part / MODEL)
        comparison = compare(
            student, part / MODEL, arrays.inputs, presences(arrays.presence), tolerance=TOLERANCE
        )
        found = _add_int8(run, student, part) if int8 else None
        largest = _write_golden(student, arrays, part)
        unknown = write_statistics(run, student, part / STATISTICS, rate=unknown_rate)
        description = _describe(run, student, encodings, part, extra or {})
        if alarm is None and run.config.alarm is not None:
            alarm = run.config.alarm.rule()
        description = dataclasses.replace(description, alarm=alarm, unknown=unknown)
        if found is not None:
            description = dataclasses.replace(description, int8=_int8_of(*found, largest))
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
    planned = plan_run(run.config, split=run.split)
    for side in ("test", "dev", "train"):
        rows = planned.split.rows(planned.groups, side)
        if len(rows):
            break
    plan = planned.plan.select(spread(rows, limit))
    # A file that cannot be read any more must not stop an export.
    return read_readable(planned.recordings, plan, run.encodings, failures=Failures())[0]


def _add_int8(run: Run, student: Student, part: Path) -> tuple[Calibration, int, list[Layer], Judgement]:
    """Write `model.int8.onnx`; the windows that decided, layers in it, those left in float, the judgement."""
    windows = calibration_of(run)
    ranges, judged = (windows_of(item, student.modalities) for item in (windows.ranges, windows.judged))
    # Every subset gives ranges, each by other windows: fusion is scaled by how many sensors there are.
    variants = presences(ranges.presence)
    turn = np.arange(len(ranges)) % len(variants)
    seen = np.stack([variants[number][row] for row, number in enumerate(turn.tolist())])
    quantizer = Quantizer(part / MODEL, ranges.inputs, seen)
    gate = Int8Gate(part / MODEL, judged.inputs, presences(judged.presence), windows.labels)
    layers = layers_of(part / MODEL, {name for name, _ in student.named_parameters()})
    left_out, judgement = write_int8(quantizer, gate, layers, part / INT8)
    return windows, len(layers) - len(left_out), left_out, judgement


def _int8_of(
    windows: Calibration, layers: int, left_out: Sequence[Layer], judgement: Judgement, moved: float
) -> Int8Model:
    """moved: how far quantisation moved any golden logit; a device may round otherwise by half of that."""
    return Int8Model(
        tolerance=max(TOLERANCE, moved / 2),
        layers=layers,
        float_layers=tuple(layer.name for layer in left_out),
        calibrated=len(windows.ranges),
        judged=judgement.windows,
        side=windows.side,
        fp32=judgement.fp32,
        int8=judgement.int8,
        divergence=judgement.divergence,
    )


def _write_golden(student: Student, arrays: WindowArrays, part: Path) -> float:
    """Windows with all that was there, then a few under every subset; how far int8 is from float on them."""
    rows = spread(np.arange(len(arrays)), GOLDEN_WINDOWS)
    first, *others = presences(arrays.presence[rows])
    some = [
        np.arange(GOLDEN_OF_SUBSET * n, GOLDEN_OF_SUBSET * (n + 1)) % len(rows) for n in range(len(others))
    ]
    presence = np.concatenate([first, *(here[few] for here, few in zip(others, some, strict=True))])
    chosen = np.concatenate([rows, *(rows[few] for few in some)])
    inputs = {name: values[chosen] for name, values in arrays.inputs.items()}
    with torch.inference_mode():
        logits, embedding = student(
            {name: torch.from_numpy(values) for name, values in inputs.items()}, torch.from_numpy(presence)
        )
    stored: dict[str, Any] = {f"input.{name}": values for name, values in inputs.items()}
    stored |= {"presence": presence, "logits": logits.numpy(), "embedding": embedding.numpy()}
    if (part / INT8).exists():
        session = open_session((part / INT8).read_bytes(), file=part / INT8)
        stored["logits.int8"] = session.run({**inputs, "presence": presence})[0]
    with (part / GOLDEN).open("wb") as handle:
        np.savez_compressed(handle, **stored)
    return float(np.abs(stored.get("logits.int8", stored["logits"]) - stored["logits"]).max())


def _describe(
    run: Run,
    student: Student,
    encodings: Mapping[str, InputEncoding],
    part: Path,
    extra: Mapping[str, Any],
) -> BundleDescription:
    cost = cost_of(student, example_inputs(encodings))
    return BundleDescription(
        sensorkd=__version__,
        target=run.config.target,
        classes=run.classes,
        inputs=dict(encodings),
        hop=run.config.windows.hop,
        segment_of=run.config.windows.segment_of,
        embedding=student.classifier.in_features,
        tolerance=TOLERANCE,
        parameters=cost.parameters,
        macs=cost.macs,
        files={name: sha256_of(part / name) for name in FILES if (part / name).exists()},
        extra={"method": dataclasses.asdict(run.config.method.method()), **extra},
    )
