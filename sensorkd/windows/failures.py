"""What could not be read: the first error of each file, and how many windows it cost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sensorkd.errors import ArchiveError, SensorkdError
from sensorkd.recordings import Recording

__all__ = ["Failures", "error_from_json", "error_to_json"]

PARTS = ("problem", "file", "inside", "found", "expected", "mend")


class Failures:
    """Errors met while windows were read, by file; as many as there are files, however many windows."""

    def __init__(self) -> None:
        self._first: dict[Path, SensorkdError] = {}
        self._lost: dict[Path, int] = {}

    def add(self, recording: Recording, error: SensorkdError) -> None:
        """An input of a window of this recording could not be read."""
        self._first.setdefault(recording.path, error)
        self._lost[recording.path] = self._lost.get(recording.path, 0) + 1

    @property
    def count(self) -> int:
        """How often anything could not be read."""
        return sum(self._lost.values())

    @property
    def errors(self) -> list[SensorkdError]:
        """One a file, saying how often it was met."""
        return [
            ArchiveError(
                error.problem,
                file=error.file or path,
                inside=error.inside,
                found=f"{error.found}; {self._lost[path]:,} windows lose an input by it",
                expected=error.expected or "samples that can be read",
                mend=error.mend or "restore the file from its source, or leave it out",
            )
            for path, error in self._first.items()
        ]


def error_to_json(error: SensorkdError) -> dict[str, Any]:
    """An error as plain values."""
    told = {name: getattr(error, name) for name in PARTS}
    return {name: None if value is None else str(value) for name, value in told.items()}


def error_from_json(tree: Mapping[str, Any]) -> ArchiveError:
    """The inverse of `error_to_json`."""
    told = {name: tree.get(name) for name in PARTS}
    return ArchiveError(str(told.pop("problem")), **told)
