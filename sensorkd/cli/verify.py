"""`sensorkd verify BUNDLE`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from sensorkd.cli.console import AsJson, emit

__all__ = ["run"]


def run(
    bundle: Annotated[Path, typer.Argument(help="Folder of a bundle.")],
    as_json: AsJson = False,
) -> None:
    """Check a bundle's hashes and schema, and repeat its golden batch on this device.

    Example: sensorkd verify bundle
    """
    from sensorkd.edge import EdgeBundle, EdgePredictor

    result = EdgePredictor(EdgeBundle.open(bundle)).verify()
    emit(dataclasses.asdict(result), result.told(), as_json=as_json)
