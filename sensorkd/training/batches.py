"""The batch dict, and a dataset that yields it, of arrays in memory or of samples that are read where asked.

A batch maps every modality to its native samples (B, steps, *sample_shape), and
`presence` (B, K) float32, `label` (B,) int64 (-1 where unknown), `window_id` (B,) and `t_ref` (B,) int64.
Where labels say more than one class each, also `label_shares` (B, N) float32 (rows sum to 1, or to 0 where
there are none) and `label_weight` (B,) float32 in (0, 1].
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from sensorkd.errors import ConfigError
from sensorkd.training.priors import one_hot

__all__ = [
    "ArrayDataset",
    "Batch",
    "BatchSource",
    "LabelledSource",
    "LazySamples",
    "WindowSource",
    "collate",
    "labels_of",
]

Batch = dict[str, Tensor]
OWN = ("presence", "label", "window_id", "t_ref", "label_shares", "label_weight")


class WindowSource(Protocol):
    """Any dataset that yields the batch dict: items one by one, or many at once."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Batch:
        """One window, without the batch axis."""
        ...


@runtime_checkable
class LabelledSource(WindowSource, Protocol):
    """A source that tells its labels without a window being read."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """(W,) class numbers, -1 where unknown."""
        ...


@runtime_checkable
class BatchSource(WindowSource, Protocol):
    """A source that yields many windows at once."""

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Many windows, with the batch axis."""
        ...


class LazySamples(Protocol):
    """Samples (W, steps, *sample_shape) of one input that need not lie in memory."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(W, steps, *sample_shape)."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the samples."""
        ...

    def __len__(self) -> int: ...

    def gather(self, rows: NDArray[np.int64], out: NDArray[Any]) -> None:
        """Put windows into `out` (len(rows), steps, *sample_shape)."""
        ...


class ArrayDataset(Dataset[Batch]):
    """Windows in their native dtypes; conversion waits until the model.

    Args:
        inputs: modality -> (W, steps, *sample_shape), an array or samples that are read where asked.
        presence: (W, K). labels: (W,), -1 where unknown. window_id, t_ref: (W,), optional.
        label_shares: (W, N) soft labels, all zero where there is none. label_weight: (W,) in (0, 1], what a
            weak label counts for. Batches hold them where they are given.
    """

    def __init__(
        self,
        inputs: Mapping[str, NDArray[Any] | LazySamples],
        presence: NDArray[np.float32],
        labels: NDArray[np.int64],
        *,
        window_id: NDArray[np.uint64] | None = None,
        t_ref: NDArray[np.int64] | None = None,
        label_shares: NDArray[np.float32] | None = None,
        label_weight: NDArray[np.float32] | None = None,
    ) -> None:
        count = len(labels)
        blank = np.zeros(count, np.int64)
        self._inputs = dict(inputs)
        self._rows = np.arange(count)  # of the inputs
        self._columns: dict[str, NDArray[Any]] = {
            "presence": np.asarray(presence, np.float32),
            "label": np.asarray(labels, np.int64),
            # torch does not index uint64; the bits stay the same.
            "window_id": blank if window_id is None else window_id.view(np.int64),
            "t_ref": blank if t_ref is None else t_ref,
        }
        for name, values in (("label_shares", label_shares), ("label_weight", label_weight)):
            if values is not None:
                self._columns[name] = np.asarray(values, np.float32)
        clash = sorted(set(inputs) & set(OWN))
        if clash:
            raise ValueError(f"inputs may not be named {clash}: the batch dict keeps these names for itself")
        for name, length in [(name, len(x)) for name, x in [*self._inputs.items(), *self._columns.items()]]:
            if length != count:
                raise ValueError(f"{name} holds {length} windows, labels {count}")

    @property
    def labels(self) -> NDArray[np.int64]:
        """(W,) class numbers, -1 where unknown."""
        return self._columns["label"]

    @property
    def ids(self) -> NDArray[np.int64]:
        """(W,) stable names, as in the plan."""
        return self._columns["window_id"]

    @property
    def presence(self) -> NDArray[np.float32]:
        """(W, K) which modalities a window has."""
        return self._columns["presence"]

    @property
    def label_weights(self) -> NDArray[np.float64]:
        """(W,) what the labels count for: 1, unless they are weak."""
        given = self._columns.get("label_weight")
        return np.ones(len(self)) if given is None else given.astype(np.float64)

    def label_mass(self, classes: int) -> NDArray[np.float64]:
        """(W, classes) what a label teaches of each class: its shares, times what it counts for."""
        soft = self._columns.get("label_shares")
        mass = one_hot(self.labels, classes)
        if soft is not None:
            mass = np.where(soft.any(axis=1, keepdims=True), soft, mass)
        return mass * self.label_weights[:, None]

    @property
    def in_memory(self) -> bool:
        """Whether no sample needs to be read from anywhere."""
        return all(isinstance(values, np.ndarray) for values in self._inputs.values())

    def __len__(self) -> int:
        return len(self._columns["label"])

    def __getitem__(self, index: int) -> Batch:
        rows = np.arange(len(self))[index]
        batch = self.__getitems__(np.atleast_1d(rows).tolist())
        return batch if np.ndim(rows) else {name: values[0] for name, values in batch.items()}

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Many windows as one batch: one copy, no stacking."""
        return self.gather(indices, self.blank(len(indices)))

    def blank(self, count: int) -> dict[str, NDArray[Any]]:
        """Memory for the inputs of a batch: (count, steps, *sample_shape) each."""
        return {name: np.empty((count, *x.shape[1:]), x.dtype) for name, x in self._inputs.items()}

    def gather(self, indices: Sequence[int], memory: Mapping[str, NDArray[Any]]) -> Batch:
        """Many windows as one batch whose inputs lie in `memory`, as `blank` gives it.

        Raises:
            IndexError: there is no such window.
        """
        rows = np.asarray(indices, dtype=np.int64)
        if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < len(self):
            raise IndexError(f"windows {rows.min()} to {rows.max()} of {len(self)}")
        places = self._rows[rows]
        for name, values in self._inputs.items():
            if isinstance(values, np.ndarray):
                # Rows are checked: with "raise", NumPy would fill a copy first.
                np.take(values, places, axis=0, out=memory[name], mode="clip")
            else:
                values.gather(places, memory[name])
        inputs = {name: torch.from_numpy(memory[name]) for name in self._inputs}
        return inputs | {name: torch.from_numpy(values[rows]) for name, values in self._columns.items()}

    def select(self, rows: NDArray[np.int64]) -> ArrayDataset:
        """Some of the windows; their samples are not copied."""
        chosen = copy.copy(self)
        chosen._rows = self._rows[rows]
        chosen._columns = {name: values[rows] for name, values in self._columns.items()}
        return chosen


def collate(items: Batch | Sequence[Batch]) -> Batch:
    """For a DataLoader: a batch that came at once passes, items that came one by one are stacked."""
    if isinstance(items, dict):
        return items
    return {name: torch.stack([item[name] for item in items]) for name in items[0]}


def labels_of(windows: WindowSource, *, asked_by: str) -> NDArray[np.int64]:
    """(W,) class numbers of a source's windows, -1 where unknown; `asked_by` is the key that needs them.

    Raises:
        ConfigError: the source does not tell them.
    """
    if not isinstance(windows, LabelledSource):
        raise ConfigError(
            "the windows do not tell their labels",
            inside=asked_by,
            found=f"a {type(windows).__name__} without `labels`",
            expected="`labels`: (W,) class numbers, -1 where unknown",
            mend=f"give the dataset such a property, use an ArrayDataset, or leave {asked_by} out",
        )
    labels = np.asarray(windows.labels)
    if labels.shape != (len(windows),) or labels.dtype.kind not in "iu":
        raise ConfigError(
            "the labels of the windows are not class numbers",
            inside=asked_by,
            found=f"{labels.dtype} of shape {labels.shape}",
            expected=f"whole numbers of shape ({len(windows)},), -1 where unknown",
        )
    return labels.astype(np.int64)
