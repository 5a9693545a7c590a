"""Runs one cell: trains or fits, judges every window of the held-out groups, and keeps what it said.

`windows.npz` holds per-window log-probabilities, so that any statistic can be redone without a model;
`cell.json` is written last and in one piece: a cell has one, or is not finished.
"""

from __future__ import annotations

import io
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from sensorkd._version import __version__
from sensorkd.durable import write_whole
from sensorkd.encoding import InputEncoding
from sensorkd.errors import RunError
from sensorkd.evaluation.benchmark_baselines import baseline_logits
from sensorkd.evaluation.benchmark_code import UNKNOWN, code_digest
from sensorkd.evaluation.benchmark_folds import check_unseen
from sensorkd.evaluation.benchmark_plan import Cell
from sensorkd.evaluation.benchmark_windows import Judged, input_encodings, judged_windows, subsets_of
from sensorkd.locks import only_process
from sensorkd.models.cost import cost_of
from sensorkd.runs.build import adapters_for, example_inputs
from sensorkd.runs.run import LOG
from sensorkd.runs.train import train_run
from sensorkd.training.cross_validation import RECORD
from sensorkd.training.inference import predict_logits, predict_subsets
from sensorkd.training.log import TrainingLog
from sensorkd.training.metrics import classification_metrics
from sensorkd.training.state_files import BEFORE, STATE

__all__ = ["ABOUT", "WINDOWS", "finished", "run_cell"]

ABOUT, WINDOWS = "cell.json", "windows.npz"
# Digests of the code that was at a cell, also of one that is not finished.
CODE = "code.txt"
TEACHER = "teacher"


def finished(cell: Cell) -> dict[str, Any] | None:
    """What a finished cell tells, or None.

    Raises:
        RunError: the folder holds a cell of another configuration, or is damaged.
    """
    path = cell.folder / ABOUT
    try:
        told = dict(json.loads(path.read_text(encoding="utf-8")))
        identity = told["identity"]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise RunError("the cell is damaged", file=path, found=error, mend="remove its folder") from error
    if identity != cell.identity:
        now, before = cell.resolved, told.get("resolved", {})
        differing = [key for key in {**before, **now} if before.get(key) != now.get(key)]
        raise RunError(
            "the folder holds a cell of another configuration",
            file=path,
            found={key: before.get(key) for key in differing},
            expected={key: now.get(key) for key in differing},
            mend="go on with the configuration it was begun with, or name another folder with --out",
        )
    return told


def run_cell(cell: Cell) -> dict[str, Any]:
    """Run a cell, or go on with one that was cut off; what `cell.json` tells.

    Raises:
        SplitError: a group stands on both sides. RunError: another process is at it. SensorkdError: data or
            configuration cannot be used.
    """
    with only_process(cell.folder, "cell"):
        return finished(cell) or _run(cell)


def _run(cell: Cell) -> dict[str, Any]:
    started = time.monotonic()
    code = _code(cell)
    told = _fitted(cell) if cell.baseline else _trained(cell)
    about = {
        "identity": cell.identity,
        "sensorkd": __version__,
        "code": code,
        **{key: getattr(cell, key) for key in ("label", "method", "budget", "seed", "fold", "side")},
        **told,
        "wall": time.monotonic() - started,
        "resolved": cell.resolved,
    }
    write_whole(cell.folder / ABOUT, json.dumps(about).encode())
    # Only a run that may be cut off needs it, and it is several times as large as the student.
    for name in (STATE, BEFORE):
        for state in (cell.folder / "run").rglob(name):
            state.unlink()
    return about


def _code(cell: Cell) -> list[str]:
    """Digests of all code that the cell is run by: of this, and of what was at it before it was cut off."""
    path, run = cell.folder / CODE, cell.folder / "run"
    before = [] if not _goes_on(run) else path.read_text("utf-8").split() if path.exists() else [UNKNOWN]
    encodings = input_encodings(cell.config, cell.side)
    adapters = adapters_for(encodings, {name: item.options for name, item in cell.config.inputs.items()})
    told = list(dict.fromkeys([*before, code_digest(map(type, adapters.values()))]))
    path.write_text("\n".join(told), encoding="utf-8")
    return told


def _goes_on(run: Path) -> bool:
    """Whether anything is taken over from a run that was cut off."""
    return (run / STATE).exists() or (run / TEACHER).exists()


def _trained(cell: Cell) -> dict[str, Any]:
    folder = cell.folder / "run"
    resume = (folder / STATE).exists()
    if not resume:
        _clear(folder)
    run = train_run(cell.config, resume=resume)
    _check_sides(cell, run.groups)
    windows = judged_windows(cell.config, run.encodings, run.classes, cell.side)
    student = run.student()
    names = tuple(run.encodings)
    subsets = subsets_of(run.encodings, cell.sensors)
    others = [subset for subset in subsets if subset != names]
    logits = {"+".join(names): predict_logits(student, windows.dataset)}
    logits |= predict_subsets(student, windows.dataset, others) if others else {}
    cost = cost_of(student, example_inputs(run.encodings))
    return {
        "seconds": _training_seconds(folder),
        "steps": cell.config.training.total_steps,
        "parameters": cost.parameters,
        "macs": cost.macs,
        "left_out": _distinct(run.left_out, windows.left_out),
        "cross_validation": _cross_validation(folder),
        **_kept(cell, windows, logits, run.encodings),
    }


def _distinct(*errors: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(error for some in errors for error in some))


def _clear(folder: Path) -> None:
    """Remove a run that was cut off before there was a state to go on from; its teacher goes on by itself."""
    for path in folder.iterdir() if folder.exists() else ():
        if path.is_dir() and path.name != TEACHER:
            shutil.rmtree(path)
        elif path.is_file():
            path.unlink()


def _fitted(cell: Cell) -> dict[str, Any]:
    fitted = baseline_logits(cell.config, cell.method, cell.sensors, cell.side)
    check_unseen(fitted.trained, fitted.windows.groups, file=cell.folder)
    told = _kept(cell, fitted.windows, fitted.logits, fitted.encodings)
    left_out = _distinct(fitted.left_out, fitted.windows.left_out)
    blank = {"steps": None, "parameters": None, "macs": None}
    return {"seconds": fitted.seconds, **blank, "left_out": left_out, **told}


def _check_sides(cell: Cell, groups: Mapping[str, tuple[str, ...]]) -> None:
    """Nothing of what is judged was trained on, with a label or without one."""
    check_unseen(groups["train"], (*groups["test"], *groups["dev"]), file=cell.folder)
    check_unseen(groups["train"], getattr(cell.config.split, cell.side), file=cell.folder)


def _training_seconds(folder: Path) -> float:
    """Seconds spent in steps, and on a teacher for the run; not those of waiting for windows."""
    records = TrainingLog(folder / LOG).records()
    own = sum(record.get("seconds", 0.0) - record.get("waited", 0.0) for record in records)
    return float(own + sum(record["teacher"]["seconds"] for record in records if "teacher" in record))


def _cross_validation(folder: Path) -> dict[str, Any] | None:
    """What labelled windows held out of training said of its guesses; None where they were not asked."""
    records = TrainingLog(folder / LOG).records()
    return next((record[RECORD] or None for record in records if RECORD in record), None)


def _kept(
    cell: Cell,
    windows: Judged,
    logits: Mapping[str, NDArray[np.floating[Any]]],
    encodings: Mapping[str, InputEncoding],
) -> dict[str, Any]:
    """Write per-window log-probabilities; tell metrics, and confusion by subset and group."""
    check = set(windows.groups) - set(getattr(cell.config.split, cell.side))
    if check:
        raise RunError("windows of other groups were judged", file=cell.folder, found=sorted(check))
    names, groups = list(logits), sorted(set(windows.groups))
    logp = {name: log_softmax(np.asarray(item, np.float64), axis=1) for name, item in logits.items()}
    numbers = np.array([groups.index(name) for name in windows.groups], np.int32)
    said = io.BytesIO()
    np.savez_compressed(
        said,
        labels=windows.labels.astype(np.int32),
        groups=numbers,
        id=windows.id,
        **{f"logp{index}": logp[name].astype(np.float32) for index, name in enumerate(names)},
    )
    write_whole(cell.folder / WINDOWS, said.getvalue())
    return {
        "classes": list(windows.classes),
        "inputs": list(encodings),
        "sensors": names,
        "groups": groups,
        "strange": dict(windows.strange),
        "metrics": {name: _metrics(item, windows.labels) for name, item in logp.items()},
        "confusion": {name: _by_group(item, windows.labels, numbers, groups) for name, item in logp.items()},
    }


def _metrics(logp: NDArray[np.float64], labels: NDArray[np.int64]) -> dict[str, Any]:
    told = classification_metrics(logp, labels).to_json()
    return {key: value for key, value in told.items() if key != "confusion"}


def _by_group(
    logp: NDArray[np.float64], labels: NDArray[np.int64], numbers: NDArray[np.int32], groups: list[str]
) -> dict[str, Any]:
    found = {}
    for number, name in enumerate(groups):
        here = numbers == number
        found[name] = classification_metrics(logp[here], labels[here]).confusion.tolist()
    return found
