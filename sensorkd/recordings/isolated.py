"""Opens each file in a process of its own, which may crash, hang or hunger without harm to the others.

For files that nobody vouches for. What is read lazily afterwards is read in the caller's own process.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from sensorkd.errors import SensorkdError
from sensorkd.processes import ChildLimits, in_children
from sensorkd.recordings.layout import Layout, load_layout
from sensorkd.recordings.reader import Gathered, find_archives, open_archive
from sensorkd.recordings.recording import Recording

__all__ = ["LIMITS", "open_isolated", "open_isolated_with"]

T = TypeVar("T")

SECONDS = 60.0
MEMORY = 4 << 30
LIMITS = ChildLimits(seconds=SECONDS, memory=MEMORY)

Paths = str | Path | Iterable[str | Path]


def open_isolated(
    paths: Paths,
    layout: Layout | str | Path | None = None,
    *,
    on_error: Callable[[SensorkdError], None] | None = None,
    jobs: int = 1,
    limits: ChildLimits = LIMITS,
) -> list[Recording]:
    """As `open_recordings`, each file opened in a child; at most `jobs` at once.

    limits: of one file: by default a minute and 4 GiB.

    Raises:
        ArchiveError, ConfigError: see `open_recordings`.
        ChildError: a file crashed its reader, or went beyond `limits`; told to `on_error` if there is one.
    """
    return [
        recording
        for recording, _ in open_isolated_with(
            _nothing, paths, layout, on_error=on_error, jobs=jobs, limits=limits
        )
    ]


def open_isolated_with(
    look: Callable[[Recording], T],
    paths: Paths,
    layout: Layout | str | Path | None = None,
    *,
    on_error: Callable[[SensorkdError], None] | None = None,
    jobs: int = 1,
    limits: ChildLimits = LIMITS,
) -> list[tuple[Recording, T]]:
    """As `open_isolated`, with what `look` says of each recording in the child, where it may read samples.

    `look` and what it returns are picklable. A SensorkdError that it raises is the whole file's.
    """
    if isinstance(layout, str | Path):
        layout = load_layout(layout)
    files = find_archives(paths)
    work = functools.partial(_open_one, layout=layout, look=look)
    # As they come, then in the order of the names, so that of two files with one id the first counts.
    results = dict(in_children(work, files, jobs=jobs, limits=limits, told=lambda file: file[1]))
    gathered = Gathered(on_error)
    seen: dict[int, T] = {}
    for _, result in sorted(results.items()):
        if isinstance(result, SensorkdError):
            gathered.fail(result)
        else:
            gathered.add(recording for recording, _ in result)
            seen |= {id(recording): told for recording, told in result}
    return [(recording, seen[id(recording)]) for recording in gathered.recordings]


def _open_one(
    file: tuple[str, Path], *, layout: Layout | None, look: Callable[[Recording], T]
) -> list[tuple[Recording, T]]:
    name, path = file
    return [(recording, look(recording)) for recording in open_archive(path, name, layout)]


def _nothing(recording: Recording) -> None:
    return None
