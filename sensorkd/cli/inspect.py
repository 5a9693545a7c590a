"""`sensorkd inspect PATH... [--layout L] [--isolated [--jobs N]]`."""

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
    isolated: Annotated[
        bool,
        typer.Option(
            "--isolated", help="Open each file in a process of its own, which may crash or hang without harm."
        ),
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Files at once, with --isolated.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Show streams, rates, spans, gaps, labels and chunking; no sample is read.

    Example: sensorkd inspect plant/
    """
    from sensorkd.recordings import open_recordings
    from sensorkd.recordings.isolated import open_isolated_with
    from sensorkd.recordings.summary import describe, summarise

    failed: list[SensorkdError] = []
    if isolated:
        pairs = open_isolated_with(describe, paths, layout, on_error=failed.append, jobs=jobs)
        described = [summary for _, summary in pairs]
    else:
        described = []
        for recording in open_recordings(paths, layout, on_error=failed.append):
            try:
                described.append(describe(recording))
            except SensorkdError as error:  # the file changed since, or is damaged further inside
                failed.append(error)
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
        raise typer.Exit(2 if not described else 1)
