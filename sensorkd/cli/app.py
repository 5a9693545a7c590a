"""The Typer application: every verb, registered."""

from __future__ import annotations

from typing import Annotated

import typer

from sensorkd._version import __version__
from sensorkd.cli import (
    benchmark,
    demo,
    evaluate,
    export,
    import_,
    inspect,
    predict,
    report,
    sensors,
    stream,
    train,
    update,
    validate,
    verify,
    windows,
)

__all__ = ["app"]

app = typer.Typer(
    help="Logged video, temperature and acceleration in; a compact fused classifier for the edge out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(show: bool) -> None:
    if show:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Every verb takes --json (one object on standard output, nothing else) and --debug (tracebacks)."""


for verb in (
    demo, import_, inspect, validate, train, evaluate, sensors, benchmark, report, export, verify, windows,
    predict, stream, update,
):  # fmt: skip
    app.command(name=verb.__name__.rsplit(".", 1)[-1].rstrip("_"))(verb.run)
