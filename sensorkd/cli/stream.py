"""`sensorkd stream BUNDLE`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from sensorkd.cli.console import note
from sensorkd.edge.lines import LINE_BYTES

__all__ = ["run"]

Numbers = list[str] | None


def run(
    bundle: Annotated[Path, typer.Argument(help="Folder of a bundle.")],
    rate: Annotated[
        Numbers, typer.Option(metavar="NAME=HZ", help="Of a sensor whose rate is not the bundle's.")
    ] = None,
    lateness: Annotated[
        Numbers, typer.Option(metavar="NAME=S", help="How long an input is waited for.")
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="Remembers across restarts what was judged, and the alarm.")
    ] = None,
    longest: Annotated[
        int, typer.Option(min=1, help="Bytes of a line; longer ones are skipped.")
    ] = LINE_BYTES,
    precision: Annotated[str, typer.Option(help="fp32 or int8.")] = "fp32",
    runtime: Annotated[str, typer.Option(help="onnxruntime or openvino.")] = "onnxruntime",
) -> None:
    """Judge JSON lines on standard input, sensor by sensor as they come; a verdict a line, alarms besides.

    A line is {"stream": NAME, "time": NS or ISO 8601, "samples": [[...], ...]}; see docs/edge.md.

    Example: sensorkd stream bundle < lines.jsonl
    """
    from sensorkd.edge import EdgeBundle, EdgePredictor
    from sensorkd.edge.serving import numbers_of, serve

    predictor = EdgePredictor(
        EdgeBundle.open(bundle),
        precision=precision,  # type: ignore[arg-type]
        runtime=runtime,  # type: ignore[arg-type]
    )
    bad = serve(
        predictor,
        sys.stdin.buffer,
        sys.stdout,
        tell=note,
        rates=numbers_of(rate or [], "--rate"),
        lateness=numbers_of(lateness or [], "--lateness"),
        state=state,
        limit=longest,
    )
    if bad:
        raise typer.Exit(1)
