"""`sensorkd sensors RUN [--data PATH ...]`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sensorkd.cli.console import AsJson, emit, end, note

__all__ = ["run"]


def run(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a trained run.")],
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Archives to judge by, all of their labelled windows; default: the test groups."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What each sensor is worth, in accuracy, bytes and latency: a table of all, without each, each alone.

    A row's bundle is what `sensorkd export RUN --sensors a+b` writes. Latencies are of this computer, one
    thread. "-": windows end with the bursts of a sensor that is left out, so there is no such bundle.

    Example: sensorkd sensors runs/plant
    """
    from sensorkd.evaluation.evaluate import evaluate_run
    from sensorkd.evaluation.worth import sensor_worth, worth_table
    from sensorkd.runs.run import Run

    run = Run.load(folder)
    result = evaluate_run(run, [str(path) for path in data] if data else None)
    for line in result.notes:
        note(line)
    rows = sensor_worth(run, result)
    told = {"windows": result.overall.windows, "subsets": [row.to_json() for row in rows]}
    emit(told, worth_table(rows), as_json=as_json)
    end(result.failed)
