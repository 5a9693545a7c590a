"""Pictures of a report: learning curves of terms and auxiliaries, calibration, course and curve of alarms."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sensorkd.distillation.progress import PAIR
from sensorkd.evaluation.alarm_curve import AlarmCurve
from sensorkd.evaluation.pictures import COLOURS, INK, MUTED, new_figure, plain_axes
from sensorkd.timeline import SECOND
from sensorkd.training.metrics import ECE_BINS

__all__ = ["COURSES", "alarm_courses", "auxiliary_curves", "budget_curve", "reliability", "term_curves"]

NOT_TERMS = {"epoch", "step", "alpha", "learning_rate", "seconds", "waited", "dev", "loss", "accepted"}
LINES = ("-", "--", ":")
COURSES = 6


def term_curves(records: Sequence[dict[str, Any]]) -> Figure:
    """Every loss term over steps, and macro-F1 of the dev groups where there are any."""
    records = [record for record in records if "step" in record]
    judged = [record for record in records if "dev" in record]
    figure = new_figure(8.4 if judged else 6.4, 3.2)
    grid = figure.subplots(1, 2 if judged else 1, squeeze=False)
    axes, steps = grid[0][0], [record["step"] for record in records]
    # Some begin late: windows without a label teach from the first visit on.
    terms = list(
        dict.fromkeys(
            name
            for record in records
            for name, value in record.items()
            if name not in NOT_TERMS and isinstance(value, float)
        )
    )
    # More terms than colours: the colours come again, dashed.
    for name, (dashes, colour) in zip(terms, itertools.product(LINES, COLOURS), strict=False):
        values = [record.get(name, np.nan) for record in records]
        axes.plot(steps, values, dashes, color=colour, label=name, linewidth=1.6)
    axes.set(yscale="log", xlabel="optimiser step", ylabel="term of the loss")
    if terms:
        axes.legend(frameon=False, fontsize=8)
    plain_axes(axes)
    if judged:
        axes = grid[0][1]
        scores = [record["dev"]["macro_f1"] for record in judged]
        axes.plot([record["step"] for record in judged], scores, color=INK, linewidth=1.6)
        axes.set(ylim=(0, 1), xlabel="optimiser step", ylabel="macro-F1, dev groups")
        plain_axes(axes)
    return figure


def auxiliary_curves(records: Sequence[dict[str, Any]], classes: int) -> Figure:
    """What auxiliaries name right over steps: a row for each kind of answer, a column a modality.

    records: those that tell of `auxiliaries`, and there are some. One line a stage; dashed, what guessing
    would give. The last row asks of two transforms which is which, and so tells whether an auxiliary
    sees them at all: the identity is drawn most often, and what is in doubt is called the identity.
    """
    steps = [record["step"] for record in records]
    names = list(dict.fromkeys(name for record in records for name in record["auxiliaries"]))
    modalities = list(dict.fromkeys(name.partition("/")[0] for name in names))
    kinds = {"class": "class right", "transform": "transform right", PAIR: "transforms told apart"}
    figure = new_figure(max(3.4, 2.4 * len(modalities) + 0.6), 6.0)
    grid = figure.subplots(len(kinds), len(modalities), squeeze=False, sharex=True, sharey=True)
    for (row, kind), (column, modality) in itertools.product(enumerate(kinds), enumerate(modalities)):
        axes = grid[row][column]
        stages = [name for name in names if name.partition("/")[0] == modality]
        for name, colour in zip(stages, itertools.cycle(COLOURS), strict=False):
            course = _course(records, name, kind)
            axes.plot(steps, course, color=colour, label=name.partition("/")[2], linewidth=1.6)
        guessed = {"class": [1 / classes] * len(steps), PAIR: [0.5] * len(steps)}
        level = guessed.get(kind) or _course(records, stages[0], "chance")
        axes.plot(steps, level, color=MUTED, linewidth=1, linestyle="--", label="by guessing")
        axes.set(ylim=(0, 1.02))
        if row == 0:
            axes.set_title(modality, fontsize=9, color=INK, parse_math=False)
        if column == 0:
            axes.set_ylabel(kinds[kind], fontsize=9, color=INK)
        plain_axes(axes)
    grid[0][0].legend(frameon=False, fontsize=7, loc="lower right")
    figure.supxlabel("optimiser step", fontsize=9, color=INK)
    return figure


def _course(records: Sequence[dict[str, Any]], name: str, kind: str) -> list[float]:
    """One accuracy of one auxiliary over the records, or the mean of its pairs; NaN where it was not told."""
    told = [record["auxiliaries"].get(name, {}) for record in records]
    if kind != PAIR:
        return [accuracies.get(kind, np.nan) for accuracies in told]
    pairs = [[value for key, value in accuracies.items() if PAIR in key] for accuracies in told]
    return [sum(values) / len(values) if values else np.nan for values in pairs]


def reliability(confidence: NDArray[np.floating[Any]], correct: NDArray[np.bool_]) -> Figure:
    """Share that was right against the confidence it was said with, and how many windows said so."""
    figure = new_figure(3.6, 3.8)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    index = np.clip(np.ceil(confidence * ECE_BINS).astype(int) - 1, 0, ECE_BINS - 1)
    count = np.bincount(index, minlength=ECE_BINS)
    filled = count > 0
    right = np.bincount(index, correct.astype(float), ECE_BINS)[filled] / count[filled]
    middles = (np.arange(ECE_BINS) + 0.5) / ECE_BINS
    upper.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle="--")
    upper.bar(middles[filled], right, width=0.9 / ECE_BINS, color=COLOURS[0], alpha=0.8)
    upper.set(ylim=(0, 1), ylabel="share right")
    lower.bar(middles, count, width=0.9 / ECE_BINS, color=MUTED)
    lower.set(xlim=(0, 1), xlabel="confidence", ylabel="windows")
    for axes in (upper, lower):
        plain_axes(axes)
    return figure


def budget_curve(curve: AlarmCurve, budget: float | None) -> Figure:
    """Recall and precision of faults against false alarms a day, a point a threshold."""
    figure = new_figure(6.4, 3.0)
    axes = figure.subplots()
    table = np.array(
        [[point.false_per_day, point.recall, point.precision] for point in curve.points], dtype=np.float64
    )
    for column, name, colour in ((1, "recall", COLOURS[0]), (2, "precision", COLOURS[1])):
        axes.plot(table[:, 0], table[:, column], ".", color=colour, label=name, markersize=4)
    if budget is not None:
        axes.axvline(budget, color=INK, linewidth=1, linestyle="--", label=f"budget {budget:g}")
    axes.set_xscale("symlog", linthresh=1.0)
    axes.set(xlim=(0, None), ylim=(-0.03, 1.03), xlabel="false alarms a day of normal time", ylabel="share")
    axes.legend(frameon=False, fontsize=8)
    plain_axes(axes)
    return figure


def alarm_courses(
    recordings: NDArray[np.str_],
    t_ref: NDArray[np.int64],
    scores: NDArray[np.float64],
    fault: NDArray[np.bool_],
    active: NDArray[np.bool_],
    threshold: float,
) -> Figure:
    """Scores over time, a row a recording: faults shaded, alarms underlined; those with faults first.

    All (W,), each recording in order of time; fault: the truth needs an alarm; active: there is one.
    """
    every: Sequence[str] = sorted(set(recordings.tolist()))
    names = sorted(every, key=lambda name: -fault[recordings == name].sum())[:COURSES]
    figure = new_figure(8.4, 1.1 * len(names) + 0.5)
    longest = max(np.ptp(t_ref[recordings == name]) for name in names) / SECOND
    unit, seconds = (
        ("hours", 3600) if longest > 7200 else ("minutes", 60) if longest > 600 else ("seconds", 1)
    )
    for axes, name in zip(figure.subplots(len(names), 1, squeeze=False)[:, 0], names, strict=True):
        here = recordings == name
        time = (t_ref[here] - t_ref[here].min()) / SECOND / seconds
        shade: dict[str, Any] = {"color": COLOURS[3], "step": "mid", "linewidth": 0}
        axes.fill_between(time, 0, 1, where=fault[here], alpha=0.15, **shade)
        axes.plot(time, scores[here], color=INK, linewidth=0.8)
        axes.fill_between(time, -0.06, -0.01, where=active[here], **shade)
        axes.axhline(threshold, color=MUTED, linewidth=0.8, linestyle="--")
        axes.set(ylim=(-0.07, 1.02))
        axes.set_title(name, fontsize=8, color=INK, loc="left", parse_math=False)
        plain_axes(axes)
    figure.supxlabel(unit, fontsize=9, color=INK)
    return figure
