"""Saves what can be read of the files that checks found damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sensorkd.checks.container import NO_RECORDING, SCHEMA, UNFINISHED, UNREADABLE
from sensorkd.checks.run import Report
from sensorkd.checks.samples import DAMAGED_CHUNK
from sensorkd.errors import SensorkdError
from sensorkd.recordings import Layout, load_layout
from sensorkd.recordings.reader import UNFINISHED as UNFINISHED_NAMES
from sensorkd.recordings.salvage import salvage
from sensorkd.recordings.salvage_report import SalvageReport

__all__ = ["salvage_damaged"]

DAMAGES = frozenset(check.id for check in (UNREADABLE, NO_RECORDING, SCHEMA, DAMAGED_CHUNK, UNFINISHED))


def salvage_damaged(
    report: Report,
    out: str | Path,
    layout: Layout | str | Path | None = None,
    *,
    on_error: Callable[[SensorkdError], None],
) -> list[SalvageReport]:
    """Write a new archive into the folder `out` for every file of a report that is damaged.

    The damaged files stay as they are. on_error: called for each of which nothing can be saved.

    Raises:
        ConfigError: the layout itself is wrong.
    """
    if isinstance(layout, str | Path):
        layout = load_layout(layout)
    damaged = {finding.place.file for finding in report.findings if finding.check in DAMAGES}
    saved = []
    for file in sorted(damaged):
        name = report.files.get(file, Path(file).name)
        for ending in UNFINISHED_NAMES:
            name = name.removesuffix(ending.removeprefix(".h5")) if name.endswith(ending) else name
        target = Path(out) / name
        if not Path(file).is_file():
            continue
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            saved.append(salvage(Path(file), target, layout))
        except SensorkdError as error:
            on_error(error)
    return saved
