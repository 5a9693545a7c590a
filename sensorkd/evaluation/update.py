"""Teaches a bundle a little from labelled archives: the device's own update behind the reader of archives."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sensorkd import timeline
from sensorkd.edge import EdgeBundle, EdgePredictor
from sensorkd.edge.examples import examples_of, statistics_for
from sensorkd.edge.update import MOST_LOST, Learned, learn
from sensorkd.edge.versions import Versions
from sensorkd.errors import BundleError, WindowError
from sensorkd.recordings import Recording
from sensorkd.runs.data import open_data
from sensorkd.runs.label_config import LabelConfig
from sensorkd.windows.labels import label_windows
from sensorkd.windows.plan import WindowPlan, plan_windows
from sensorkd.windows.read import read_windows

__all__ = ["Updated", "update_bundle"]

# Of each class; an update learns a little, and an hour of one state says the same all along.
MOST_OF_CLASS = 16


@dataclass(frozen=True)
class Updated:
    """windows: class -> how many were learned from. patch: signed. notes: what a user should know."""

    learned: Learned
    windows: dict[str, int]
    patch: bytes
    notes: list[str]


def update_bundle(
    bundle: EdgeBundle,
    paths: Sequence[str | Path],
    out: Path,
    *,
    layout: str | None = None,
    labels: str | None = None,
    new_classes: Sequence[str] = (),
    most_lost: float = MOST_LOST,
    key: bytes | None = None,
) -> Updated:
    """Copy a bundle with an update in force; nothing appears unless the gate is passed.

    Args:
        labels: a table of them, where the archives hold none.
        key: the operator's; None makes one for this copy alone, and no other device takes the patch.

    Raises:
        GateError: what was known would be lost.
        SensorkdError: archives or labels cannot be used.
    """
    if out.exists():
        raise BundleError("the folder exists already", file=out, mend="name a new one; none is overwritten")
    predictor, key = EdgePredictor(bundle), key or secrets.token_bytes(32)
    recordings, notes = open_data([str(path) for path in paths], layout, LabelConfig(table=labels))
    plan, names = _labelled(bundle, recordings)
    rows = _a_few(names)
    windows = read_windows(recordings, plan.select(rows), bundle.description.inputs)
    told = [names[row] or "" for row in rows.tolist()]
    examples = examples_of(predictor, windows.inputs, windows.presence, told, new_classes=new_classes)
    statistics, classes = statistics_for(predictor), bundle.description.classes
    learned = learn(statistics, classes, examples, current=predictor.learned, most_lost=most_lost)
    patch = Versions(bundle).patch_of(learned.correction, key)
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        shutil.copytree(bundle.folder, part)
        Versions(EdgeBundle.open(part)).install(patch, key)
        part.replace(out)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    spare = sum(name is not None for name in names) - len(rows)
    if spare:
        notes.append(
            f"{spare} more labelled windows were left out: up to {MOST_OF_CLASS} of a class are learned from"
        )
    return Updated(learned, {name: told.count(name) for name in sorted(set(told))}, patch, notes)


def _labelled(bundle: EdgeBundle, recordings: Sequence[Recording]) -> tuple[WindowPlan, list[str | None]]:
    description = bundle.description
    hop = None if description.hop is None else round(description.hop * timeline.SECOND)
    plan = plan_windows(recordings, description.inputs, hop=hop, segment_of=description.segment_of)
    names = label_windows(recordings, plan, description.target, encodings=description.inputs)
    if not any(name is not None for name in names):
        raise WindowError(
            "no labelled window to learn from",
            found=f"{len(names)} windows, none with target {description.target!r}",
            mend="name archives with labels, or a table of them (--labels)",
        )
    return plan, names


def _a_few(names: Sequence[str | None]) -> NDArray[np.int64]:
    """Rows of up to so many windows of each class, evenly apart."""
    rows = []
    for name in sorted({name for name in names if name is not None}):
        mine = np.array([row for row, other in enumerate(names) if other == name], np.int64)
        places = np.linspace(0, len(mine) - 1, min(len(mine), MOST_OF_CLASS)).round().astype(int)
        rows.append(mine[places])
    return np.sort(np.concatenate(rows))
