"""The gate of int8: how much of what the model is worth may be lost, and whether it is.

Axes: W windows, S sensor subsets, N classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from sensorkd.edge.precision import Figures
from sensorkd.edge.runtime import open_session
from sensorkd.training.metrics import classification_metrics

__all__ = ["LIMITS", "Int8Gate", "Judgement"]

# What may be lost at most: half a point of accuracy, and as much of the others as is hardly seen in a plot.
LIMITS = {"accuracy": 0.005, "nll": 0.02, "ece": 0.01, "divergence": 0.005}
CHUNK = 8


@dataclass(frozen=True)
class Judgement:
    """divergence: mean over windows and subsets of KL(fp32 || int8) of the probabilities, in nats. It tells
    more than the others where the model is right about every window, as it is about those it learned from.
    """

    windows: int
    fp32: Figures
    int8: Figures
    divergence: float

    @property
    def losses(self) -> dict[str, float]:
        """What int8 loses, by the names of LIMITS; below 0 where it is better."""
        return {
            "accuracy": self.fp32.accuracy - self.int8.accuracy,
            "nll": self.int8.nll - self.fp32.nll,
            "ece": self.int8.ece - self.fp32.ece,
            "divergence": self.divergence,
        }

    @property
    def passed(self) -> bool:
        """Whether no loss is above its limit; one that is no number is."""
        return all(self.losses[name] <= limit for name, limit in LIMITS.items())

    def told(self) -> str:
        """Losses next to their limits."""
        return ", ".join(
            f"{name} {self.losses[name]:.4f} (at most {limit:g})" for name, limit in LIMITS.items()
        )


class Int8Gate:
    """Judges models against one in float, on labelled windows of its inputs under every sensor subset."""

    def __init__(
        self,
        model: Path,
        inputs: Mapping[str, NDArray[Any]],
        presences: Sequence[NDArray[np.float32]],
        labels: NDArray[np.int64],
    ) -> None:
        self._inputs, self._presences = inputs, presences
        self._labels = np.tile(labels, len(presences))
        self._reference = self._logits(model)
        self._figures = self._judged(self._reference)

    def judge(self, model: Path) -> Judgement:
        """Run a model on all windows and subsets."""
        logits = self._logits(model)
        return Judgement(
            len(logits), self._figures, self._judged(logits), divergence_of(self._reference, logits)
        )

    def _logits(self, model: Path) -> NDArray[np.float32]:
        """(S * W, N)."""
        session = open_session(model.read_bytes(), file=model)
        parts = []
        for presence in self._presences:
            for start in range(0, len(presence), CHUNK):
                part = slice(start, start + CHUNK)
                feed = {name: values[part] for name, values in self._inputs.items()}
                parts.append(session.run({**feed, "presence": presence[part]})[0])
        return np.concatenate(parts)

    def _judged(self, logits: NDArray[np.float32]) -> Figures:
        found = classification_metrics(logits, self._labels)
        return Figures(found.accuracy, found.nll, found.ece)


def divergence_of(expected: NDArray[np.floating[Any]], found: NDArray[np.floating[Any]]) -> float:
    """Mean KL divergence of the probabilities of logits (W, N) from those expected, in nats."""
    before, after = (log_softmax(np.asarray(item, np.float64), axis=1) for item in (expected, found))
    return float((np.exp(before) * (before - after)).sum(axis=1).mean())
