"""Baselines in the same table: fitted on the labelled windows that the students learn from."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sensorkd.encoding import InputEncoding
from sensorkd.errors import ConfigError
from sensorkd.evaluation.benchmark_windows import Judged, judged_windows, signals_of, subsets_of
from sensorkd.evaluation.trees import Trees
from sensorkd.runs.config import RunConfig
from sensorkd.runs.data import Planned, plan_run, read_usable
from sensorkd.windows.arrays import Reading
from sensorkd.windows.samples import Samples

__all__ = ["Fitted", "baseline_logits"]


class Baseline(Protocol):
    """What is fitted on windows and judges windows; see `Trees`."""

    def fit(
        self,
        inputs: Mapping[str, NDArray[Any]],
        presence: NDArray[np.float32],
        labels: NDArray[np.int64],
        weights: NDArray[np.float64] | None = None,
    ) -> object:
        """Learn from inputs name -> (W, ...), presence (W, K), labels (W,), and what these count for (W,)."""

    def logits(
        self, inputs: Mapping[str, NDArray[Any]], presence: NDArray[np.float32]
    ) -> NDArray[np.floating[Any]]:
        """(W, N)."""


@dataclass(frozen=True)
class Fitted:
    """logits: "a+b" -> (W, N) of a baseline fitted for just those. seconds: of fitting it for all it takes.

    trained: groups that it learned from. left_out: what was wrong with files that it could not.
    """

    logits: dict[str, NDArray[np.floating[Any]]]
    seconds: float
    windows: Judged
    encodings: Mapping[str, InputEncoding]
    trained: tuple[str, ...]
    left_out: tuple[str, ...]


def baseline_logits(config: RunConfig, name: str, sensors: str, side: str) -> Fitted:
    """Fit a baseline for every subset of sensors that it takes, and judge the held-out windows with it.

    Raises:
        ConfigError: it takes none of the inputs. SensorkdError: data cannot be used.
    """
    planned = plan_run(config)
    subsets = subsets_of(planned.encodings, sensors)
    if name == "minirocket":
        signals = signals_of(planned.encodings)
        subsets = [subset for subset in subsets if set(subset) <= set(signals)]
        if not subsets:
            raise ConfigError(
                "minirocket takes signals only",
                found=f"inputs {list(planned.encodings)}",
                mend="take it out of `methods`",
            )
    rows = planned.rows("train")
    reading = read_usable(planned, rows, config)
    labels, seen = planned.labels[reading.rows], _arrays(reading.windows.inputs)
    weights = _weights(planned, reading)
    windows = judged_windows(config, planned.encodings, planned.classes, side)
    unseen = _arrays(windows.arrays.inputs)
    logits, seconds = {}, []
    for subset in subsets:
        started = time.monotonic()
        fitted = _baseline(name, planned.encodings, subset, len(planned.classes), config.seed)
        fitted.fit(seen, reading.windows.presence, labels, weights)
        seconds.append(time.monotonic() - started)
        logits["+".join(subset)] = fitted.logits(unseen, windows.arrays.presence)
    trained = tuple(sorted({planned.groups[row] for row in reading.rows}))
    left_out = tuple(map(str, (*planned.failed, *reading.failed)))
    return Fitted(logits, seconds[0], windows, planned.encodings, trained, left_out)


def _weights(planned: Planned, reading: Reading) -> NDArray[np.float64] | None:
    """(W,) what a weak label counts for, times the share of its class where it is soft; None: all alike.

    Their mean is 1 in every class: baselines weigh classes alike, which the weights must not undo.
    """
    if planned.label_shares is None and planned.label_weights is None:
        return None
    windows, classes = planned.dataset(reading), len(planned.classes)
    labels = windows.labels
    mass = np.take_along_axis(windows.label_mass(classes), labels[:, None], axis=1)[:, 0]
    means = np.bincount(labels, mass, classes) / np.maximum(np.bincount(labels, minlength=classes), 1)
    return np.asarray(mass / means[labels], np.float64)


def _baseline(
    name: str, encodings: Mapping[str, InputEncoding], only: Sequence[str], classes: int, seed: int
) -> Baseline:
    if name == "trees":
        return Trees(encodings, only=only, classes=classes, seed=seed)
    from sensorkd.evaluation.minirocket import MiniRocketRidge

    return MiniRocketRidge(encodings, only=only, classes=classes, seed=seed)


def _arrays(inputs: Mapping[str, Samples]) -> dict[str, NDArray[Any]]:
    return {name: np.asarray(values[:]) for name, values in inputs.items()}
