"""`sensorkd verify BUNDLE`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from sensorkd.cli.console import AsJson, emit
from sensorkd.edge.precision import Precision
from sensorkd.edge.runtime import Runtime

__all__ = ["run"]


def run(
    bundle: Annotated[Path, typer.Argument(help="Folder of a bundle.")],
    precision: Annotated[Precision, typer.Option(help="Which form of the model.")] = "fp32",
    runtime: Annotated[Runtime, typer.Option(help="What runs it.")] = "onnxruntime",
    as_json: AsJson = False,
) -> None:
    """Check a bundle's hashes and schema, and repeat its golden batch on this device.

    Example: sensorkd verify bundle --precision int8
    """
    from sensorkd.edge import EdgeBundle, EdgePredictor

    result = EdgePredictor(EdgeBundle.open(bundle), precision=precision, runtime=runtime).verify()
    emit(dataclasses.asdict(result), result.told(), as_json=as_json)
