"""`sensorkd evaluate RUN [--data PATH ...]`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sensorkd.cli.console import AsJson, emit, end, note

__all__ = ["run"]


def run(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a trained run.")],
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH]...", help="More archives to judge by, as if given to --data."),
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Archives to judge by, all of their labelled windows; default: the test groups."),
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="Label table for them.")] = None,
    as_json: AsJson = False,
) -> None:
    """Judge a run by groups it never saw, with all sensors and every subset of them.

    Example: sensorkd evaluate runs/plant --data other_plant/
    """
    from sensorkd.evaluation.evaluate import evaluate_run
    from sensorkd.evaluation.tables import confusion_text, metrics_table
    from sensorkd.runs.run import Run

    named = [str(path) for path in [*(data or []), *(paths or [])]]
    result = evaluate_run(Run.load(folder), named or None, labels=None if labels is None else str(labels))
    for line in result.notes:
        note(line)
    rows = {"all sensors that are there": result.overall, **result.subsets}
    parts = [
        metrics_table(rows, result.reached),
        confusion_text(result.overall.confusion, result.classes),
        "\n".join(f"{name}: {item.told()}" for name, item in result.health.items()),
    ]
    parts.append(result.prior.told())
    if result.alarms is not None:
        parts.append("\n".join(result.alarms.lines()))
    emit(result.to_json(), "\n\n".join(parts), as_json=as_json)
    end(result.failed)
