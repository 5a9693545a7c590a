"""`sensorkd report RUN [--out FILE]`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sensorkd.cli.console import AsJson, emit, end, note

__all__ = ["run"]


def run(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a trained run.")],
    out: Annotated[Path | None, typer.Option(help="The HTML file; default: report.html in the run.")] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Archives to judge by, all of their labelled windows; default: the test groups."),
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="Label table for them.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write one offline HTML file on a run: data, splits, curves, sensors, calibration, alarms, cost.

    Example: sensorkd report runs/plant --out plant.html
    """
    from sensorkd.evaluation.report import write_report
    from sensorkd.runs.run import Run

    path = folder / "report.html" if out is None else out
    named = [str(item) for item in data or []]
    judged = write_report(
        Run.load(folder), path, named or None, labels=None if labels is None else str(labels)
    )
    for line in judged.notes:
        note(line)
    text = f"wrote {path}: {path.stat().st_size:,} bytes, macro-F1 {judged.overall.macro_f1:.3f}"
    emit({"file": str(path), **judged.to_json()}, text, as_json=as_json)
    end(judged.failed)
