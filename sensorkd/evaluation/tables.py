"""Results as text tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd.training.metrics import Metrics

__all__ = ["confusion_text", "metrics_table", "text_table"]


def text_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Columns aligned with spaces; the first to the left, the others to the right.

    >>> print(text_table(["a", "b"], [["x", 1], ["long", 22]]))
    a      b
    x      1
    long  22
    """
    cells = [[str(cell) for cell in row] for row in [header, *rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )


def metrics_table(rows: Mapping[str, Metrics], reached: Mapping[str, float] | None = None) -> str:
    """One row a name: windows, accuracy, macro-F1, NLL, ECE; if told, the share of windows with them."""
    header = ["sensors", "windows", "accuracy", "macro-F1", "NLL", "ECE"]
    table = [
        [name, m.windows, f"{m.accuracy:.3f}", f"{m.macro_f1:.3f}", f"{m.nll:.3f}", f"{m.ece:.3f}"]
        for name, m in rows.items()
    ]
    if reached is not None:
        header.insert(2, "there in")
        for row in table:
            row.insert(2, f"{reached[str(row[0])]:.0%}" if row[0] in reached else "")
    return text_table(header, table)


def confusion_text(confusion: NDArray[np.int64], classes: Sequence[str], limit: int = 12) -> str:
    """The matrix for few classes; for many, the pairs confused most often."""
    if len(classes) <= limit:
        header = ["truth \\ verdict", *classes]
        return text_table(
            header, [[name, *row] for name, row in zip(classes, confusion.tolist(), strict=True)]
        )
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(wrong, axis=None)[::-1][:limit]
    pairs = [(int(index // len(classes)), int(index % len(classes))) for index in order]
    rows = [[f"{classes[a]} taken for {classes[b]}", wrong[a, b]] for a, b in pairs if wrong[a, b]]
    return text_table(["confused most often", "windows"], rows)
