"""Class shares of a place whose windows have no labels, and logits turned to them. NumPy and SciPy only.

A plant where faults are rarer than in the training archives makes every posterior wrong by the same factor a
class. Nothing is learned anew: the shares are estimated from what a trained student says of unlabelled
windows, and its logits are turned to them. This holds while the windows of a class look as they did in
training (label shift), and as far as the student is calibrated: an overconfident one misjudges the shares
(Alexandari, Kundaje, Shrikumar, ICML 2020). Axes: W windows, N classes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax

from sensorkd.errors import ConfigError
from sensorkd.training.metrics import Metrics, classification_metrics
from sensorkd.training.priors import log_shift, trained_prior

__all__ = ["PriorEstimate", "PriorReport", "estimate_prior", "report_prior", "shift_logits"]


@dataclass(frozen=True)
class PriorEstimate:
    """prior: (N,) shares of the classes. converged: whether they stood still before rounds ran out."""

    prior: NDArray[np.float64]
    converged: bool
    iterations: int


@dataclass(frozen=True)
class PriorReport:
    """Class shares by class: `answered` for by the student, `judged` windows' own, and `estimated` from its
    verdicts on them without their labels. adjusted: the metrics of its logits turned to the estimate.
    """

    answered: dict[str, float]
    judged: dict[str, float]
    estimated: dict[str, float]
    converged: bool
    adjusted: Metrics

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        metrics = {key: value for key, value in self.adjusted.to_json().items() if key != "confusion"}
        return {**dataclasses.asdict(self), "adjusted": metrics}

    def told(self) -> str:
        """For people, in a line."""
        shares = ", ".join(
            f"{name} {self.answered[name]:.2f} / {self.judged[name]:.2f} / {self.estimated[name]:.2f}"
            for name in self.answered
        )
        return (
            f"class shares (answered for / judged / estimated without labels): {shares}; "
            f"turned to the estimate: accuracy {self.adjusted.accuracy:.3f}, "
            f"macro-F1 {self.adjusted.macro_f1:.3f}, NLL {self.adjusted.nll:.3f}"
        )


def report_prior(
    logits: NDArray[np.floating[Any]], labels: NDArray[np.int64], prior: ArrayLike, classes: Sequence[str]
) -> PriorReport:
    """How far class shares have shifted, judged by windows (W, N) with labels (W,), all of them known."""
    estimate = estimate_prior(softmax(np.asarray(logits, np.float64), axis=1), prior)
    counts = np.bincount(labels, minlength=len(classes)) / len(labels)

    def named(shares: ArrayLike) -> dict[str, float]:
        return dict(zip(classes, np.asarray(shares, np.float64).tolist(), strict=True))

    return PriorReport(
        answered=named(prior),
        judged=named(counts),
        estimated=named(estimate.prior),
        converged=estimate.converged,
        adjusted=classification_metrics(shift_logits(logits, prior, estimate.prior), labels),
    )


def estimate_prior(
    probabilities: NDArray[np.floating[Any]],
    train_prior: ArrayLike,
    *,
    tolerance: float = 1e-6,
    limit: int = 1000,
) -> PriorEstimate:
    """Class shares of unlabelled windows by expectation maximisation.

    Source: Saerens, Latinne, Decaestecker, Neural Computation 2002: posteriors under the present shares,
    then their mean as the next shares, from the training prior on. Each round makes the windows likelier.

    Args:
        probabilities: (W, N) posteriors of a calibrated student, as its softmax gives them.
        train_prior: (N,) which they answer for: `training.priors.effective_prior`.
        tolerance: it has converged when no share moves by more. limit: rounds at most.

    Raises:
        ConfigError: the training prior is none, or holds a share of 0.
        ValueError: the probabilities are none.
    """
    before = trained_prior(train_prior, "training prior")
    likelihood = _checked(probabilities, len(before)) / before
    prior = before
    for iteration in range(1, limit + 1):
        posterior = likelihood * prior
        # A row's sum cannot be 0: a share that one window insists on stays at 1 / W or more.
        following = (posterior / posterior.sum(axis=1, keepdims=True)).mean(axis=0)
        moved = float(np.abs(following - prior).max())
        prior = following
        if moved <= tolerance:
            return PriorEstimate(prior, True, iteration)
    return PriorEstimate(prior, False, limit)


def shift_logits(
    logits: NDArray[np.floating[Any]], from_prior: ArrayLike, to_prior: ArrayLike
) -> NDArray[np.float64]:
    """Logits (W, N) of a student that answers for `from_prior` (N,), as if it answered for `to_prior` (N,).

    The same as `training.priors.shift_classifier` before the logits were computed. A share of 0 to turn to
    counts as one in a million.

    Raises:
        ConfigError: these are no priors of these classes, or `from_prior` holds a share of 0.
    """
    shift = log_shift(from_prior, to_prior)
    if logits.ndim != 2 or logits.shape[1] != len(shift):
        raise ConfigError(
            "the priors are not of the logits' classes",
            found=f"logits {logits.shape}, {len(shift)} shares",
            expected="logits (W, N) and N shares",
        )
    return np.asarray(logits, np.float64) + shift


def _checked(probabilities: NDArray[np.floating[Any]], classes: int) -> NDArray[np.float64]:
    """Posteriors as float64 rows that sum to 1; float32 rows do so within a thousandth."""
    values = np.asarray(probabilities, np.float64)
    if values.ndim != 2 or not len(values) or values.shape[1] != classes:
        raise ValueError(f"probabilities must be (W, {classes}) with at least one window, got {values.shape}")
    sums = values.sum(axis=1, keepdims=True)
    if not ((values >= 0).all() and (np.abs(sums - 1) <= 1e-3).all()):
        raise ValueError("every row of probabilities must be at least 0 and sum to 1; are these logits?")
    normalised: NDArray[np.float64] = values / sums
    return normalised
