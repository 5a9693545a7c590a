"""Judges windows that `sensorkd windows` wrote, an .npz, into a table."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sensorkd.alarms import alarms_of
from sensorkd.edge.bundle import load_arrays
from sensorkd.edge.predictor import EdgePredictor
from sensorkd.errors import BundleError

__all__ = ["load_windows", "predict_file"]


def predict_file(predictor: EdgePredictor, windows: Path, out: Path | None) -> None:
    """One row a window; where the file holds `t_ref` and `recording`, alarms go by them. out: None for
    CSV on standard output.

    Raises:
        BundleError: these are no windows of the bundle.
    """
    arrays = load_windows(windows)
    inputs = {name[len("input.") :]: values for name, values in arrays.items() if name.startswith("input.")}
    found = predictor.predict(inputs, arrays.get("presence"))
    rows = found.rows()
    known = [name for name in ("t_ref", "recording") if name in arrays]
    for name in known:
        if len(arrays[name]) != len(rows):
            raise BundleError(
                f"{name!r} is not of these windows",
                file=windows,
                found=f"{len(arrays[name])} values",
                expected=f"{len(rows)}, one a window",
            )
    rule = predictor.bundle.description.alarm
    if rule is not None:
        recording = arrays.get("recording", np.zeros(len(rows), np.int64))
        t_ref = arrays.get("t_ref", np.arange(len(rows)))
        active = alarms_of(found.scores(rule), rule, recording=recording, t_ref=t_ref)
        rows = [_with_alarm(row, alarm) for row, alarm in zip(rows, active.tolist(), strict=True)]
    for name in known:
        rows = [{name: value, **row} for row, value in zip(rows, arrays[name].tolist(), strict=True)]
    if out is None:
        _write_csv(rows, sys.stdout)
        return
    with out.open("w", newline="", encoding="utf-8") as handle:
        if out.suffix == ".jsonl":
            handle.writelines(json.dumps(row) + "\n" for row in rows)
        else:
            _write_csv(rows, handle)


def load_windows(path: Path) -> dict[str, Any]:
    """Arrays of an .npz, never a pickle.

    Raises:
        BundleError: it is none, or holds no input.
    """
    loaded = load_arrays(path, mend="write it with `sensorkd windows`")
    if not any(name.startswith("input.") for name in loaded):
        raise BundleError("no windows in this file", file=path, found=sorted(loaded), expected="input.<name>")
    return loaded


def _with_alarm(row: dict[str, Any], alarm: bool) -> dict[str, Any]:
    """With a column after what was missing, as `sensorkd predict` has it."""
    told: dict[str, Any] = {}
    for name, value in row.items():
        told[name] = value
        if name == "missing":
            told["alarm"] = alarm
    return told


def _write_csv(rows: Sequence[dict[str, Any]], handle: Any) -> None:
    if rows:
        writer = csv.DictWriter(handle, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
