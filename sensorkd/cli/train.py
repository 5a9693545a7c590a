"""`sensorkd train CONFIG [key=value ...]`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sensorkd.cli.console import AsJson, emit, note, reading_bar, training_bar

__all__ = ["run"]


def run(
    config: Annotated[Path, typer.Argument(help="YAML configuration.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="e.g. training.steps=200 seed=1")
    ] = None,
    resume: Annotated[
        bool, typer.Option(help="Go on from the last epoch of a run that was cut off.")
    ] = False,
    isolated: Annotated[
        bool, typer.Option(help="Open and read archives in child processes only: for files from strangers.")
    ] = False,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print the configuration as it was understood, and stop.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train a student on logged archives.

    Example: sensorkd train examples/configs/plant.yaml training.steps=200 out=runs/try
    """
    from sensorkd.runs.config_file import load_config

    resolved = load_config(config, [*(overrides or ()), *(["isolated=true"] if isolated else [])])
    if print_config:
        import yaml

        tree = resolved.model_dump(mode="json")
        emit(tree, yaml.safe_dump(tree, sort_keys=False).rstrip(), as_json=as_json)
        return
    from sensorkd.models.cost import cost_of
    from sensorkd.runs.build import example_inputs
    from sensorkd.runs.train import train_run

    with reading_bar() as on_read, training_bar(resolved.method.name) as on_step:
        trained = train_run(resolved, resume=resume, on_note=note, on_read=on_read, on_step=on_step)
    cost = cost_of(trained.student(), example_inputs(trained.encodings))
    for name, item in trained.health.items():
        if item.present < item.windows or any(item.faults.values()):
            note(f"{name}: {item.told()}")
    result = {
        "run": str(trained.folder),
        "classes": list(trained.classes),
        "groups": {side: list(names) for side, names in trained.groups.items()},
        "parameters": cost.parameters,
        "macs": cost.macs,
        "weight_bytes": cost.weight_bytes,
        "sensors": {name: item.to_json() for name, item in trained.health.items()},
        "errors": list(trained.left_out),
    }
    text = (
        f"trained {trained.folder} ({resolved.method.name}, {resolved.model.size}): {cost.parameters:,} "
        f"parameters, {cost.macs:,} multiply-accumulates a window, {cost.weight_bytes:,} bytes of weights\n"
        f"next: sensorkd evaluate {trained.folder}{'' if trained.groups['test'] else ' --data ARCHIVES'}"
    )
    emit(result, text, as_json=as_json)
    if trained.left_out:
        note(f"error: {len(trained.left_out)} files were left out, wholly or in part; see above")
        raise typer.Exit(1)
