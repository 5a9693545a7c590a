"""Windows that a run is judged by: of its held-out groups, or of other archives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensorkd.errors import SensorkdError, WindowError
from sensorkd.runs.data import Planned, as_dataset, open_data, plan_run, read_for
from sensorkd.runs.run import Run
from sensorkd.training.batches import ArrayDataset
from sensorkd.windows.arrays import WindowSet
from sensorkd.windows.labels import counted, encode_labels, label_windows, strange_labels
from sensorkd.windows.plan import plan_windows
from sensorkd.windows.splits import groups_of

__all__ = ["RunWindows", "windows_for"]


@dataclass(frozen=True)
class RunWindows:
    """Windows as a run's model takes them. labels: (W,), -1 where unknown. groups: W names.

    failed: files that could not be opened, or not be read whole; the others went on.
    """

    arrays: WindowSet
    labels: NDArray[np.int64]
    groups: list[str]
    clocks: list[str]
    notes: list[str]
    failed: tuple[SensorkdError, ...] = ()

    @property
    def dataset(self) -> ArrayDataset:
        """As the batch dict."""
        return as_dataset(self.arrays, self.labels)


def windows_for(
    run: Run, paths: Sequence[str] | None = None, *, labels: str | None = None, side: str = "test"
) -> RunWindows:
    """Windows as the run's model takes them: of the groups of a side, or of other archives.

    Raises:
        SensorkdError: archives cannot be used.
    """
    config = run.config
    if labels is not None:
        told = config.labels.model_copy(update={"table": labels, "more": ()})
        config = config.model_copy(update={"labels": told})
    if paths is None:
        planned = plan_run(config, split=run.split)
        rows = planned.split.rows(planned.groups, side)
        if not len(rows):
            held = list(run.groups[side])
            raise WindowError(
                f"no window of the run's {side} groups" if held else f"the run holds out no {side} groups",
                inside=f"split.{side}",
                found="; ".join(str(error) for error in planned.failed) or None,
                expected=f"windows of {held}" if held else None,
                mend="name archives with --data" + (", or put theirs back" if held else ""),
            )
        return _read(run, planned, rows, side)
    failed: list[SensorkdError] = []
    isolated = config.isolated_jobs
    recordings, notes = open_data(
        paths, config.layout, config.labels, on_error=failed.append, isolated_jobs=isolated
    )
    if failed and not recordings:
        raise failed[0]
    plan = plan_windows(
        recordings,
        run.encodings,
        hop=config.hop,
        segment_of=config.windows.segment_of,
        required=config.required,
    )
    notes += [f"no window from {name}: {why}" for name, why in plan.skipped]
    if any(config.target in recording.tracks for recording in recordings):
        names = label_windows(
            recordings, plan, config.target, encodings=run.encodings, rule=config.label_rule
        )
        numbers = _numbers(names, run.classes, notes)
    else:
        numbers = np.full(len(plan), -1, np.int64)
        targets = sorted({name for recording in recordings for name in recording.tracks})
        notes.append(f"nothing here labels target {config.target!r}; there are labels for {targets}")
    known_groups = config.split.by == "recording" or all(
        config.split.by in recording.identity for recording in recordings
    )
    groups = groups_of(recordings, plan, config.split.by if known_groups else "recording")
    reading = read_for(config, recordings, plan, run.encodings, on_note=notes.append)
    kept = reading.rows.tolist()
    clocks = [recordings[index].clock for index in plan.recording[kept].tolist()]
    failed += reading.failed
    sides = [groups[row] for row in kept]
    windows = RunWindows(reading.windows, numbers[kept], sides, clocks, notes, tuple(failed))
    return _with_required(windows, config.required)


def _read(run: Run, planned: Planned, rows: NDArray[np.int64], side: str) -> RunWindows:
    notes = list(planned.notes)
    gone = sorted(set(run.groups[side]) - {planned.groups[row] for row in rows})
    new = sorted(set(planned.groups) - {name for names in run.groups.values() for name in names})
    notes += [f"not judged, since no window of them is there any more: {gone}"] if gone else []
    notes += [f"not judged, since they came after the run: {new}; name them with --data"] if new else []
    plan = planned.plan.select(rows)
    # Not in the plan's encodings: with a file missing, they may be others than the run's.
    reading = read_for(run.config, planned.recordings, plan, run.encodings, on_note=notes.append)
    rows = rows[reading.rows]
    names = [None if label < 0 else planned.classes[label] for label in planned.labels[rows].tolist()]
    windows = RunWindows(
        reading.windows,
        _numbers(names, run.classes, notes),  # the table may have changed since
        [planned.groups[row] for row in rows],
        [planned.recordings[index].clock for index in planned.plan.recording[rows]],
        notes,
        (*planned.failed, *reading.failed),
    )
    return _with_required(windows, run.config.required)


def _numbers(names: Sequence[str | None], classes: Sequence[str], notes: list[str]) -> NDArray[np.int64]:
    """Class numbers; what the model does not know is not judged, and noted."""
    strange = strange_labels(names, classes)
    if strange:
        notes.append(f"windows of classes that the model does not know are not judged: {counted(strange)}")
    return encode_labels([None if name in strange else name for name in names], classes)


def _with_required(windows: RunWindows, required: Sequence[str]) -> RunWindows:
    """Without the windows that lack a required input, which is known for certain once they are read."""
    kept = windows.arrays.with_inputs(required)
    lost = len(windows.labels) - len(kept)
    if not lost:
        return windows
    return RunWindows(
        windows.arrays.select(kept),
        windows.labels[kept],
        [windows.groups[row] for row in kept],
        [windows.clocks[row] for row in kept],
        [*windows.notes, f"{lost} windows are left out, since a required input is absent: {list(required)}"],
        windows.failed,
    )
