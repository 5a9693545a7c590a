"""Students that never saw one person, nor perhaps some actions, and where every window lies in their
embedding."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sensorkd.edge.statistics import Statistics
from sensorkd.edge.unknown_rule import UnknownRule
from sensorkd.export.statistics import Embedded, embed, statistics_of, subsets_of, unknown_rule_of
from sensorkd.recordings import open_recordings
from sensorkd.runs import Run, load_config, train_run
from sensorkd.runs.data import plan_run, read_for

__all__ = ["ALL", "Person", "actions", "person"]

CONFIG = Path(__file__).parents[2] / "examples/configs/utd_inertial.yaml"
OVERRIDES = ("labels_per_class=null", "method.name=ce", "training.steps=250")
ALL = 0  # the subset with all sensors


@dataclass(frozen=True)
class Person:
    """A student, and all windows of the data: embedding and logits (Q, W, ...), actions (W,), subject (W,).

    label: (W,) class number, that of a hidden action -1. held_out: the person it never saw; dev: one it was
    not trained on, or "".
    """

    classes: tuple[str, ...]
    embedding: Any
    logits: Any
    action: Any
    subject: Any
    label: Any
    held_out: str
    dev: str
    hidden: tuple[str, ...]
    statistics: Statistics
    rule: UnknownRule | None

    def rows(self, *, known: bool = True) -> Any:
        """Windows of the person held out, of known or of hidden actions."""
        return np.flatnonzero((self.subject == self.held_out) & ((self.label >= 0) == known))

    @property
    def trained_on(self) -> Any:
        """Windows that the student was fitted to."""
        others = (self.subject != self.held_out) & (self.subject != self.dev)
        return np.flatnonzero(others & (self.label >= 0))


def actions(data: Path, layout: Path) -> dict[str, str]:
    """Recording -> its action."""
    return {item.id: item.tracks["action"].label[0] for item in open_recordings([str(data)], str(layout))}


def person(
    held_out: str, work: Path, *, dev: str = "", hidden: Sequence[str] = (), told: dict[str, str]
) -> Person:
    """Train, unless `work` holds the run already, and embed every window under each subset of the sensors."""
    name = "-".join(["without", held_out, *(["dev", dev] if dev else []), *hidden[:1]])
    changes = [*OVERRIDES, f'split.test=["{held_out}"]', f"out={work / name}"]
    changes += [f'split.dev=["{dev}"]'] if dev else []
    if hidden:
        table = work / f"{name}.csv"
        with table.open("w", newline="", encoding="utf-8") as handle:
            seen = [(name, "seen", action) for name, action in told.items() if action not in hidden]
            csv.writer(handle).writerows([("recording", "target", "class"), *seen])
        changes += [f"labels={table}", "target=seen"]
    finished = (work / name / "averaged.safetensors").exists()
    run = Run.load(work / name) if finished else train_run(load_config(CONFIG, changes))
    return _embedded(run, held_out, dev, tuple(hidden), told)


def _embedded(run: Run, held_out: str, dev: str, hidden: tuple[str, ...], told: dict[str, str]) -> Person:
    planned, student = plan_run(run.config), run.student()
    reading = read_for(run.config, planned.recordings, planned.plan, run.encodings)
    windows = dataclasses.replace(
        reading.windows,
        inputs={name: np.asarray(values[:]) for name, values in reading.windows.inputs.items()},
    )
    embedding, seen = embed(student, windows)
    action = np.array([told[str(name)] for name in reading.windows.recording])
    label = np.array([run.classes.index(name) if name in run.classes else -1 for name in action])
    subject = np.array([planned.groups[row] for row in reading.rows])
    sides = {
        side: np.flatnonzero((label >= 0) & mask)
        for side, mask in {"train": (subject != held_out) & (subject != dev), "dev": subject == dev}.items()
    }
    training, judging = (
        Embedded(embedding[:, rows], seen[:, rows], label[rows], (dev,)) for rows in sides.values()
    )
    statistics = statistics_of(student, training, judging if dev else None)
    assert statistics is not None
    rule = unknown_rule_of(statistics, judging, student.modalities, subsets=subsets_of(student), rate=0.01)
    logits = np.stack([statistics.logits(item) for item in embedding])
    return Person(
        run.classes, embedding, logits, action, subject, label, held_out, dev, hidden, statistics, rule
    )
