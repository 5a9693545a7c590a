"""Judges a run on groups it never saw, with all sensors and with every subset of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd.errors import WindowError
from sensorkd.runs.data import Planned, as_dataset, open_data, plan_run
from sensorkd.runs.run import Run
from sensorkd.training.batches import ArrayDataset
from sensorkd.training.inference import predict_logits
from sensorkd.training.metrics import Metrics, classification_metrics
from sensorkd.windows.labels import encode_labels, label_windows
from sensorkd.windows.plan import plan_windows
from sensorkd.windows.read import WindowArrays, read_windows
from sensorkd.windows.splits import groups_of

__all__ = ["Evaluation", "RunWindows", "evaluate_run", "sensor_subsets", "windows_for"]


@dataclass(frozen=True)
class RunWindows:
    """Windows in memory as a run's model takes them. labels: (W,), -1 where unknown. groups: W names."""

    arrays: WindowArrays
    labels: NDArray[np.int64]
    groups: list[str]
    clocks: list[str]
    notes: list[str]

    @property
    def dataset(self) -> ArrayDataset:
        """As the batch dict."""
        return as_dataset(self.arrays, self.labels)


@dataclass(frozen=True)
class Evaluation:
    """overall: with every sensor that is there. subsets: "a+b" -> with only those.

    logits: (W, N) of the judged windows; labels, groups: theirs.
    """

    overall: Metrics
    subsets: dict[str, Metrics]
    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    groups: list[str]
    classes: tuple[str, ...]
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """The metrics and the classes, as plain values."""
        return {
            **self.overall.to_json(),
            "classes": list(self.classes),
            "groups": sorted(set(self.groups)),
            "subsets": {
                name: {key: value for key, value in metrics.to_json().items() if key != "confusion"}
                for name, metrics in self.subsets.items()
            },
            "notes": self.notes,
        }


def evaluate_run(run: Run, paths: Sequence[str] | None = None, *, labels: str | None = None) -> Evaluation:
    """Judge a run by its test groups, or by other archives.

    Args:
        paths: archives to judge by, all of their labelled windows; None for the run's test groups.
        labels: a label table for them; default the run's.

    Raises:
        WindowError: no labelled window to judge by.
    """
    windows = windows_for(run, paths, labels=labels)
    known = np.flatnonzero(windows.labels >= 0)
    if not len(known):
        raise WindowError(
            "no labelled window to judge by",
            found=f"{len(windows.labels)} windows, none with target {run.config.target!r}",
            mend="name archives with labels (--data), or split.test groups in the configuration",
        )
    dataset, student = windows.dataset.select(known), run.student()
    truth = windows.labels[known]
    logits = predict_logits(student, dataset)
    subsets = {
        "+".join(names): classification_metrics(predict_logits(student, dataset, only=names), truth)
        for names in sensor_subsets(student.modalities)
    }
    groups = [windows.groups[row] for row in known]
    notes = list(windows.notes)
    seen = sorted(set(groups) & set(run.groups["train"]))
    if seen:
        notes.append(f"judged also on groups that were trained on: {seen}")
    return Evaluation(
        classification_metrics(logits, truth), subsets, logits, truth, groups, run.classes, notes
    )


def sensor_subsets(names: Sequence[str]) -> list[tuple[str, ...]]:
    """All non-empty subsets of up to four sensors; of more, singles, all but one, and all.

    >>> sensor_subsets(["a", "b"])
    [('a',), ('b',), ('a', 'b')]
    """
    count = len(names)
    sizes = range(1, count + 1) if count <= 4 else (1, count - 1, count)
    return [subset for size in sizes for subset in itertools.combinations(names, size)]


def windows_for(run: Run, paths: Sequence[str] | None = None, *, labels: str | None = None) -> RunWindows:
    """Windows as the run's model takes them: of its test groups, or of other archives.

    Raises:
        SensorkdError: archives cannot be used.
    """
    config = run.config
    if paths is None:
        planned = plan_run(config)
        rows = planned.split.rows(planned.groups, "test")
        if not len(rows):
            raise WindowError(
                "the run holds out no test groups", inside="split.test", mend="name archives with --data"
            )
        return _read(planned, rows)
    recordings, notes = open_data(paths, config.layout, labels or config.labels)
    plan = plan_windows(
        recordings,
        run.encodings,
        hop=config.hop,
        required=[name for name, item in config.inputs.items() if item.required],
    )
    notes += [f"no window from {name}: {why}" for name, why in plan.skipped]
    if any(config.target in recording.tracks for recording in recordings):
        names = label_windows(
            recordings, plan, config.target, encodings=run.encodings, rule=config.label_rule
        )
        numbers = encode_labels(names, run.classes)
    else:
        numbers = np.full(len(plan), -1, np.int64)
    known_groups = config.split.by == "recording" or all(
        config.split.by in recording.identity for recording in recordings
    )
    groups = groups_of(recordings, plan, config.split.by if known_groups else "recording")
    arrays = read_windows(recordings, plan, run.encodings)
    clocks = [recordings[index].clock for index in plan.recording]
    return RunWindows(arrays, numbers, groups, clocks, notes)


def _read(planned: Planned, rows: NDArray[np.int64]) -> RunWindows:
    plan = planned.plan.select(rows)
    arrays = read_windows(planned.recordings, plan, planned.encodings)
    return RunWindows(
        arrays,
        planned.labels[rows],
        [planned.groups[row] for row in rows],
        [planned.recordings[index].clock for index in plan.recording],
        planned.notes,
    )
