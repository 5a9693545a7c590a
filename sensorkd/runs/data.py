"""From a configuration to windows: opens archives, plans, labels, splits and reads."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sensorkd.encoding import InputEncoding
from sensorkd.errors import ArchiveError, SensorkdError, SplitError, WindowError
from sensorkd.models.frontend import ChannelStats
from sensorkd.recordings import Recording, open_recordings
from sensorkd.runs.config import RunConfig
from sensorkd.runs.label_config import LabelConfig
from sensorkd.training.batches import ArrayDataset
from sensorkd.windows.encode import fix_encodings
from sensorkd.windows.health import sensor_health
from sensorkd.windows.labels import encode_labels, label_windows
from sensorkd.windows.plan import WindowPlan, plan_windows
from sensorkd.windows.read import WindowArrays, read_windows
from sensorkd.windows.splits import Split, few_labels, fold_of_groups, groups_of, split_by_group

__all__ = ["Planned", "channel_stats", "check_memory", "open_data", "plan_run", "read_arrays", "read_usable"]

STATS_WINDOWS, FEW_WINDOWS = 256, 16
MEMORY_LIMIT = 8 << 30

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Planned:
    """Windows of a run before any sample is read.

    labels: (W,) class numbers, -1 where unknown. groups: W names. notes: what a user should know.
    """

    recordings: list[Recording]
    encodings: dict[str, InputEncoding]
    plan: WindowPlan
    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    groups: list[str]
    split: Split
    notes: list[str]

    def rows(self, side: str) -> NDArray[np.int64]:
        """Labelled windows of a side: `train`, `dev` or `test`."""
        rows = self.split.rows(self.groups, side)
        return rows[self.labels[rows] >= 0]


def open_data(
    paths: Sequence[str],
    layout: str | None,
    labels: LabelConfig,
    *,
    on_error: Callable[[SensorkdError], None] | None = None,
) -> tuple[list[Recording], list[str]]:
    """Recordings with their labels, and notes on label rows that fit none of them.

    Raises:
        ArchiveError: a file cannot be used; with `on_error`, which is told instead, only a missing one.
    """
    for path in paths:
        if not Path(path).exists():
            unset = "it names a variable that is not set; " if "$" in path else ""
            raise ArchiveError(
                "no such file or folder", file=path, mend=f"{unset}override it with data=[PATH]"
            )
    recordings = open_recordings(paths, layout, on_error=on_error)
    return labels.apply(recordings)


def plan_run(config: RunConfig) -> Planned:
    """Open, plan, label and split as a configuration says; samples are read later.

    Raises:
        SensorkdError: data, layout, labels or split cannot be used as asked.
    """
    recordings, notes = open_data(config.data, config.layout, config.labels)
    split = _split(recordings, config)
    by = config.split.by
    learned = [recording for recording in recordings if _group(recording, by) in split.train]
    encodings = fix_encodings(learned, config.requests)
    plan = plan_windows(
        recordings,
        encodings,
        hop=config.hop,
        segment_of=config.windows.segment_of,
        required=config.required,
    )
    notes += [f"no window from {name}: {why}" for name, why in plan.skipped]
    if notes and not any(config.target in recording.tracks for recording in recordings):
        raise WindowError(
            f"nothing labels target {config.target!r}",
            found="; ".join(notes[:3]) + (f"; and {len(notes) - 3} more" if len(notes) > 3 else ""),
            mend="correct `labels` or `target` in the configuration",
        )
    names = label_windows(recordings, plan, config.target, encodings=encodings, rule=config.label_rule)
    groups = groups_of(recordings, plan, by)
    train_rows = split.rows(groups, "train")
    seen = {name for row in train_rows if (name := names[row]) is not None}
    # A rule tells its classes in their order, from new to worn; tables do not.
    rule = config.labels.derive.get(config.target)
    classes = tuple(sorted(seen) if rule is None else [name for name in rule.classes if name in seen])
    if len(classes) < 2:
        raise SplitError(
            "training needs at least two classes",
            found=f"{list(classes)} in training groups {list(split.train)}",
            mend="correct `target` or `split`",
        )
    labels = encode_labels(names, classes)
    if config.labels_per_class is not None:
        labels = _keep_few(labels, groups, train_rows, config)
    return Planned(recordings, encodings, plan, classes, labels, groups, split, notes)


def _group(recording: Recording, by: str) -> str:
    return recording.id if by == "recording" else recording.identity.get(by, "")


def _split(recordings: Sequence[Recording], config: RunConfig) -> Split:
    by = config.split.by
    one_each = WindowPlan(
        (),
        np.arange(len(recordings)),
        np.zeros(len(recordings), np.int64),
        np.zeros((0, 0), np.float32),
        np.zeros(0, np.uint64),
    )
    groups, split = groups_of(recordings, one_each, by), config.split
    test = split.test
    if split.folds is not None:
        others = [name for name in groups if name not in split.dev]
        test = fold_of_groups(others, folds=split.folds, fold=split.fold)
    return split_by_group(groups, dev=split.dev, test=test)


def _keep_few(
    labels: NDArray[np.int64], groups: Sequence[str], train_rows: NDArray[np.int64], config: RunConfig
) -> NDArray[np.int64]:
    """Forget all training labels but k a class; dev and test keep theirs."""
    assert config.labels_per_class is not None
    few = few_labels(
        labels[train_rows],
        [groups[row] for row in train_rows],
        per_class=config.labels_per_class,
        seed=config.seed,
    )
    kept = labels.copy()
    kept[train_rows] = -1
    kept[train_rows[few]] = labels[train_rows[few]]
    return kept


def read_usable(
    planned: Planned, rows: NDArray[np.int64], required: Sequence[str], progress: Progress | None = None
) -> tuple[WindowArrays, NDArray[np.int64]]:
    """Read those of some windows into memory that hold any input, and all `required` ones; and their rows.

    Whether samples are usable is known only when they are read.

    Raises:
        WindowError: there is none such.
    """
    arrays = read_arrays(planned, rows, progress)
    kept = np.intersect1d(arrays.with_inputs(required), np.flatnonzero(arrays.presence.any(axis=1)))
    if len(rows) and not len(kept):
        health = sensor_health(arrays, {name: item.min_coverage for name, item in planned.encodings.items()})
        raise WindowError(
            "no window holds any input" + (f", and all of {list(required)}" if required else ""),
            found="; ".join(f"{name} {item.told()}" for name, item in health.items()),
            mend="correct `inputs`: spans, valid_range, full_scale, min_coverage, required",
        )
    return (arrays if len(kept) == len(rows) else arrays.select(kept)), rows[kept]


def read_arrays(planned: Planned, rows: NDArray[np.int64], progress: Progress | None = None) -> WindowArrays:
    """Read some windows into memory.

    Raises:
        ArchiveError: they would not fit.
    """
    check_memory(planned.encodings, len(rows))
    return read_windows(planned.recordings, planned.plan.select(rows), planned.encodings, progress=progress)


def check_memory(encodings: Mapping[str, InputEncoding], windows: int) -> None:
    """Refuse so many windows as do not fit into memory.

    Raises:
        ArchiveError: they would not fit.
    """
    size = sum(np.dtype(e.dtype).itemsize * math.prod(e.shape) for e in encodings.values())
    if size * windows > MEMORY_LIMIT:
        raise ArchiveError(
            "the windows do not fit into memory",
            found=f"{windows:,} windows of {size:,} bytes: {size * windows / 2**30:.1f} GiB",
            expected=f"at most {MEMORY_LIMIT / 2**30:.0f} GiB",
            mend="lengthen windows.hop, shorten spans, or name less data",
        )


def as_dataset(arrays: WindowArrays, labels: NDArray[np.int64]) -> ArrayDataset:
    """Windows in memory as a dataset that yields the batch dict."""
    return ArrayDataset(arrays.inputs, arrays.presence, labels, window_id=arrays.id, t_ref=arrays.t_ref)


def channel_stats(planned: Planned, seed: int) -> dict[str, ChannelStats]:
    """Mean of each channel and one deviation an input, in physical units, from training windows.

    One deviation serves all channels, so that axes of a sensor keep their proportions. A drawn sample of
    256 windows, labelled or not, is enough; an input that few of them have is looked for in others.

    Raises:
        ArchiveError: an input is absent from all of them.
    """
    rows = _stats_rows(planned, seed)
    arrays = read_windows(planned.recordings, planned.plan.select(rows), planned.encodings)
    stats = {}
    for index, (name, encoding) in enumerate(planned.encodings.items()):
        values = arrays.inputs[name][arrays.presence[:, index] > 0]
        if not len(values):
            raise ArchiveError(
                f"input {name!r} is absent from every training window that was looked at",
                found=f"presence 0 in {len(rows)} windows",
                mend="leave it out of `inputs`, or check its unit and valid range with `sensorkd inspect`",
            )
        stats[name] = _stats(values, encoding)
    return stats


def _stats_rows(planned: Planned, seed: int) -> NDArray[np.int64]:
    every = planned.split.rows(planned.groups, "train")
    if len(every) <= STATS_WINDOWS:
        return every
    generator = np.random.default_rng(seed)
    rows = generator.choice(every, STATS_WINDOWS, replace=False)
    for column, encoding in enumerate(planned.encodings.values()):
        logged = planned.plan.coverage[:, column] >= encoding.min_coverage - 1e-6
        if logged[rows].sum() < FEW_WINDOWS:
            there = every[logged[every]]
            more = generator.choice(there, min(STATS_WINDOWS // 4, len(there)), replace=False)
            rows = np.concatenate([rows, np.setdiff1d(more, rows)])
    return np.sort(rows)


def _stats(values: NDArray[np.generic], encoding: InputEncoding) -> ChannelStats:
    flat = values.reshape(-1, encoding.sample_shape[-1])
    flat = flat[:: max(1, len(flat) // 1_000_000)]
    physical = flat.astype(np.float64) * encoding.scale + encoding.offset
    low, high = encoding.valid_range
    physical[~((physical >= low) & (physical <= high))] = np.nan
    mean = np.nan_to_num(np.nanmean(physical, axis=0))
    deviation = float(np.sqrt(np.nanmean((physical - mean) ** 2)))
    # A constant channel must not blow up; its unit's last bit is as small as a deviation can be.
    floor = max(abs(encoding.scale), 1e-6)
    return ChannelStats(tuple(mean.tolist()), (max(deviation, floor),) * len(mean))
