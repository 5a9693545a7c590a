"""`sensorkd import SOURCE... --importer NAME --mapping FILE --out DIR`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from sensorkd.cli.console import AsJson, emit, reading_bar
from sensorkd.errors import SensorkdError

__all__ = ["run"]

SHOWN = 6


def run(
    sources: Annotated[list[Path], typer.Argument(metavar="SOURCE...", help="Files or folders.")],
    importer: Annotated[str, typer.Option(metavar="NAME", help="csv, cycles, or another that is installed.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the archives.")],
    mapping: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML that says what is what in the sources.")
    ] = None,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Pass over sources whose archive is there.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Turn files of other formats into archives; a bad one does not keep the others out.

    Example: sensorkd import logs/ --importer csv --mapping press.yaml --out archives
    """
    from sensorkd.importers import import_sources, importer_for

    failed: list[SensorkdError] = []
    with reading_bar("importing") as progress:
        imported = import_sources(
            importer_for(importer),
            sources,
            out,
            mapping,
            skip_existing=skip_existing,
            on_error=failed.append,
            progress=progress,
        )
    result = {
        "written": [str(path) for path in imported.written],
        "skipped": [str(path) for path in imported.skipped],
        "errors": [str(error) for error in failed],
    }
    emit(result, "\n".join(_lines(result, out)), as_json=as_json)
    if failed:
        raise typer.Exit(1 if imported.written or imported.skipped else 2)


def _lines(result: Mapping[str, list[str]], out: Path) -> list[str]:
    """For people."""
    written, skipped = result["written"], result["skipped"]
    lines = written[:SHOWN]
    if len(written) > SHOWN:
        lines.append(f"... and {len(written) - SHOWN} more")
    lines.append(f"{len(written)} {'archive' if len(written) == 1 else 'archives'} written to {out}")
    if skipped:
        lines.append(f"{len(skipped)} there already: left as they are")
    return [*lines, *(f"error: {error}" for error in result["errors"])]
