"""`sensorkd evaluate RUN [--data PATH ...] [--isolated]`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sensorkd.cli.console import AsJson, emit, end, note
from sensorkd.cli.loading import Isolated, load_run

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
    isolated: Isolated = False,
    as_json: AsJson = False,
) -> None:
    """Judge a run by groups it never saw, with all sensors and every subset of them.

    Example: sensorkd evaluate runs/plant --data other_plant/
    """
    from sensorkd.evaluation.evaluate import evaluate_run
    from sensorkd.evaluation.tables import confusion_text, metrics_table

    named = [str(path) for path in [*(data or []), *(paths or [])]]
    run = load_run(folder, isolated=isolated)
    result = evaluate_run(run, named or None, labels=None if labels is None else str(labels))
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
