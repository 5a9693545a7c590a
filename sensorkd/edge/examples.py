"""Labelled windows as an update learns from them: their embeddings under every subset of the sensors.

Axes: W windows, R rows, E embedding, Q sensor subsets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sensorkd.edge.statistics import Statistics
from sensorkd.errors import BundleError, nearest

if TYPE_CHECKING:
    from sensorkd.edge.predictor import EdgePredictor

__all__ = ["Examples", "examples_of", "shared_weight", "statistics_for"]

FEWEST_OF_NEW, BATCH = 2, 8


@dataclass(frozen=True)
class Examples:
    """Labelled windows under every subset of the sensors that they have.

    embedding: (R, E). label: (R,) class numbers. subset: (R,) numbers. weight: (R,), in all 1 a window.
    window: (R,) which of them.
    """

    embedding: NDArray[np.float64]
    label: NDArray[np.int64]
    subset: NDArray[np.int64]
    weight: NDArray[np.float64]
    window: NDArray[np.int64]
    classes: tuple[str, ...]


def examples_of(
    predictor: EdgePredictor,
    inputs: Mapping[str, NDArray[Any]],
    presence: NDArray[np.floating[Any]] | None,
    labels: Sequence[str],
    *,
    new_classes: Sequence[str] = (),
) -> Examples:
    """Windows through the model: as they are, and with fewer of their sensors. A label of "" is not known.

    Raises:
        BundleError: not one label a window, one that is no class, no labelled window, or one without any
        sensor.
    """
    here = _as_used(predictor, inputs, presence)
    classes = predictor.bundle.description.classes if predictor.learned is None else predictor.learned.classes
    known = [*dict.fromkeys((*classes, *new_classes))]
    if len(labels) != len(here):
        raise BundleError(
            "labels are not of these windows",
            found=f"{len(labels)} labels",
            expected=f"{len(here)}, one a window",
        )
    rows = np.array([row for row, label in enumerate(labels) if label], np.int64)
    _check_labels([labels[row] for row in rows], classes, known)
    numbers = np.array([known.index(labels[row]) for row in rows], np.int64)
    parts = []
    for number, subset in enumerate(statistics_for(predictor).subsets):
        able = np.flatnonzero((here[rows] >= subset).all(axis=1))
        if len(able):
            embedding = _embedded(predictor, inputs, here * subset, rows[able])
            parts.append((embedding, numbers[able], np.full(len(able), number), able))
    held = {row for part in parts for row in part[3].tolist()}
    if not parts or len(held) < len(rows) or not all(np.isfinite(part[0]).all() for part in parts):
        raise BundleError(
            "a labelled window cannot be learned from",
            found=f"{len(rows) - len(held)} of {len(rows)} hold no usable sensor"
            if len(held) < len(rows)
            else "NaN",
            expected="windows that the device can judge",
            mend="leave them out, or leave their labels empty",
        )
    embedding, label, subset, window = (np.concatenate(item) for item in zip(*parts, strict=True))
    sizes = statistics_for(predictor).subsets.sum(axis=1)
    weight = shared_weight(window, sizes[subset])
    return Examples(embedding.astype(np.float64), label, subset, weight, window, tuple(known))


def _as_used(
    predictor: EdgePredictor, inputs: Mapping[str, NDArray[Any]], presence: NDArray[np.floating[Any]] | None
) -> NDArray[np.float32]:
    """(W, K) which inputs are usable, a few windows at a time: a device has little memory."""
    count = max((len(values) for values in inputs.values()), default=0)
    parts = [
        predictor.predict(
            {name: values[start : start + BATCH] for name, values in inputs.items()},
            None if presence is None else presence[start : start + BATCH],
        ).presence
        for start in range(0, max(1, count), BATCH)
    ]
    return np.concatenate(parts)


def _embedded(
    predictor: EdgePredictor,
    inputs: Mapping[str, NDArray[Any]],
    presence: NDArray[np.float32],
    rows: NDArray[np.int64],
) -> NDArray[np.float32]:
    """(R, E) of some windows."""
    parts = []
    for start in range(0, len(rows), BATCH):
        some = rows[start : start + BATCH]
        taken = {name: np.asarray(values)[some] for name, values in inputs.items()}
        parts.append(predictor.predict(taken, presence[some]).embedding)
    return np.concatenate(parts)


def shared_weight(window: NDArray[np.int64], sizes: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """(R,) half of a window's weight for the most sensors it has, the rest for all smaller subsets alike."""
    weight = np.ones(len(window))
    for number in np.unique(window):
        rows = np.flatnonzero(window == number)
        if len(rows) > 1:
            weight[rows] = 0.5 / (len(rows) - 1)
            weight[rows[sizes[rows].argmax()]] = 0.5
    return weight


def statistics_for(predictor: EdgePredictor) -> Statistics:
    """Those of its bundle.

    Raises:
        BundleError: it holds none.
    """
    if predictor.statistics is None:
        raise BundleError(
            "the bundle holds no statistics to learn with",
            file=predictor.bundle.folder,
            expected="statistics.npz",
            mend="export it again, from a run with two labelled windows of some class at least",
        )
    return predictor.statistics


def _check_labels(labels: Sequence[str], classes: Sequence[str], known: Sequence[str]) -> None:
    if not labels:
        raise BundleError("no labelled window to learn from", expected="one label at least")
    for label in labels:
        if label not in known:
            raise BundleError(
                "a label is none of the classes",
                found=label,
                expected=list(known),
                mend=f"{nearest(label, known)}--new-class {label} adds it",
            )
    for name in [name for name in known if name not in classes]:
        if labels.count(name) < FEWEST_OF_NEW:
            raise BundleError(
                "too few windows of a new class",
                inside=name,
                found=labels.count(name),
                expected=f"{FEWEST_OF_NEW} at least",
                mend="label some more",
            )
