"""Where a run's windows lie in the embedding: what a device needs to say `unknown`, and to learn a little.

Axes: W windows, E embedding, N classes, K inputs, Q sensor subsets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sensorkd.edge.novelty import Novelty, threshold_at
from sensorkd.edge.statistics import Kept, Statistics
from sensorkd.edge.unknown_rule import UNKNOWN_RATE, UnknownRule
from sensorkd.export.calibration import labels_among, spread
from sensorkd.export.gate import presences
from sensorkd.export.subset import windows_of
from sensorkd.models.student import Student
from sensorkd.runs.data import plan_run
from sensorkd.runs.planned import Planned
from sensorkd.runs.run import Run
from sensorkd.windows.failures import Failures
from sensorkd.windows.read import WindowArrays, read_readable

__all__ = [
    "Embedded",
    "embed",
    "embedded_windows",
    "statistics_of",
    "subsets_of",
    "unknown_rule_of",
    "write_statistics",
]

WINDOWS, BATCH = 1024, 32
# Of each class, to be reminded of and to be judged by; and of all classes together.
KEPT, MOST_KEPT = 8, 1024


@dataclass(frozen=True)
class Embedded:
    """Windows of some groups under each subset of the sensors.

    embedding: (Q, W, E). seen: (Q, W) whether all sensors of the subset are there. labels: (W,), -1 unknown.
    """

    embedding: NDArray[np.float32]
    seen: NDArray[np.bool_]
    labels: NDArray[np.int64]
    groups: tuple[str, ...]


def write_statistics(
    run: Run, student: Student, path: Path, *, rate: float = UNKNOWN_RATE
) -> UnknownRule | None:
    """Write `statistics.npz` for a student of the run's, and tell when a window is unknown.

    Nothing is written where there are too few windows for a covariance; None where dev groups have none.
    """
    training, dev = (embedded_windows(run, student, side) for side in ("train", "dev"))
    statistics = statistics_of(student, training, dev if len(dev.labels) else None)
    if statistics is None:
        return None
    statistics.save(path)
    return unknown_rule_of(statistics, dev, student.modalities, subsets=subsets_of(student), rate=rate)


def embedded_windows(run: Run, student: Student, side: str) -> Embedded:
    """Up to 1024 windows of a side, spread evenly over each class and over those without a label.

    Dev windows have labels: those of a class that was never trained on ought to be unknown. The student may
    be one for some of the run's sensors.
    """
    planned = plan_run(run.config, split=run.split)
    labels = labels_among(planned, run.classes, np.arange(len(planned.labels)))
    rows = _chosen(planned, labels, side, classes=len(run.classes))
    parts, kept, failures = [], [np.zeros(0, np.int64)], Failures()
    for start in range(0, len(rows), BATCH):
        some = rows[start : start + BATCH]
        plan = planned.plan.select(some)
        windows, read = read_readable(planned.recordings, plan, run.encodings, failures=failures)
        parts.append(embed(student, windows_of(windows, student.modalities)))
        kept.append(some[read])
    every = np.concatenate(kept)
    groups = tuple(sorted({planned.groups[row] for row in every.tolist()}))
    subsets, size = len(subsets_of(student)), student.classifier.in_features
    none = (np.zeros((subsets, 0, size), np.float32), np.zeros((subsets, 0), bool))
    embedding, seen = (np.concatenate(item, axis=1) for item in zip(none, *parts, strict=True))
    return Embedded(embedding, seen, labels[every], groups)


def subsets_of(student: Student) -> NDArray[np.float32]:
    """(Q, K): all sensors, then those that the gate looks at."""
    return np.concatenate(presences(np.ones((1, len(student.modalities)), np.float32)))


@torch.inference_mode()
def embed(student: Student, windows: WindowArrays) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(Q, W, E) under each subset, and (Q, W) whether its sensors are there; the encoders run once."""
    subsets = subsets_of(student)
    prepared = student.prepare({name: torch.from_numpy(x) for name, x in windows.inputs.items()})
    pooled = {
        name: [student.pool(value) for value in student.encode(name, x)] for name, x in prepared.items()
    }
    presence = windows.presence
    fused = [student.fuse(pooled, torch.from_numpy(presence * subset))[-1].numpy() for subset in subsets]
    embedding = np.stack(fused)
    seen = (presence[None] >= subsets[:, None]).all(axis=2) & np.isfinite(embedding).all(axis=2)
    return embedding, seen


def statistics_of(student: Student, training: Embedded, judging: Embedded | None = None) -> Statistics | None:
    """Means, covariances and kept windows; None where windows are too few for a covariance.

    Windows without a label count as what the student calls them: they are part of what it was trained on.

    Args:
        judging: labelled windows of the dev groups, to judge updates by; None: of the training groups, others
            than those that an update is reminded of.
    """
    weight, bias = (item.detach().numpy() for item in (student.classifier.weight, student.classifier.bias))
    subsets, classes = subsets_of(student), len(weight)
    found = [
        _moments(training.embedding[number][seen], training.labels[seen], weight, bias)
        for number, seen in enumerate(training.seen)
    ]
    usable = [number for number, item in enumerate(found) if item is not None]
    if not usable:
        return None
    moments = [item for item in found if item is not None]
    return Statistics(
        subsets=subsets[usable],
        means=np.stack([means for means, _ in moments]).astype(np.float32),
        counts=np.bincount(training.labels[training.labels >= 0], minlength=classes).astype(np.int64),
        covariance=np.stack([covariance for _, covariance in moments]).astype(np.float32),
        weight=weight.astype(np.float32),
        bias=bias.astype(np.float32),
        kept=_kept(training, judging, subsets, classes),
    )


def unknown_rule_of(
    statistics: Statistics,
    dev: Embedded,
    sensors: Sequence[str],
    *,
    subsets: NDArray[np.float32],
    rate: float,
) -> UnknownRule | None:
    """Thresholds from dev windows, on which nothing was trained; None where there is none.

    Training windows would not do: a student has drawn them to their classes' means, and a threshold from them
    was exceeded by two thirds of the windows of a person it had never seen.

    Args:
        subsets: (Q, K) as the windows were embedded.
    """
    novelty = Novelty(statistics)
    thresholds, names, counts, rates = [], [], [], [rate]
    for subset in statistics.subsets:
        number = int(np.flatnonzero((subsets == subset).all(axis=1))[0])
        seen = dev.seen[number] & (dev.labels >= 0)
        some = dev.embedding[number][seen]
        threshold, promised = None, rate
        if len(some):
            distances = novelty.distances(some, np.broadcast_to(subset, (len(some), len(subset))))
            threshold, promised = threshold_at(distances, rate)
        thresholds.append(threshold)
        names.append("+".join(name for name, here in zip(sensors, subset, strict=True) if here))
        counts.append(len(some))
        rates.append(promised)
    if not any(counts):
        return None
    return UnknownRule(max(rates), tuple(thresholds), tuple(names), tuple(counts), dev.groups)


def _chosen(planned: Planned, labels: NDArray[np.int64], side: str, *, classes: int) -> NDArray[np.int64]:
    """Rows of the plan, in its order."""
    rows = planned.split.rows(planned.groups, side)
    each = max(1, WINDOWS // classes)
    parts = [spread(rows[labels[rows] == number], each) for number in range(classes)]
    if side == "train":
        parts.append(spread(rows[labels[rows] < 0], WINDOWS))
    return np.sort(np.concatenate(parts))


def _moments(
    embedding: NDArray[np.float32],
    labels: NDArray[np.int64],
    weight: NDArray[np.float32],
    bias: NDArray[np.float32],
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Class means (N, E), and the covariance (E, E) within the classes by Ledoit and Wolf (2004)."""
    from sklearn.covariance import ledoit_wolf

    exact, classes = embedding.astype(np.float64), len(weight)
    said = (exact @ weight.T + bias).argmax(axis=1) if len(exact) else labels
    known = np.where(labels >= 0, labels, said)
    counts = np.bincount(known, minlength=classes)
    free = len(known) - int((counts > 0).sum())
    if free < 1:
        return None
    sums = np.zeros((classes, exact.shape[1]))
    np.add.at(sums, known, exact)
    means = sums / np.maximum(counts, 1)[:, None]
    # A class that is never seen with these sensors must not stand where none is.
    means[counts == 0] = means[counts.argmax()]
    pooled, _ = ledoit_wolf(exact - means[known], assume_centered=True)
    # Means were fitted to the same windows.
    pooled = np.asarray(pooled, np.float64) * len(known) / free
    spread_of_all = float(np.trace(pooled)) / len(pooled)
    if not spread_of_all > 0:
        return None
    # A direction in which nothing ever moves would make every distance infinite.
    return means, pooled + 1e-6 * spread_of_all * np.eye(len(pooled))


def _kept(training: Embedded, judging: Embedded | None, subsets: NDArray[np.float32], classes: int) -> Kept:
    """Of each class some windows: as they were logged, and each once more with fewer of its sensors."""
    if judging is None:
        reminders, judges = (
            _some(training, classes, slice(0, None, 2)),
            _some(training, classes, slice(1, None, 2)),
        )
    else:
        reminders, judges = _some(training, classes), _some(judging, classes)
    parts = [
        _variants(training, reminders, subsets),
        _variants(training if judging is None else judging, judges, subsets),
    ]
    judged = np.repeat([False, True], [len(labels) for _, labels in parts])
    embedding, labels = (np.concatenate(item) for item in zip(*parts, strict=True))
    return Kept(embedding, labels, judged)


def _some(windows: Embedded, classes: int, part: slice = slice(None)) -> NDArray[np.int64]:
    """A few of each class that hold any input, of every other one if asked."""
    each, usable = max(1, min(KEPT, MOST_KEPT // classes)), windows.seen.any(axis=0)
    of_class = [np.flatnonzero((windows.labels == number) & usable) for number in range(classes)]
    return np.concatenate([spread(rows[part], each) for rows in of_class])


def _variants(
    windows: Embedded, rows: NDArray[np.int64], subsets: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Embeddings and labels of some windows under the largest subset, and under another in turn."""
    sizes, pairs = subsets.sum(axis=1), []
    for turn, row in enumerate(rows.tolist()):
        able = np.flatnonzero(windows.seen[:, row])
        largest = able[sizes[able].argmax()]
        others = able[able != largest]
        pairs += [(largest, row), *([(others[turn % len(others)], row)] if len(others) else [])]
    if not pairs:
        return windows.embedding[0, :0], windows.labels[:0]
    first, second = np.array(pairs).T
    return windows.embedding[first, second], windows.labels[second]
