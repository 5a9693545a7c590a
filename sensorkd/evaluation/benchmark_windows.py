"""The windows that a cell is judged by, and the subsets of sensors it is judged with."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sensorkd.encoding import InputEncoding
from sensorkd.errors import WindowError
from sensorkd.runs.config import RunConfig
from sensorkd.runs.data import as_dataset, plan_run, read_for
from sensorkd.training.batches import ArrayDataset
from sensorkd.training.inference import sensor_subsets
from sensorkd.windows.arrays import WindowSet

__all__ = ["Judged", "input_encodings", "judged_windows", "signals_of", "subsets_of"]

# What decides which windows are judged, and how they are read; not how many labels are learned from.
DECIDING = (
    "data", "layout", "target", "labels", "label_rule", "inputs", "windows", "split", "cache", "isolated"
)  # fmt: skip


@dataclass(frozen=True)
class Judged:
    """W labelled windows of held-out groups. labels: (W,). groups: W names. id: (W,), as in the plan.

    left_out: what was wrong with files that could not be opened or read. strange: class that no training
    group has -> its windows, which are not judged.
    """

    arrays: WindowSet
    labels: NDArray[np.int64]
    groups: tuple[str, ...]
    classes: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    strange: Mapping[str, int] = field(default_factory=dict)

    @property
    def id(self) -> NDArray[np.uint64]:
        """Stable names of the windows."""
        return self.arrays.id

    @property
    def dataset(self) -> ArrayDataset:
        """As the batch dict."""
        return as_dataset(self.arrays, self.labels)


def judged_windows(
    config: RunConfig, encodings: Mapping[str, InputEncoding], classes: Sequence[str], side: str
) -> Judged:
    """Labelled windows of a side; the same for every method, budget and seed of a fold, so read once.

    Raises:
        WindowError: there is none.
    """
    found = _read(_asked(config, side))
    if found.classes != tuple(classes) or found.encodings != dict(encodings):
        raise WindowError(
            "the windows to judge by are not those of training",
            found=f"classes {list(found.classes)}",
            expected=f"{list(classes)}",
            mend="put archives and label table back as they were",
        )
    return found.windows


def input_encodings(config: RunConfig, side: str) -> dict[str, InputEncoding]:
    """The inputs of a run, known without training it: of the windows that judge it, which are kept for it.

    Raises:
        WindowError: there is none.
    """
    return _read(_asked(config, side)).encodings


@dataclass(frozen=True)
class _Asked:
    """The key alone tells two apart."""

    key: str
    side: str
    config: RunConfig = dataclasses.field(compare=False)


def _asked(config: RunConfig, side: str) -> _Asked:
    tree = config.model_dump(mode="json")
    return _Asked(json.dumps({name: tree[name] for name in DECIDING}, sort_keys=True), side, config)


@dataclass(frozen=True)
class _Found:
    windows: Judged
    encodings: dict[str, InputEncoding]
    classes: tuple[str, ...]


@functools.lru_cache(maxsize=3)
def _read(asked: _Asked) -> _Found:
    config = asked.config
    planned = plan_run(config)
    rows = planned.rows(asked.side)
    reading = read_for(config, planned.recordings, planned.plan.select(rows), planned.encodings)
    kept = reading.windows.with_inputs(config.required)
    rows = rows[reading.rows[kept]]
    if not len(rows):
        raise WindowError(
            "no labelled window to judge by",
            inside=f"split.{asked.side}",
            found=f"groups {list(getattr(config.split, asked.side))} without any",
            mend="name groups with labels in `split` of the benchmark",
        )
    groups = tuple(planned.groups[row] for row in rows)
    left_out = tuple(map(str, (*planned.failed, *reading.failed)))
    windows = Judged(
        reading.windows.select(kept),
        planned.labels[rows],
        groups,
        planned.classes,
        left_out,
        planned.strange[asked.side],
    )
    return _Found(windows, dict(planned.encodings), planned.classes)


def signals_of(encodings: Mapping[str, InputEncoding]) -> tuple[str, ...]:
    """Inputs of which a sample is a few numbers, not a picture."""
    return tuple(name for name, item in encodings.items() if len(item.sample_shape) == 1)


def subsets_of(encodings: Mapping[str, InputEncoding], sensors: str) -> list[tuple[str, ...]]:
    """All inputs, all signals among them, and as asked: `none`, `singles` or `all` subsets."""
    every = tuple(encodings)
    more: list[tuple[str, ...]] = []
    if sensors == "singles":
        more = [(name,) for name in every]
    elif sensors == "all":
        more = sensor_subsets(every)
    signals = signals_of(encodings)
    return list(dict.fromkeys([every, *([signals] if signals else []), *more]))
