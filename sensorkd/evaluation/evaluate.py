"""Judges a run on groups it never saw, with all sensors and with every subset of them."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd.alarms import AlarmRule
from sensorkd.errors import ArchiveError, SensorkdError, WindowError
from sensorkd.evaluation.alarm_report import AlarmReport, choose_rule, report_alarms, scored_windows
from sensorkd.evaluation.alarm_windows import ScoredWindows
from sensorkd.evaluation.prior_shift import PriorReport, report_prior
from sensorkd.runs.data import Planned, as_dataset, open_data, plan_run, read_for
from sensorkd.runs.run import Run
from sensorkd.training.batches import ArrayDataset
from sensorkd.training.inference import predict_logits, predict_subsets
from sensorkd.training.metrics import Metrics, classification_metrics
from sensorkd.windows.arrays import WindowSet
from sensorkd.windows.health import SensorHealth, sensor_health
from sensorkd.windows.labels import encode_labels, label_windows
from sensorkd.windows.plan import plan_windows
from sensorkd.windows.splits import groups_of

__all__ = [
    "Evaluation",
    "RunWindows",
    "alarm_rule_of",
    "evaluate_run",
    "evaluate_windows",
    "sensor_subsets",
    "windows_for",
]


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


@dataclass(frozen=True)
class Evaluation:
    """overall: with every sensor that is there. subsets: "a+b" -> with only those. reached: "a+b" -> share of
    the windows that have any of them; the others are judged from nothing.

    logits: (W, N) of the judged windows; subset_logits: "a+b" -> the same with only those. labels, groups,
    recordings, t_ref: theirs. health: input -> counts over all windows, labelled or not. alarms: None where
    the configuration has no alarm rule. prior: how class shares have shifted. failed: files that
    could not be opened, or not be read whole.
    """

    overall: Metrics
    subsets: dict[str, Metrics]
    reached: dict[str, float]
    logits: NDArray[np.float32]
    subset_logits: dict[str, NDArray[np.float32]]
    labels: NDArray[np.int64]
    groups: list[str]
    recordings: list[str]
    t_ref: NDArray[np.int64]
    classes: tuple[str, ...]
    health: dict[str, SensorHealth]
    alarms: AlarmReport | None
    prior: PriorReport
    notes: list[str]
    failed: tuple[SensorkdError, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The metrics and the classes, as plain values."""
        return {
            **self.overall.to_json(),
            "classes": list(self.classes),
            "groups": sorted(set(self.groups)),
            "subsets": {
                name: {key: value for key, value in metrics.to_json().items() if key != "confusion"}
                | {"reached": self.reached[name]}
                for name, metrics in self.subsets.items()
            },
            "sensors": {name: item.to_json() for name, item in self.health.items()},
            "prior": self.prior.to_json(),
            "alarms": None if self.alarms is None else self.alarms.to_json(),
            "notes": self.notes,
            "errors": [str(error) for error in self.failed],
        }


def evaluate_run(run: Run, paths: Sequence[str] | None = None, *, labels: str | None = None) -> Evaluation:
    """Judge a run by its test groups, or by other archives.

    Args:
        paths: archives to judge by, all of their labelled windows; None for the run's test groups.
        labels: a label table for them; default the run's.

    Raises:
        WindowError: no labelled window to judge by.
    """
    return evaluate_windows(run, windows_for(run, paths, labels=labels))


def evaluate_windows(run: Run, windows: RunWindows) -> Evaluation:
    """Judge a run by windows that were read; see `evaluate_run`."""
    known = np.flatnonzero(windows.labels >= 0)
    if not len(known):
        raise WindowError(
            "no labelled window to judge by",
            found=f"{len(windows.labels)} windows, none with target {run.config.target!r}",
            mend="name archives with labels (--data), or split.test groups in the configuration",
        )
    student, arrays, truth = run.student(), windows.arrays, windows.labels[known]
    every_logit = predict_logits(student, windows.dataset)
    dataset, logits = windows.dataset.select(known), every_logit[known]
    subsets = sensor_subsets(student.modalities)
    subset_logits = predict_subsets(student, dataset, subsets)
    reached = {}
    for names in subsets:
        columns = [student.modalities.index(name) for name in names]
        reached["+".join(names)] = float(arrays.presence[known][:, columns].any(axis=1).mean())
    groups = [windows.groups[row] for row in known]
    return Evaluation(
        overall=classification_metrics(logits, truth),
        subsets={name: classification_metrics(item, truth) for name, item in subset_logits.items()},
        reached=reached,
        logits=logits,
        subset_logits=subset_logits,
        labels=truth,
        groups=groups,
        recordings=[str(name) for name in arrays.recording[known]],
        t_ref=arrays.t_ref[known],
        classes=run.classes,
        health=sensor_health(arrays, {name: item.min_coverage for name, item in run.encodings.items()}),
        alarms=_alarms(run, windows, every_logit),
        prior=report_prior(logits, truth, run.prior, run.classes),
        notes=[*windows.notes, *_notes(run, groups)],
        failed=windows.failed,
    )


def _notes(run: Run, groups: Sequence[str]) -> list[str]:
    seen = sorted(set(groups) & set(run.groups["train"]))
    return [f"judged also on groups that were trained on: {seen}"] if seen else []


def _alarms(run: Run, windows: RunWindows, logits: NDArray[np.float32]) -> AlarmReport | None:
    """Alarms over all windows in order of time, labelled or not; None without a rule."""
    config, ruled = run.config.alarm, alarm_rule_of(run)
    if config is None or ruled is None:
        return None
    return report_alarms(_scored(run, windows, logits, ruled[0]), config, *ruled)


def alarm_rule_of(run: Run) -> tuple[AlarmRule, str] | None:
    """The rule that a run is judged by and ships with, and how its threshold came about; None without one."""
    config = run.config.alarm
    if config is None:
        return None
    dev, lacking = None, ""
    if config.budget is not None and run.groups["dev"]:
        try:
            chosen_on = windows_for(run, side="dev")
            dev = _scored(run, chosen_on, predict_logits(run.student(), chosen_on.dataset), config.rule())
        except ArchiveError as error:
            # Other archives can be judged where those of training are not.
            lacking = f", since the archives of the dev groups cannot be read: {error.problem}"
    rule, chosen = choose_rule(config, dev)
    return rule, chosen + lacking


def _scored(run: Run, windows: RunWindows, logits: NDArray[np.float32], rule: AlarmRule) -> ScoredWindows:
    return scored_windows(
        rule,
        recordings=[str(name) for name in windows.arrays.recording],
        t_ref=windows.arrays.t_ref,
        logits=logits,
        presence=windows.arrays.presence,
        truth=windows.labels,
        classes=run.classes,
        clocks=windows.clocks,
    )


def sensor_subsets(names: Sequence[str]) -> list[tuple[str, ...]]:
    """All non-empty subsets of up to six sensors; of more, singles, pairs, all but one, and all.

    >>> sensor_subsets(["a", "b"])
    [('a',), ('b',), ('a', 'b')]
    """
    count = len(names)
    sizes = range(1, count + 1) if count <= 6 else (1, 2, count - 1, count)
    return [subset for size in sizes for subset in itertools.combinations(names, size)]


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
        planned = plan_run(config)
        rows = planned.split.rows(planned.groups, side)
        if not len(rows):
            raise WindowError(
                f"the run holds out no {side} groups",
                inside=f"split.{side}",
                mend="name archives with --data",
            )
        return _read(run, planned, rows)
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


def _read(run: Run, planned: Planned, rows: NDArray[np.int64]) -> RunWindows:
    notes = list(planned.notes)
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
    strange = Counter(name for name in names if name is not None and name not in classes)
    if strange:
        told = ", ".join(f"{name!r} {count}" for name, count in strange.most_common())
        notes.append(f"windows of classes that the model does not know are not judged: {told}")
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
