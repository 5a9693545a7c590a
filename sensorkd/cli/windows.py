"""`sensorkd windows PATH... --like RUN --out FILE [--isolated]`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from sensorkd.cli.console import AsJson, check_out, emit, end, note
from sensorkd.cli.loading import Isolated, load_run

__all__ = ["run"]


def run(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Archives or folders.")],
    like: Annotated[Path, typer.Option(metavar="RUN", help="The run whose windows are wanted.")],
    out: Annotated[Path, typer.Option(help="The .npz to write.")],
    isolated: Isolated = False,
    as_json: AsJson = False,
) -> None:
    """Write windows as a device would see them: native samples and presence.

    Example: sensorkd windows plant/m05.h5 --like runs/plant --out windows.npz
    """
    from sensorkd.evaluation.run_windows import windows_for

    check_out(out)
    # Read once: a cache of them would only be left behind.
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as work:
        run = load_run(like, isolated=isolated, cache=Path(work))
        windows = windows_for(run, [str(path) for path in paths])
        for line in windows.notes:
            note(line)
        windows.arrays.save(out)
    shapes = {name: list(values.shape) for name, values in windows.arrays.inputs.items()}
    count = len(windows.arrays)
    text = f"wrote {out}: {count} windows, " + ", ".join(f"{name} {shape}" for name, shape in shapes.items())
    errors = [str(error) for error in windows.failed]
    emit({"file": str(out), "windows": count, "inputs": shapes, "errors": errors}, text, as_json=as_json)
    end(windows.failed)
