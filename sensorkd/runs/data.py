"""From a configuration to planned windows: opens archives, plans, labels and splits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sensorkd.errors import ArchiveError, SensorkdError, SplitError, WindowError
from sensorkd.recordings import Recording, open_recordings
from sensorkd.recordings.isolated import open_isolated
from sensorkd.runs.config import RunConfig
from sensorkd.runs.label_config import LabelConfig
from sensorkd.runs.planned import Planned, as_dataset, with_few_labels
from sensorkd.runs.reading import check_memory, read_arrays, read_for, read_training, read_usable
from sensorkd.windows.encode import fix_encodings
from sensorkd.windows.labels import (
    WindowLabels,
    counted,
    encode_labels,
    encode_shares,
    grade_windows,
    strange_labels,
)
from sensorkd.windows.plan import WindowPlan, plan_windows
from sensorkd.windows.splits import Split, fold_of_groups, groups_of, split_by_group

__all__ = [
    "Planned",
    "as_dataset",
    "check_memory",
    "open_data",
    "plan_run",
    "read_arrays",
    "read_for",
    "read_training",
    "read_usable",
]


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
                "no such file or folder",
                file=path,
                mend=f"{unset}correct the path; `train` takes data=[PATH], other verbs --data PATH",
            )
    if isolated_jobs is None:
        recordings = open_recordings(paths, layout, on_error=on_error)
    else:
        recordings = open_isolated(paths, layout, on_error=on_error, jobs=isolated_jobs)
    return labels.apply(recordings)


def plan_run(config: RunConfig, *, split: Split | None = None) -> Planned:
    """Open, plan, label and split as a configuration says; samples are read later.

    Files that cannot be opened are left out, and told in `failed`.

    Args:
        split: of a run that was trained; default drawn from the groups that are there, which would be
            another one where archives came or went since.

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
        return _planned(config, recordings, notes, failed, split)
    except SensorkdError as error:
        if failed:
            # A group, a class or an input may be missing for no other reason.
            names = ", ".join(str(item.file) for item in failed[:3]) + (" ..." if len(failed) > 3 else "")
            error.found = (
                f"{error.found}; left out, since they cannot be opened: {names}: {failed[0].problem}"
            )
        raise


def _planned(
    config: RunConfig,
    recordings: list[Recording],
    notes: list[str],
    failed: Sequence[SensorkdError],
    split: Split | None,
) -> Planned:
    split = split or _split(recordings, config)
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
    groups = groups_of(recordings, plan, by)
    train_rows = split.rows(groups, "train")
    found = grade_windows(recordings, plan, config.target, encodings=encodings, rule=config.label_rule)
    classes = _classes(found, train_rows, split, config)
    strange = {
        side: strange_labels((found.names[row] for row in split.rows(groups, side)), classes)
        for side in ("dev", "test")
    }
    planned = Planned(
        recordings=recordings,
        encodings=encodings,
        plan=plan,
        classes=classes,
        labels=encode_labels([name if name in classes else None for name in found.names], classes),
        groups=groups,
        split=split,
        notes=[*notes, *_notes_on_shares(found, train_rows, classes), *_notes_on_strange(strange)],
        strange=strange,
        failed=tuple(failed),
        label_shares=encode_shares(found, classes),
        label_weights=found.weights,
    )
    return _with_note_on_unlabelled(with_few_labels(planned, config), config)


def _with_note_on_unlabelled(planned: Planned, config: RunConfig) -> Planned:
    if not config.method.method().unlabelled:
        return planned
    spare, every = len(planned.unlabelled_rows()), len(planned.split.rows(planned.groups, "train"))
    note = f"{spare:,} of {every:,} windows of the training groups have no label"
    if not spare and config.method.name == "lsskd":
        note = (
            f"all {every:,} windows of the training groups have a label: where hundreds have one, plain "
            "training was as good in a third of the time; try method.name=ce"
        )
    if spare and config.method.method().align and config.unlabelled_shares is None:
        note += "; if you know how common each class is among them, say so in `unlabelled_shares`"
    return dataclasses.replace(planned, notes=[*planned.notes, note])


def _classes(
    found: WindowLabels, train_rows: NDArray[np.int64], split: Split, config: RunConfig
) -> tuple[str, ...]:
    """Those that training windows are of. Of soft labels, the largest share counts: a class that is never
    the likeliest could be neither counted nor drawn."""
    seen = {name for row in train_rows if (name := found.names[row]) is not None}
    # A rule tells its classes in their order, from new to worn; tables do not.
    rule = config.labels.derive.get(config.target)
    classes = tuple(sorted(seen) if rule is None else [name for name in rule.classes if name in seen])
    if len(classes) < 2:
        raise SplitError(
            "training needs at least two classes",
            found=f"{list(classes)} in training groups {list(split.train)}",
            mend="correct `target` or `split`",
        )
    return classes


def _notes_on_strange(strange: Mapping[str, Mapping[str, int]]) -> list[str]:
    return [
        f"windows of {side} groups, of classes that no training group has, are not judged: {counted(some)}"
        for side, some in strange.items()
        if some
    ]


def _notes_on_shares(found: WindowLabels, train_rows: NDArray[np.int64], classes: Sequence[str]) -> list[str]:
    if found.shares is None:
        return []
    occur = np.flatnonzero(found.shares[train_rows].max(axis=0, initial=0.0)).tolist()
    others = sorted({found.classes[column] for column in occur} - {*classes})
    told = f"shares of {others} are left out: in no training window is one of these the largest"
    return [told] if others else []


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
