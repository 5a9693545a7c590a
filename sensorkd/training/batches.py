"""The batch dict, and a dataset of arrays in memory that yields it.

A batch maps every modality to its native samples (B, steps, *sample_shape), and
`presence` (B, K) float32, `label` (B,) int64 (-1 where unknown), `window_id` (B,) and `t_ref` (B,) int64.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from sensorkd.errors import ConfigError

__all__ = ["ArrayDataset", "Batch", "LabelledSource", "WindowSource", "collate", "labels_of"]

Batch = dict[str, Tensor]
OWN = ("presence", "label", "window_id", "t_ref")


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


class ArrayDataset(Dataset[Batch]):
    """Windows held in memory in their native dtypes; conversion waits until the model.

    Args:
        inputs: modality -> (W, steps, *sample_shape). presence: (W, K). labels: (W,), -1 where unknown.
        window_id, t_ref: (W,), optional.
    """

    def __init__(
        self,
        inputs: Mapping[str, NDArray[Any]],
        presence: NDArray[np.float32],
        labels: NDArray[np.int64],
        *,
        window_id: NDArray[np.uint64] | None = None,
        t_ref: NDArray[np.int64] | None = None,
    ) -> None:
        count = len(labels)
        blank = np.zeros(count, np.int64)
        self._arrays: dict[str, NDArray[Any]] = {
            **inputs,
            "presence": np.asarray(presence, np.float32),
            "label": np.asarray(labels, np.int64),
            # torch does not index uint64; the bits stay the same.
            "window_id": blank if window_id is None else window_id.view(np.int64),
            "t_ref": blank if t_ref is None else t_ref,
        }
        clash = sorted(set(inputs) & set(OWN))
        if clash:
            raise ValueError(f"inputs may not be named {clash}: the batch dict keeps these names for itself")
        for name, values in self._arrays.items():
            if len(values) != count:
                raise ValueError(f"{name} holds {len(values)} windows, labels {count}")

    @property
    def labels(self) -> NDArray[np.int64]:
        """(W,) class numbers, -1 where unknown."""
        return self._arrays["label"]

    def __len__(self) -> int:
        return len(self._arrays["label"])

    def __getitem__(self, index: int) -> Batch:
        return {name: torch.as_tensor(values[index]) for name, values in self._arrays.items()}

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Many windows as one batch: one copy, no stacking."""
        rows = np.asarray(indices, dtype=np.int64)
        return {name: torch.from_numpy(values[rows]) for name, values in self._arrays.items()}

    def select(self, rows: NDArray[np.int64]) -> ArrayDataset:
        """Some of the windows."""
        arrays = {name: values[rows] for name, values in self._arrays.items()}
        return ArrayDataset(
            {name: values for name, values in arrays.items() if name not in OWN},
            arrays["presence"],
            arrays["label"],
            window_id=arrays["window_id"].view(np.uint64),
            t_ref=arrays["t_ref"],
        )


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
