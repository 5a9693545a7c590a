"""`sensorkd validate PATH... [--layout L]`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal

import typer

from sensorkd.cli.console import AsJson, emit, reading_bar
from sensorkd.errors import SensorkdError

__all__ = ["run"]


def _seconds(given: float | None) -> float | None:
    if given is not None and not (math.isfinite(given) and given > 0):
        raise typer.BadParameter(f"{given:g} is no length of a window: name seconds above 0")
    return given


def run(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="PATH...", help="Archives or folders.")
    ] = None,
    layout: Annotated[
        Path | None, typer.Option(help="Layout, for archives that are not recording-1.0.")
    ] = None,
    select: Annotated[
        list[str] | None, typer.Option(metavar="IDS", help="Make these checks only; commas between them.")
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option(metavar="IDS", help="Do not make these checks.")] = None,
    importance: Annotated[
        Literal["critical", "warning", "hint"], typer.Option(help="Make no check that matters less.")
    ] = "hint",
    jobs: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Files at a time; as many as there are processors.")
    ] = None,
    isolated: Annotated[
        bool, typer.Option("--isolated", help="Each file in a process of its own, even one at a time.")
    ] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Read no samples.")] = False,
    window: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", callback=_seconds, help="Name streams without a run as long as such a window."
        ),
    ] = None,
    salvage: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Folder for what can be read of damaged files.")
    ] = None,
    catalogue: Annotated[
        bool, typer.Option("--list", help="Tell of all checks, with reason and cure, and stop.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check archives: what is damaged, what cannot be true, and what would mislead a model.

    Example: sensorkd validate plant/ --ignore no-checksum
    """
    from sensorkd.checks import CHECKS, select_checks, validate
    from sensorkd.checks.rescue import salvage_damaged
    from sensorkd.checks.telling import catalogue_lines, report_lines

    checks = select_checks(_ids(select), _ids(ignore), importance)
    if catalogue:
        chosen = [check for check in CHECKS.values() if check.id in checks]
        text = "\n".join(catalogue_lines(chosen))
        emit({"checks": [check.to_json() for check in chosen]}, text, as_json=as_json)
        return
    if not paths:
        raise typer.BadParameter("name archives or folders", param_hint="PATH...")
    with reading_bar("checking files") as progress:
        report = validate(
            paths,
            layout,
            checks=checks,
            jobs=jobs,
            isolated=isolated,
            quick=quick,
            window=window,
            progress=progress,
        )
    result, lines = report.to_json(), report_lines(report)
    if salvage is not None:
        failed: list[SensorkdError] = []
        saved = salvage_damaged(report, salvage, layout, on_error=failed.append)
        result |= {"salvaged": [item.to_json() for item in saved], "lost": [str(error) for error in failed]}
        lines += ["", *(line for item in saved for line in item.lines())]
        lines += [f"nothing could be saved: {error}" for error in failed]
    emit(result, "\n".join(lines), as_json=as_json)
    if report.exit_code:
        raise typer.Exit(report.exit_code)


def _ids(given: list[str] | None) -> list[str]:
    return [id_.strip() for item in given or () for id_ in item.split(",") if id_.strip()]
