"""`sensorkd update BUNDLE --data PATH... --out BUNDLE2 [--key FILE]`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sensorkd.cli.console import AsJson, emit, note
from sensorkd.edge.update import MOST_LOST

__all__ = ["run"]


def run(
    bundle: Annotated[Path, typer.Argument(help="Folder of a bundle.")],
    data: Annotated[list[Path], typer.Option(help="Archives with a few labelled windows.")],
    out: Annotated[Path, typer.Option(help="Folder of the bundle to write.")],
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[PATH]...", help="More archives, as if given to --data.")
    ] = None,
    layout: Annotated[
        Path | None, typer.Option(help="Layout, for archives that are not recording-1.0.")
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="Label table for them.")] = None,
    new_class: Annotated[
        list[str] | None, typer.Option(help="A label that the bundle does not know yet; may repeat.")
    ] = None,
    most_lost: Annotated[
        float, typer.Option(help="Share of the windows kept from training that may be lost.")
    ] = MOST_LOST,
    key: Annotated[
        Path | None, typer.Option(help="File with the operator's key, for a patch that devices take.")
    ] = None,
    patch: Annotated[Path | None, typer.Option(help="Write the patch too, for devices.")] = None,
    as_json: AsJson = False,
) -> None:
    """Teach a copy of a bundle a little from a few labelled windows, without training.

    Example: sensorkd update bundle --data new_machine.h5 --out bundle2 --key update.key --patch m9.patch
    """
    from sensorkd.edge import EdgeBundle
    from sensorkd.edge.patch import read_key
    from sensorkd.edge.update_command import write_patch
    from sensorkd.errors import ConfigError
    from sensorkd.evaluation.update import update_bundle

    if patch is not None and key is None:
        raise ConfigError(
            "a patch for devices is signed with the operator's key",
            inside="--patch",
            mend="name it: --key FILE",
        )
    result = update_bundle(
        EdgeBundle.open(bundle),
        [*data, *(paths or [])],
        out,
        layout=None if layout is None else str(layout),
        labels=None if labels is None else str(labels),
        new_classes=new_class or [],
        most_lost=most_lost,
        key=None if key is None else read_key(key),
    )
    for line in result.notes:
        note(line)
    if patch is not None:
        write_patch(patch, result.patch)
    learned = result.learned
    told = {
        "bundle": str(out),
        "patch_bytes": len(result.patch),
        "windows": result.windows,
        "kept_windows": learned.judged,
        "kept_before": learned.before,
        "kept_after": learned.after,
        "own_before": learned.own_before,
        "own_after": learned.own_after,
        "classes": list(learned.correction.classes),
    }
    emit(
        told,
        f"wrote {out}, a patch of {len(result.patch):,} bytes in force: {learned.told()}",
        as_json=as_json,
    )
