"""`sensorkd predict BUNDLE PATH... [--isolated]`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sensorkd.cli.console import AsJson, check_out, emit, end, note
from sensorkd.cli.loading import Isolated
from sensorkd.errors import SensorkdError

__all__ = ["run"]


def run(
    bundle: Annotated[Path, typer.Argument(help="Folder of a bundle.")],
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Archives or folders.")],
    layout: Annotated[
        Path | None, typer.Option(help="Layout, for archives that are not recording-1.0.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="A .csv, .parquet or .jsonl file; default: CSV.")] = None,
    isolated: Isolated = False,
    as_json: AsJson = False,
) -> None:
    """Judge archives with a bundle: one row a window; what was missing is said.

    Example: sensorkd predict bundle plant/m05.h5 --out verdicts.csv
    """
    from sensorkd.edge import EdgeBundle
    from sensorkd.evaluation.predict import predict_archives, write_table
    from sensorkd.recordings.isolated import LIMITS

    if out is not None:
        check_out(out)
    failed: list[SensorkdError] = []
    limits = LIMITS if isolated else None
    table, notes = predict_archives(
        EdgeBundle.open(bundle), paths, layout, on_error=failed.append, isolated=limits
    )
    for line in notes:
        note(line)
    if out is not None:
        write_table(table, out)
        counts = table["verdict"].value_counts().to_dict()
        text = f"wrote {out}: {len(table)} windows; " + ", ".join(f"{k} {v}" for k, v in counts.items())
        told = {"file": str(out), "windows": len(table), "verdicts": counts}
    else:
        rows, text = json.loads(table.to_json(orient="records")), table.to_csv(index=False).rstrip()
        told = {"windows": len(table), "predictions": rows}
    emit({**told, "errors": [str(error) for error in failed]}, text, as_json=as_json)
    end(failed)
