"""The run that a verb works with, reading archives as the verb was asked to."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sensorkd.runs.run import Run

__all__ = ["Isolated", "load_run"]

Isolated = Annotated[
    bool,
    typer.Option(
        "--isolated", help="Open and read archives in child processes only: for files from strangers."
    ),
]


def load_run(folder: Path, *, isolated: bool, cache: Path | None = None) -> Run:
    """A trained run; `isolated` as if its configuration said so, which itself may. cache: folder for windows.

    Raises:
        SensorkdError: there is no such run, or it cannot be read.
    """
    from sensorkd.runs.run import Run

    run = Run.load(folder)
    changes: dict[str, object] = {"isolated": True} if isolated else {}
    if cache is not None:
        changes["cache"] = run.config.cache.model_copy(update={"folder": str(cache)})
    return dataclasses.replace(run, config=run.config.model_copy(update=changes))
