"""Pictures of a benchmark: what labels are worth to each method, and differences to the reference.

A panel a method, not a line a method in one panel: a dozen bands over each other tell nothing. Colours are
told apart by the colour-blind (Okabe and Ito), and no panel needs more than two.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sensorkd.evaluation.benchmark_results import ALL, Results
from sensorkd.evaluation.pictures import INK, MUTED, new_figure, plain_axes

__all__ = ["differences_picture", "efficiency_picture", "write_pictures"]

OWN, FAINT = "#0072B2", "#d3d8de"
AHEAD, BEHIND = "#0072B2", "#D55E00"
NAMES = {"accuracy": "accuracy", "macro_f1": "macro-F1", "nll": "NLL [nats]", "ece": "ECE"}
CURVES = ("accuracy", "macro_f1", "nll", "ece")


def write_pictures(results: Results, out: Path) -> list[Path]:
    """Write what there is to draw; the paths."""
    figures: dict[str, Figure] = {}
    if len({row["labels_per_class"] for row in _rows(results)}) > 1:
        figures |= {f"labels_{metric}.png": efficiency_picture(results, metric) for metric in CURVES}
    if _of_all(results.differences):
        figures["differences.png"] = differences_picture(results, ("macro_f1", "nll"))
    for name, figure in figures.items():
        figure.savefig(out / name)
    return [out / name for name in figures]


def efficiency_picture(results: Results, metric: str) -> Figure:
    """A metric against labels a class, with 95 % bands: a panel a method, with the reference in each."""
    rows = _rows(results)
    budgets = [
        item
        for item in results.config["labels_per_class"]
        if any(r["labels_per_class"] == item for r in rows)
    ]
    lines = {
        name: _line(rows, name, metric, budgets) for name in dict.fromkeys(row["method"] for row in rows)
    }
    panels = [name for name in lines if name != results.reference] or list(lines)
    columns = min(len(panels), 4)
    height = math.ceil(len(panels) / columns)
    # One panel alone is wider, or its words have no room.
    figure = new_figure(max(2.5 * columns + 0.6, 4.6), 2.1 * height + 0.7)
    grid = figure.subplots(height, columns, sharex=True, sharey=True, squeeze=False)
    for number, axes in enumerate(grid.flat):
        if number >= len(panels):
            axes.set_visible(False)
            continue
        _panel(axes, lines, panels[number], results.reference, first=number == 0)
        axes.set_xticks(range(len(budgets)), budgets)
    figure.supxlabel("labels a class", fontsize=9, color=INK)
    figure.supylabel(NAMES[metric], fontsize=9, color=INK)
    title = f"{results.name}: {NAMES[metric]} on {results.by}s never seen; bands: 95 % over groups and seeds"
    _title(figure, title)
    return figure


def _title(figure: Figure, text: str) -> None:
    """Above all panels, in as many lines as the figure's width asks for."""
    letters = int(13 * figure.get_figwidth())
    figure.suptitle(textwrap.fill(text, letters), x=0.01, ha="left", fontsize=10, color=INK)


def _panel(axes: Axes, lines: dict[str, Any], name: str, reference: str, *, first: bool) -> None:
    for other, (x, mean, _, _) in lines.items():
        if other not in (name, reference):
            axes.plot(x, mean, color=FAINT, linewidth=0.8, zorder=1)
    for other, colour in ((reference, MUTED), (name, OWN)):
        if other not in lines:
            continue
        x, mean, low, high = lines[other]
        axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0, zorder=2)
        dash = "--" if other == reference and other != name else "-"
        axes.plot(x, mean, color=colour, linewidth=1.8, marker="o", markersize=3, linestyle=dash, zorder=3)
    axes.set_title(name, loc="left", fontsize=9, color=OWN, fontweight="bold", parse_math=False)
    if first and reference in lines and reference != name:
        x, mean, _, _ = lines[reference]
        axes.annotate(
            reference,
            (x[-1], mean[-1]),
            xytext=(-2, -11),
            textcoords="offset points",
            ha="right",
            fontsize=8,
            color=MUTED,
            parse_math=False,
        )
    axes.grid(axis="y", alpha=0.25)
    plain_axes(axes)


def differences_picture(results: Results, metrics: Sequence[str]) -> Figure:
    """Each method less the reference, with 95 % intervals; a panel a metric, a block of rows a budget."""
    items = _of_all(results.differences)
    budgets = list(dict.fromkeys(item["labels_per_class"] for item in items))
    places, y = [], 0.0
    for budget in budgets:
        for item in (item for item in items if item["labels_per_class"] == budget):
            places.append((y, item))
            y += 1.0
        y += 0.8
    figure = new_figure(3.2 * len(metrics) + 2.2, 0.22 * y + 1.3)
    grid = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for axes, metric in zip(grid, metrics, strict=True):
        _forest(axes, places, metric)
    names = [f"{item['method']}, {item['labels_per_class']}" for _, item in places]
    grid[0].set_yticks([place for place, _ in places], names, fontsize=8, color=INK, parse_math=False)
    grid[0].invert_yaxis()
    title = (
        f"{results.name}: less {results.reference}, paired by seed and group; labels a class after the name"
    )
    _title(figure, title)
    return figure


def _forest(axes: Axes, places: Sequence[tuple[float, Any]], metric: str) -> None:
    better = 1.0 if metric in ("accuracy", "macro_f1") else -1.0
    axes.axvline(0, color=MUTED, linewidth=1)
    for y, item in places:
        (low, high), mean = item[metric]["interval"], item[metric]["mean"]
        sure = low > 0 or high < 0
        colour = MUTED if not sure else AHEAD if mean * better > 0 else BEHIND
        axes.plot([low, high], [y, y], color=colour, linewidth=1.4, solid_capstyle="round")
        marker = "o" if not sure else ">" if mean > 0 else "<"
        axes.plot([mean], [y], marker, color=colour, markersize=4.5)
    direction = "right is better" if better > 0 else "left is better"
    axes.set_xlabel(f"{NAMES[metric]} ({direction})", fontsize=9, color=INK)
    axes.grid(axis="x", alpha=0.25)
    plain_axes(axes)


def _rows(results: Results) -> list[dict[str, Any]]:
    return _of_all(results.rows) or results.rows


def _of_all(items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [item for item in items if item["sensors"] == ALL]


def _line(rows: Sequence[dict[str, Any]], name: str, metric: str, budgets: Sequence[str]) -> Any:
    """x, mean, low, high of a method."""
    points = [
        (budgets.index(row["labels_per_class"]), row[metric]["mean"], *row[metric]["interval"])
        for row in rows
        if row["method"] == name
    ]
    return tuple(np.array(sorted(points)).T)
