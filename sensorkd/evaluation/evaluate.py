"""Judges a run on groups it never saw, with all sensors and with every subset of them."""

from __future__ import annotations

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
from sensorkd.evaluation.run_windows import RunWindows, windows_for
from sensorkd.runs.run import Run
from sensorkd.training.inference import predict_logits, predict_subsets, sensor_subsets
from sensorkd.training.metrics import Metrics, classification_metrics
from sensorkd.windows.health import SensorHealth, sensor_health

__all__ = [
    "Evaluation",
    "alarm_rule_of",
    "evaluate_run",
    "evaluate_windows",
]


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
    also = "also " if set(groups) - set(seen) else "only "
    return [f"judged {also}on groups that were trained on: {seen}"] if seen else []


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
