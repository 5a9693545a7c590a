"""`sensorkd inspect PATH... [--layout L]`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sensorkd.cli.console import AsJson, emit
from sensorkd.errors import SensorkdError

__all__ = ["run"]

SHOWN = 6


def run(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Archives or folders.")],
    layout: Annotated[
        Path | None, typer.Option(help="Layout, for archives that are not recording-1.0.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show streams, rates, spans, gaps, labels and chunking; no sample is read.

    Example: sensorkd inspect plant/
    """
    from sensorkd.recordings import open_recordings
    from sensorkd.recordings.summary import describe, summarise

    failed: list[SensorkdError] = []
    recordings = open_recordings(paths, layout, on_error=failed.append)
    described = [describe(recording) for recording in recordings]
    lines: list[str] = []
    for item in described[:SHOWN]:
        lines += item.lines()
    if len(described) > SHOWN:
        lines.append(f"... and {len(described) - SHOWN} more")
    if described:
        lines += ["", *summarise(described)]
    lines += [f"error: {error}" for error in failed]
    result = {
        "recordings": [item.to_json() for item in described],
        "errors": [str(error) for error in failed],
    }
    emit(result, "\n".join(lines), as_json=as_json)
    if failed:
        raise typer.Exit(2 if not recordings else 1)
