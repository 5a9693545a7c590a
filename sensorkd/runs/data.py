"""From a configuration to windows: opens archives, plans, labels, splits and reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sensorkd.encoding import InputEncoding
from sensorkd.errors import ArchiveError, SensorkdError, SplitError, WindowError
from sensorkd.processes import ChildLimits
from sensorkd.recordings import Recording, open_recordings
from sensorkd.recordings.isolated import open_isolated
from sensorkd.runs.config import RunConfig
from sensorkd.runs.label_config import LabelConfig
from sensorkd.training.batches import ArrayDataset
from sensorkd.windows.arrays import Reading, WindowSet
from sensorkd.windows.encode import fix_encodings
from sensorkd.windows.health import sensor_health
from sensorkd.windows.labels import encode_labels, label_windows
from sensorkd.windows.plan import WindowPlan, plan_windows
from sensorkd.windows.read import WindowArrays, read_windows
from sensorkd.windows.reading import read_plan, window_bytes
from sensorkd.windows.splits import Split, few_labels, fold_of_groups, groups_of, split_by_group

__all__ = [
    "Planned",
    "check_memory",
    "open_data",
    "plan_run",
    "read_arrays",
    "read_for",
    "read_usable",
]

MEMORY_LIMIT = 8 << 30

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Planned:
    """Windows of a run before any sample is read.

    labels: (W,) class numbers, -1 where unknown. groups: W names. notes: what a user should know. failed:
    files that could not be opened; the others went on.
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
    isolated_jobs: int | None = None,
) -> tuple[list[Recording], list[str]]:
    """Recordings with their labels, and notes on label rows that fit none of them.

    Args:
        isolated_jobs: open each file in a child process, so many at once; None opens them here.

    Raises:
        ArchiveError: a file cannot be used; with `on_error`, which is told instead, only a missing one.
    """
    for path in paths:
        if not Path(path).exists():
            unset = "it names a variable that is not set; " if "$" in path else ""
            raise ArchiveError(
                "no such file or folder", file=path, mend=f"{unset}override it with data=[PATH]"
            )
    if isolated_jobs is None:
        recordings = open_recordings(paths, layout, on_error=on_error)
    else:
        recordings = open_isolated(paths, layout, on_error=on_error, jobs=isolated_jobs)
    return labels.apply(recordings)


def plan_run(config: RunConfig) -> Planned:
    """Open, plan, label and split as a configuration says; samples are read later.

    Files that cannot be opened are left out, and told in `failed`.

    Raises:
        SensorkdError: data, layout, labels or split cannot be used as asked.
    """
    failed: list[SensorkdError] = []
    recordings, notes = open_data(
        config.data, config.layout, config.labels, on_error=failed.append, isolated_jobs=config.isolated_jobs
    )
    if failed and not recordings:
        raise failed[0]
    try:
        return _planned(config, recordings, notes, failed)
    except SensorkdError as error:
        if failed:
            # A group, a class or an input may be missing for no other reason.
            names = ", ".join(str(item.file) for item in failed[:3]) + (" ..." if len(failed) > 3 else "")
            error.found = (
                f"{error.found}; left out, since they cannot be opened: {names}: {failed[0].problem}"
            )
        raise


def _planned(
    config: RunConfig, recordings: list[Recording], notes: list[str], failed: Sequence[SensorkdError]
) -> Planned:
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
    return Planned(recordings, encodings, plan, classes, labels, groups, split, notes, tuple(failed))


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


def read_for(
    config: RunConfig,
    recordings: Sequence[Recording],
    plan: WindowPlan,
    encodings: Mapping[str, InputEncoding],
    *,
    progress: Progress | None = None,
    on_note: Callable[[str], None] | None = None,
) -> Reading:
    """The windows of a plan that can be read, from where the configuration says: see `read_plan`."""
    # A hostile file may make its reader hang; a large one needs its time.
    limits = ChildLimits(seconds=60.0 + len(plan) + window_bytes(encodings) * len(plan) / 1e6, memory=4 << 30)
    settings = config.cache.settings(isolated=config.isolated, limits=limits)
    return read_plan(recordings, plan, encodings, settings, progress=progress, on_note=on_note)


def read_usable(
    planned: Planned,
    rows: NDArray[np.int64],
    config: RunConfig,
    progress: Progress | None = None,
    on_note: Callable[[str], None] | None = None,
) -> Reading:
    """Those of some windows that hold any input, and all required ones; `rows` of them in the plan.

    Whether samples are usable is known only when they are read.

    Raises:
        WindowError: there is none such.
    """
    required = config.required
    reading = read_for(
        config,
        planned.recordings,
        planned.plan.select(rows),
        planned.encodings,
        progress=progress,
        on_note=on_note,
    )
    windows = reading.windows
    kept = np.intersect1d(windows.with_inputs(required), np.flatnonzero(windows.presence.any(axis=1)))
    if len(rows) and not len(kept):
        health = sensor_health(windows, {name: item.min_coverage for name, item in planned.encodings.items()})
        raise WindowError(
            "no window holds any input" + (f", and all of {list(required)}" if required else ""),
            found="; ".join(
                [f"{name} {item.told()}" for name, item in health.items()]
                + [f"{error.file}: {error.problem}" for error in reading.failed[:3]]
            ),
            mend="correct `inputs`: spans, valid_range, full_scale, min_coverage, required",
        )
    usable = windows if len(kept) == len(windows) else windows.select(kept)
    return Reading(usable, rows[reading.rows[kept]], reading.failed)


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
    size = window_bytes(encodings)
    if size * windows > MEMORY_LIMIT:
        raise ArchiveError(
            "the windows do not fit into memory",
            found=f"{windows:,} windows of {size:,} bytes: {size * windows / 2**30:.1f} GiB",
            expected=f"at most {MEMORY_LIMIT / 2**30:.0f} GiB",
            mend="lengthen windows.hop, shorten spans, or name less data",
        )


def as_dataset(windows: WindowSet, labels: NDArray[np.int64]) -> ArrayDataset:
    """Windows as a dataset that yields the batch dict."""
    return ArrayDataset(windows.inputs, windows.presence, labels, window_id=windows.id, t_ref=windows.t_ref)
