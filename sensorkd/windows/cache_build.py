"""Copies windows of source files into the files of a cache, in a child process.

A file counts as copied once its line stands in the journal, which is written after all its bytes are on disk:
whenever the child is killed, what has a line is whole, and what has none is copied again.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd.errors import ArchiveError, SensorkdError
from sensorkd.recordings import Recording
from sensorkd.windows.cache_layout import CacheFile, CacheLayout, write_at, write_error
from sensorkd.windows.content import FileState, check_state
from sensorkd.windows.failures import Failures, error_to_json
from sensorkd.windows.mapped import checksum
from sensorkd.windows.read import Window, blank_columns, readable_windows

__all__ = ["CopyTask", "SourceFile", "copy_files", "read_journal", "write_journal"]

JOURNAL = "journal.jsonl"
ALIVE_EVERY = 64


@dataclass(frozen=True)
class SourceFile:
    """The windows of one archive. number: of the file in this cache. recordings, t_ref, rows: of each
    window, the last being its place in the cache."""

    number: int
    path: Path
    state: FileState
    recordings: tuple[Recording, ...]
    t_ref: NDArray[np.int64]
    rows: NDArray[np.int64]


@dataclass(frozen=True)
class CopyTask:
    """Some source files, to be copied into a folder."""

    folder: Path
    layout: CacheLayout
    files: tuple[SourceFile, ...]

    def __str__(self) -> str:
        return str(self.files[0].path)


def copy_files(task: CopyTask) -> list[int]:
    """Copy all windows of some files; gives their numbers.

    What cannot be read of a file is noted in the journal, and its windows are left out.

    Raises:
        CacheError: the cache cannot be written.
    """
    with _opened(task.folder, task.layout) as written:
        for source in task.files:
            errors = written.copy(source)
            written.flush()
            write_journal(task.folder, source, errors)
    return [source.number for source in task.files]


class _OpenCache:
    """The files of a cache that is being made, open for writing. samples: by input."""

    def __init__(
        self, layout: CacheLayout, samples: Mapping[str, int], columns: Mapping[str, int], folder: Path
    ) -> None:
        self.layout, self.samples, self.columns, self.folder = layout, samples, columns, folder

    def copy(self, source: SourceFile) -> list[SensorkdError]:
        """Copy one file; what could not be read of it."""
        failures, count = Failures(), len(source.rows)
        presence, coverage, faults = blank_columns(count, len(self.layout.encodings))
        crc, kept = np.zeros(presence.shape, np.uint32), np.zeros(count, np.uint8)
        changed: list[SensorkdError] = []
        try:
            check_state(source.path, source.state)
            windows = readable_windows(source.recordings, source.t_ref, self.layout.encodings, failures)
            for row, (window, readable) in enumerate(windows):
                _check_parent(row)
                presence[row], coverage[row], faults[row] = window.presence, window.coverage, window.faults
                crc[row] = self._put(int(source.rows[row]), window)
                kept[row] = readable
            check_state(source.path, source.state)
        except ArchiveError as error:
            changed, kept[:] = [error], 0
        told: dict[str, NDArray[Any]] = {
            "presence": presence,
            "coverage": coverage,
            "faults": faults,
            "crc": crc,
            "kept": kept,
        }
        for name, values in told.items():
            self._put_column(self.layout.columns[name], self.columns[name], source.rows, values)
        return changed or failures.errors

    def _put(self, row: int, window: Window) -> list[int]:
        """Write the samples of a window; the checksum of each input."""
        sums = []
        for name, descriptor in self.samples.items():
            file, values = self.layout.inputs[name], np.ascontiguousarray(window.inputs[name])
            self._write(file, descriptor, row, values)
            sums.append(checksum(values))
        return sums or [0] * len(self.layout.encodings)

    def _put_column(
        self, file: CacheFile, descriptor: int, rows: NDArray[np.int64], values: NDArray[Any]
    ) -> None:
        for run in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(rows) != 1) + 1):
            if len(run):
                self._write(file, descriptor, int(rows[run[0]]), values[run])

    def _write(self, file: CacheFile, descriptor: int, row: int, values: NDArray[Any]) -> None:
        try:
            write_at(descriptor, row * file.item_bytes, values)
        except OSError as error:
            raise write_error(self.folder / file.name, error, self.layout.bytes) from error

    def flush(self) -> None:
        """Bring all that was written to the disk."""
        try:
            for descriptor in [*self.samples.values(), *self.columns.values()]:
                os.fsync(descriptor)
        except OSError as error:
            raise write_error(self.folder, error, self.layout.bytes) from error


@contextmanager
def _opened(folder: Path, layout: CacheLayout) -> Iterator[_OpenCache]:
    with ExitStack() as stack:

        def descriptors(files: Mapping[str, CacheFile]) -> dict[str, int]:
            return {
                name: stack.enter_context((folder / file.name).open("r+b", buffering=0)).fileno()
                for name, file in files.items()
            }

        try:
            opened = _OpenCache(layout, descriptors(layout.inputs), descriptors(layout.columns), folder)
        except OSError as error:
            raise write_error(folder, error, layout.bytes) from error
        yield opened


def _check_parent(row: int) -> None:
    """Stop when nobody waits for the result any more: another process may make the same cache by now."""
    parent = multiprocessing.parent_process()
    if row % ALIVE_EVERY == 0 and parent is not None and not parent.is_alive():
        raise SystemExit(1)


def write_journal(folder: Path, source: SourceFile, errors: Sequence[SensorkdError]) -> None:
    """Note that a file was copied, and what could not be read of it.

    Raises:
        CacheError: the journal cannot be written.
    """
    line = {"number": source.number, "errors": [error_to_json(error) for error in errors]}
    try:
        with (folder / JOURNAL).open("ab", buffering=0) as handle:
            # One write, so that lines of several children do not mix.
            handle.write(b"\n" + json.dumps(line).encode() + b"\n")
            os.fsync(handle.fileno())
    except OSError as error:
        raise write_error(folder / JOURNAL, error, 0) from error


def read_journal(folder: Path) -> dict[int, list[dict[str, Any]]]:
    """Numbers of the files that were copied, and what could not be read of each; a torn line counts not."""
    done: dict[int, list[dict[str, Any]]] = {}
    path = folder / JOURNAL
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []:
        try:
            told = json.loads(line)
            done[int(told["number"])] = list(told["errors"])
        except (ValueError, KeyError, TypeError):
            continue
    return done
