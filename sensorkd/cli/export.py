"""`sensorkd export RUN --out BUNDLE [--sensors a+b] [--int8]`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from sensorkd.cli.console import AsJson, emit
from sensorkd.edge.unknown_rule import UNKNOWN_RATE

__all__ = ["run"]


def run(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a trained run.")],
    out: Annotated[Path, typer.Option(help="Folder of the bundle to write.")],
    sensors: Annotated[
        str | None, typer.Option(help="Of the run's inputs, a+b; the others are stripped. Default: all.")
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Add the model in int8, if it keeps its verdicts.")
    ] = False,
    unknown_rate: Annotated[
        float,
        typer.Option(min=0.0, max=0.5, help="Share of false alarms at which a window is called unknown."),
    ] = UNKNOWN_RATE,
    as_json: AsJson = False,
) -> None:
    """Strip the auxiliaries, export, compare with the trained model, and seal a bundle.

    Example: sensorkd export runs/plant --out bundle --int8
    """
    from sensorkd.edge.bundle import INT8, MODEL, EdgeBundle
    from sensorkd.evaluation.evaluate import alarm_rule_of
    from sensorkd.export.seal import export_run
    from sensorkd.runs.run import Run

    named = None if sensors is None else [name for name in sensors.split("+") if name]
    trained = Run.load(folder)
    rule, chosen = alarm_rule_of(trained) or (None, "")
    comparison = export_run(trained, out, sensors=named, int8=int8, alarm=rule, unknown_rate=unknown_rate)
    description = EdgeBundle.open(out).description
    size = (out / MODEL).stat().st_size
    result = {
        "bundle": str(out),
        "model_bytes": size,
        "parameters": description.parameters,
        "macs": description.macs,
        "sensors": list(description.inputs),
        **dataclasses.asdict(comparison),
    }
    text = (
        f"sealed {out}: {size:,} bytes, {description.parameters:,} parameters, {description.macs:,} "
        f"multiply-accumulates a window\ncompared with the trained model on {comparison.windows} windows: "
        f"outputs within {comparison.largest_difference:.2g} (at most {comparison.tolerance:.2g}); "
        f"{comparison.excluded} without a clear verdict"
    )
    if description.int8 is not None:
        bytes_of_int8 = (out / INT8).stat().st_size
        result["int8"] = {"model_bytes": bytes_of_int8, **description.int8.to_json()}
        text += f"\nint8: {bytes_of_int8:,} bytes; {description.int8.told()}"
    if rule is not None:
        result["alarm"] = {**rule.to_json(), "chosen": chosen}
        text += f"\nalarm: threshold {rule.threshold:.3g}, {chosen}"
    emit(result, text, as_json=as_json)
