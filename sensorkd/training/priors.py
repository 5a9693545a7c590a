"""For which class shares a student answers, and how it is turned to those of a plant, at no cost.

A prior is (N,) shares of the classes, by class number; they sum to 1. With f the logits and pi the shares
among the labelled windows as sampled, the loss fits softmax(f + tau log pi) to the posterior under pi
(Menon et al., ICLR 2021), so softmax(f) is the posterior under pi^(1 - tau), normalised. A posterior turns
from one prior to another by log(to) - log(from) on its logits (Saerens, Latinne, Decaestecker, Neural
Computation 2002), as long as the windows of a class look alike in both places. NumPy and SciPy only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax

from sensorkd.errors import ConfigError
from sensorkd.training.config import Sampling

if TYPE_CHECKING:
    from sensorkd.models.student import Student

__all__ = [
    "class_shares",
    "effective_prior",
    "log_shift",
    "one_hot",
    "sampled_prior",
    "shift_classifier",
    "trained_prior",
]

# A class that is said never to occur stays possible: its logit falls by a finite amount, which every
# number format bears, and a window that leaves no doubt still outvotes the expectation.
SMALLEST_SHARE = 1e-6
SUM_TOLERANCE = 1e-3


def sampled_prior(
    labels: NDArray[np.int64],
    *,
    classes: int,
    sampling: Sampling,
    mass: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Shares (N,) of the classes among what the labelled windows teach, as training draws them.

    Args:
        labels: (W,) of all training windows, -1 where unknown. mass: (W, N) what each teaches of every class,
            where labels are weak or soft; default 1 of its own.

    Raises:
        ConfigError: a class has no labelled window. Its share could only be invented, and nothing could
            be learned of it.
    """
    known = labels[labels >= 0]
    if len(known) and known.max() >= classes:
        raise ConfigError(
            "a label is not the number of a class", found=int(known.max()), expected=f"0 to {classes - 1}"
        )
    counts = np.bincount(known, minlength=classes)
    if not counts.all():
        raise ConfigError(
            "a class has no labelled training window",
            found=f"none of class {', '.join(str(label) for label in np.flatnonzero(counts == 0))}",
            expected="at least one of each, to balance classes or to adjust logits by their shares",
            mend="label a window of it, leave the class out, or train without these",
        )
    drawn = np.ones(len(labels)) if sampling == "natural" else 1.0 / counts[labels]
    told = one_hot(labels, classes) if mass is None else mass
    taught: NDArray[np.float64] = (np.where(labels >= 0, drawn, 0.0)[:, None] * told).sum(axis=0)
    shares: NDArray[np.float64] = taught / taught.sum()
    return shares


def one_hot(labels: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """(W, classes) of labels (W,); all 0 where it is -1."""
    hot: NDArray[np.float64] = (labels[:, None] == np.arange(classes)).astype(np.float64)
    return hot


def effective_prior(sampled: ArrayLike, tau: float) -> NDArray[np.float64]:
    """The prior (N,) that a student's own softmax answers for: softmax((1 - tau) log sampled).

    Args:
        sampled: (N,) from `sampled_prior`. tau: `training.logit_adjustment`.

    >>> effective_prior([0.9, 0.1], 1.0).tolist()
    [0.5, 0.5]
    """
    answered: NDArray[np.float64] = softmax((1.0 - tau) * np.log(trained_prior(sampled, "sampled prior")))
    return answered


def log_shift(from_prior: ArrayLike, to_prior: ArrayLike) -> NDArray[np.float64]:
    """(N,) log(to) - log(from), which turns logits from one prior to another.

    Shares below one in a million count as that, so no logit becomes infinite.

    Raises:
        ConfigError: these are no shares, or of different classes, or `from` has a share of 0.
    """
    before = trained_prior(from_prior, "prior to turn from")
    after = class_shares(to_prior, "prior to turn to")
    if len(before) != len(after):
        raise ConfigError(
            "the two priors are of different classes", found=f"{len(before)} and {len(after)} shares"
        )
    return np.log(np.maximum(after, SMALLEST_SHARE)) - np.log(np.maximum(before, SMALLEST_SHARE))


def shift_classifier(student: Student, from_prior: ArrayLike, to_prior: ArrayLike) -> None:
    """Make what ships answer for other class shares, in place: log(to) - log(from) on the classifier's bias.

    No layer, weight or multiplication is added. To be done once, after training: a second call adds up.

    Args:
        from_prior: (N,) from `effective_prior`. to_prior: (N,), what the plant expects.

    Raises:
        ConfigError: see `log_shift`; or the shares are not of the student's classes.
    """
    shift = log_shift(from_prior, to_prior)
    if len(shift) != student.classes:
        raise ConfigError(
            "the priors are not of the student's classes", found=len(shift), expected=student.classes
        )
    bias = student.classifier.bias
    bias.data.add_(bias.new_tensor(shift.tolist()))


def class_shares(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """Shares (N,) as floats that sum to 1; `name` is what an error calls them.

    Raises:
        ConfigError: they are not one number of at least 0 a class, or do not sum to 1 within 0.001.
    """
    shares = np.asarray(values, np.float64)
    total = float(shares.sum())
    if shares.ndim != 1 or not (shares >= 0).all() or not abs(total - 1.0) <= SUM_TOLERANCE:
        raise ConfigError(
            f"the {name} is no list of class shares",
            found=f"{shares.tolist()}, which sum to {total:.4g}",
            expected="one number of at least 0 for every class, summing to 1",
        )
    return shares / total


def trained_prior(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """`class_shares` of what was learned from, none of them 0: what was never seen cannot be weighed.

    Raises:
        ConfigError: see `class_shares`; or a share is 0.
    """
    shares = class_shares(values, name)
    if not shares.all():
        raise ConfigError(
            f"the {name} holds a class that training never saw",
            found=f"share 0 of class {', '.join(str(label) for label in np.flatnonzero(shares == 0))}",
            expected="a share above 0 for every class",
            mend="train with labelled windows of it, or leave the class out",
        )
    return shares
