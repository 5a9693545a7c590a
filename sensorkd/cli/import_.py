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
# Bytes for a source in a process of its own: sixteen frames of 8K, and what a codec needs besides.
MEMORY = 4 << 30


def run(
    sources: Annotated[list[Path], typer.Argument(metavar="SOURCE...", help="Files or folders.")],
    importer: Annotated[
        str, typer.Option(metavar="NAME", help="csv, cycles, video, gopro, or another that is installed.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the archives.")],
    mapping: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML that says what is what in the sources.")
    ] = None,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Pass over sources whose archive is there.")
    ] = False,
    isolated: Annotated[
        bool, typer.Option("--isolated", help="Each source in a process of its own: for files of strangers.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, metavar="N", help="So many sources at once, isolated.")] = 1,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, metavar="S", help="Longest time for a source, isolated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Turn files of other formats into archives; a bad one does not keep the others out.

    A job that was killed goes on with --skip-existing.

    Example: sensorkd import logs/ --importer csv --mapping press.yaml --out archives
    """
    from sensorkd.importers import import_sources, importer_for
    from sensorkd.processes import ChildLimits

    failed: list[SensorkdError] = []
    with reading_bar("importing") as progress:
        imported = import_sources(
            importer_for(importer),
            sources,
            out,
            mapping,
            skip_existing=skip_existing,
            isolated=isolated or seconds is not None,
            jobs=jobs,
            limits=ChildLimits(seconds=seconds, memory=MEMORY),
            on_error=failed.append,
            progress=progress,
        )
    result = {
        "written": [str(path) for path in imported.written],
        "skipped": [str(path) for path in imported.skipped],
        "notes": list(imported.notes),
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
    lines += [f"note: {note}" for note in result["notes"]]
    return [*lines, *(f"error: {error}" for error in result["errors"])]
