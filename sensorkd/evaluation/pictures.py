"""Pictures of a run: learning curves, confusion, windows of each modality."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter
from numpy.typing import NDArray

from sensorkd.encoding import InputEncoding

__all__ = [
    "COLOURS",
    "INK",
    "MUTED",
    "confusion_picture",
    "learning_curves",
    "new_figure",
    "plain_axes",
    "window_pictures",
]

matplotlib.use("Agg")
INK, MUTED = "#1f2933", "#7b8794"
COLOURS = ("#2563eb", "#d97706", "#059669", "#dc2626", "#7c3aed", "#0891b2")


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches."""
    return Figure(figsize=(width, height), layout="constrained", dpi=120)


def plain_axes(axes: Axes) -> None:
    """No frame but two sides, small and quiet ticks."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(which="both", colors=MUTED, labelsize=8)
    for axis in (axes.xaxis, axes.yaxis):
        # Ticks say what they mean: no offset to add in one's head.
        if isinstance(formatter := axis.get_major_formatter(), ScalarFormatter):
            formatter.set_useOffset(False)


def learning_curves(logs: Mapping[str, Path], *, title: str) -> Figure:
    """The label loss of several runs, from their `metrics.jsonl`, over steps."""
    figure = new_figure(6.4, 3.6)
    axes = figure.subplots()
    for (name, log), colour in zip(logs.items(), COLOURS, strict=False):
        records = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        points = [(record["step"], record["label"]) for record in records if "label" in record]
        steps, losses = zip(*points, strict=True)
        axes.plot(steps, losses, color=colour, label=name, linewidth=1.8)
    axes.set_yscale("log")
    axes.set_xlabel("optimiser step", color=INK)
    axes.set_ylabel("cross-entropy of the training label", color=INK)
    axes.set_title(title, loc="left", color=INK, fontsize=10)
    axes.legend(frameon=False, fontsize=8)
    axes.grid(axis="y", alpha=0.25)
    plain_axes(axes)
    return figure


def confusion_picture(confusion: NDArray[np.int64], classes: Sequence[str], *, title: str) -> Figure:
    """The confusion matrix in shares of each true class, with counts written in."""
    side = 2.2 + 0.55 * len(classes)
    figure = new_figure(side + 0.8, side)
    axes = figure.subplots()
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    # A class is called what it is called: a dollar begins no formula.
    axes.set_xticks(range(len(classes)), classes, rotation=40, ha="right", fontsize=8, parse_math=False)
    axes.set_yticks(range(len(classes)), classes, fontsize=8, parse_math=False)
    if len(classes) <= 15:
        for row, column in np.ndindex(*confusion.shape):
            if confusion[row, column]:
                colour = "white" if share[row, column] > 0.5 else INK
                axes.text(
                    column,
                    row,
                    str(confusion[row, column]),
                    ha="center",
                    va="center",
                    color=colour,
                    fontsize=8,
                )
    axes.set_xlabel("verdict", color=INK)
    axes.set_ylabel("truth", color=INK)
    axes.set_title(title, loc="left", color=INK, fontsize=10)
    axes.tick_params(length=0)
    return figure


def window_pictures(
    inputs: Mapping[str, NDArray[Any]],
    encodings: Mapping[str, InputEncoding],
    captions: Sequence[str],
    *,
    title: str,
    presence: NDArray[np.float32] | None = None,
) -> Figure:
    """One row a window, one column an input: frames for video, lines in physical units for signals.

    presence: (rows, inputs); what is 0 there is told to be absent.
    """
    rows = len(captions)
    figure = new_figure(3.1 * len(inputs), 1.35 * rows + 0.5)
    grid = figure.subplots(rows, len(inputs), squeeze=False)
    for column, (name, values) in enumerate(inputs.items()):
        encoding = encodings[name]
        for row in range(rows):
            axes = grid[row][column]
            if presence is not None and not presence[row, column]:
                axes.text(0.5, 0.5, "absent", ha="center", va="center", color=MUTED, transform=axes.transAxes)
                axes.set(xticks=[], yticks=[])
            else:
                _draw(axes, values[row].astype(np.float64) * encoding.scale + encoding.offset, encoding)
            if row == 0:
                unit = "" if encoding.unit == "1" else f" [{encoding.unit}]"
                axes.set_title(f"{name}{unit}", fontsize=9, color=INK, parse_math=False)
            if column == 0:
                axes.set_ylabel(captions[row], fontsize=8, color=INK, parse_math=False)
            if row == rows - 1 and values.ndim == 3:
                axes.set_xlabel("step" if encoding.whole else "seconds", fontsize=8, color=INK)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10, color=INK)
    return figure


def _draw(axes: Axes, physical: NDArray[np.float64], encoding: InputEncoding) -> None:
    if physical.ndim == 4:
        chosen = physical[np.linspace(0, len(physical) - 1, 3).astype(int)]
        strip = np.concatenate(list(chosen), axis=1)
        if strip.shape[-1] == 3:
            axes.imshow(np.clip(strip, 0, 1))
        else:
            axes.imshow(strip[..., 0], cmap="magma")
        axes.set_xticks([])
        axes.set_yticks([])
        return
    seconds = np.arange(len(physical)) / encoding.rate if not encoding.whole else np.arange(len(physical))
    for channel in range(physical.shape[1]):
        axes.plot(seconds, physical[:, channel], color=COLOURS[channel % len(COLOURS)], linewidth=0.7)
    plain_axes(axes)
