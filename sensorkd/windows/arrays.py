"""Windows that were read: their samples, in memory or not, and what is known of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd.errors import SensorkdError
from sensorkd.windows.samples import Samples, SomeRows

__all__ = ["Reading", "WindowArrays", "WindowSet"]


@dataclass(frozen=True)
class WindowSet:
    """W windows as the device would see them; their samples may lie in a cache or in the archives.

    inputs: name -> (W, steps, *sample_shape) in the encoding's dtype; an index gives a copy of some.
    presence: (W, K) float32 of 0 and 1, in the order of `inputs`. coverage: (W, K) share of each span that
    was logged. faults: (W, K, F) shares of the samples with each of quality.FAULTS. id, t_ref: as in the
    plan. recording: (W,) ids.
    """

    inputs: Mapping[str, Samples]
    presence: NDArray[np.float32]
    coverage: NDArray[np.float32]
    faults: NDArray[np.float32]
    id: NDArray[np.uint64]
    t_ref: NDArray[np.int64]
    recording: NDArray[Any]

    def __len__(self) -> int:
        return len(self.t_ref)

    def select(self, rows: NDArray[np.int64]) -> WindowSet:
        """Some of the windows; their samples are not copied."""
        inputs = {name: SomeRows(values, rows) for name, values in self.inputs.items()}
        return WindowSet(inputs, *self._columns(rows))

    def _columns(self, rows: NDArray[np.int64]) -> tuple[NDArray[Any], ...]:
        every = (self.presence, self.coverage, self.faults, self.id, self.t_ref, self.recording)
        return tuple(values[rows] for values in every)

    def with_inputs(self, required: Sequence[str]) -> NDArray[np.int64]:
        """Rows of the windows in which all `required` inputs are present."""
        columns = [list(self.inputs).index(name) for name in required]
        return np.flatnonzero(self.presence[:, columns].all(axis=1))

    def save(self, path: str | Path) -> None:
        """Write an .npz that `python -m sensorkd.edge predict` takes; all samples are read for it."""
        arrays: dict[str, Any] = {f"input.{name}": values for name, values in self.inputs.items()}
        arrays |= {
            "presence": self.presence,
            "id": self.id,
            "t_ref": self.t_ref,
            "recording": np.asarray(self.recording, dtype=np.str_),
        }
        with Path(path).open("wb") as handle:
            np.savez(handle, **arrays)


@dataclass(frozen=True)
class WindowArrays(WindowSet):
    """W windows in memory; see WindowSet."""

    inputs: dict[str, NDArray[Any]]

    def select(self, rows: NDArray[np.int64]) -> WindowArrays:
        """A copy of some of the windows."""
        inputs = {name: values[rows] for name, values in self.inputs.items()}
        return WindowArrays(inputs, *self._columns(rows))

    def lazily(self) -> WindowSet:
        """The same, of which `select` copies no samples."""
        return WindowSet(**{**vars(self)})


@dataclass(frozen=True)
class Reading:
    """Windows of a plan that could be read. rows: (V,) which of the plan. failed: one error a bad file."""

    windows: WindowSet
    rows: NDArray[np.int64]
    failed: tuple[SensorkdError, ...] = ()
