"""`sensorkd export RUN --out BUNDLE`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from sensorkd.cli.console import AsJson, emit

__all__ = ["run"]


def run(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a trained run.")],
    out: Annotated[Path, typer.Option(help="Folder of the bundle to write.")],
    as_json: AsJson = False,
) -> None:
    """Strip the auxiliaries, export, compare with the trained model, and seal a bundle.

    Example: sensorkd export runs/plant --out bundle
    """
    from sensorkd.edge.bundle import MODEL, EdgeBundle
    from sensorkd.export.seal import export_run
    from sensorkd.runs.run import Run

    comparison = export_run(Run.load(folder), out)
    description = EdgeBundle.open(out).description
    size = (out / MODEL).stat().st_size
    result = {
        "bundle": str(out),
        "model_bytes": size,
        "parameters": description.parameters,
        "macs": description.macs,
        **dataclasses.asdict(comparison),
    }
    text = (
        f"sealed {out}: {size:,} bytes, {description.parameters:,} parameters, {description.macs:,} "
        f"multiply-accumulates a window\ncompared with the trained model on {comparison.windows} windows: "
        f"outputs within {comparison.largest_difference:.2g} (at most {comparison.tolerance:.2g}); "
        f"{comparison.excluded} without a clear verdict"
    )
    emit(result, text, as_json=as_json)
