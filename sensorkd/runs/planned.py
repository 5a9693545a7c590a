"""Windows of a run before any sample is read: where they lie, what is known of them, whose they are."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sensorkd.encoding import InputEncoding
from sensorkd.errors import SensorkdError
from sensorkd.recordings import Recording
from sensorkd.runs.config import RunConfig
from sensorkd.training.batches import ArrayDataset
from sensorkd.windows.arrays import Reading, WindowSet
from sensorkd.windows.labels import UNLABELLED
from sensorkd.windows.plan import WindowPlan
from sensorkd.windows.splits import Split, few_labels, labels_of_groups, share_of_labels

__all__ = ["Planned", "as_dataset", "with_few_labels"]


@dataclass(frozen=True)
class Planned:
    """Windows of a run before any sample is read.

    labels: (W,) class numbers, -1 where unknown; of soft labels, that of the largest share. groups: W names.
    notes: what a user should know. failed: files that could not be opened; the others went on. label_shares:
    (W, N) shares of the classes, rows sum to 1 and are 0 where unknown; None where every label is of one
    class. label_weights: (W,) in (0, 1], 1 where unknown; None where every label is certain.
    strange: `dev` and `test` -> class that no training group has -> its windows there, which pass for windows
    without a label.
    """

    recordings: list[Recording]
    encodings: dict[str, InputEncoding]
    plan: WindowPlan
    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    groups: list[str]
    split: Split
    notes: list[str]
    failed: tuple[SensorkdError, ...] = ()
    label_shares: NDArray[np.float32] | None = None
    label_weights: NDArray[np.float32] | None = None
    strange: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def rows(self, side: str) -> NDArray[np.int64]:
        """Labelled windows of a side: `train`, `dev` or `test`."""
        rows = self.split.rows(self.groups, side)
        return rows[self.labels[rows] >= 0]

    def unlabelled_rows(self) -> NDArray[np.int64]:
        """Windows of the training groups whose label is unknown: nobody told it, or few labels are asked for.

        Never of dev or test groups: to learn from those, even without their labels, would be to see them.
        """
        rows = self.split.rows(self.groups, "train")
        return rows[self.labels[rows] < 0]

    def count_by_class(self, rows: NDArray[np.int64]) -> dict[str, int]:
        """How many of some labelled windows are of each class."""
        counts = np.bincount(self.labels[rows], minlength=len(self.classes))
        return dict(zip(self.classes, counts.tolist(), strict=True))

    def dataset(self, reading: Reading) -> ArrayDataset:
        """Windows that were read, `reading.rows` of the plan, with what is known of them."""
        rows = reading.rows
        return as_dataset(
            reading.windows,
            self.labels[rows],
            None if self.label_shares is None else self.label_shares[rows],
            None if self.label_weights is None else self.label_weights[rows],
        )


def with_few_labels(planned: Planned, config: RunConfig) -> Planned:
    """Forget all training labels but those that are asked for; dev and test keep theirs."""
    rows = planned.split.rows(planned.groups, "train")
    labels, groups = planned.labels[rows], [planned.groups[row] for row in rows]
    few = np.arange(len(rows))
    if config.labels_groups is not None:
        few = labels_of_groups(labels, groups, count=config.labels_groups, seed=config.seed)
        labels = np.where(np.isin(np.arange(len(rows)), few), labels, UNLABELLED)
    if config.labels_per_class is not None:
        few = few_labels(
            labels, groups, per_class=config.labels_per_class, seed=config.seed, classes=planned.classes
        )
    elif config.labels_share is not None:
        few = share_of_labels(labels, groups, share=config.labels_share, seed=config.seed)
    elif config.labels_groups is None:
        return planned
    forgotten = np.delete(rows, few)
    labels, shares, weights = planned.labels.copy(), planned.label_shares, planned.label_weights
    labels[forgotten] = UNLABELLED
    if shares is not None:
        shares = shares.copy()
        shares[forgotten] = 0.0
    if weights is not None:
        weights = weights.copy()
        weights[forgotten] = 1.0
    return dataclasses.replace(planned, labels=labels, label_shares=shares, label_weights=weights)


def as_dataset(
    windows: WindowSet,
    labels: NDArray[np.int64],
    label_shares: NDArray[np.float32] | None = None,
    label_weights: NDArray[np.float32] | None = None,
) -> ArrayDataset:
    """Windows as a dataset that yields the batch dict; with shares (W, N) and weights (W,) where given."""
    return ArrayDataset(
        windows.inputs,
        windows.presence,
        labels,
        window_id=windows.id,
        t_ref=windows.t_ref,
        label_shares=label_shares,
        label_weight=label_weights,
    )
