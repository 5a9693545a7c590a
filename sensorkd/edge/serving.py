"""Judges JSON lines from standard input until they end, and remembers across restarts where it was."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, TextIO

from sensorkd.durable import write_whole
from sensorkd.edge.lines import LINE_BYTES, judge_lines
from sensorkd.edge.predictor import EdgePredictor
from sensorkd.edge.stopping import StoppableLines
from sensorkd.edge.stream import StreamPredictor
from sensorkd.errors import BundleError, ConfigError

__all__ = ["StateFile", "numbers_of", "serve"]

# Seconds between two writes where no alarm changed: flash memory wears out.
SELDOM = 60.0


class StateFile:
    """Where a stream was, on disk: at once when the alarm changes or a recording begins, else once a minute.

    A disk that is full or fails costs the memory of a restart, never a verdict: it is told once, and once
    more when it is well again.

    Args:
        tell: told of such a disk.

    Raises:
        BundleError: it is of another stream, or names no place that could be written to.
    """

    def __init__(self, path: Path, stream: StreamPredictor, *, tell: Callable[[str], None]) -> None:
        self.path, self._stream, self._tell = path, stream, tell
        self._failing = False
        if path.exists():
            try:
                tree = json.loads(path.read_text(encoding="utf-8"))
                if not isinstance(tree, dict):
                    raise ValueError(f"{type(tree).__name__}, expected an object")
            except (OSError, ValueError) as error:
                raise BundleError(
                    "the state of a stream cannot be read",
                    file=path,
                    found=error,
                    mend="remove it: the stream then begins anew",
                ) from error
            stream.restore(tree)
        try:
            # Now, not in a minute: who mistyped the folder is there to see it.
            self._write()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
            raise BundleError(
                "the state of a stream cannot be written",
                file=path,
                found=error.strerror,
                mend="name a file in a folder that is there and may be written to",
            ) from error
        except OSError as error:
            self._failed(error)

    def keep(self, *, now: bool = False) -> None:
        """Write it if it is time to."""
        if now or self._key() != self._last or time.monotonic() - self._written >= SELDOM:
            try:
                self._write()
            except OSError as error:
                self._failed(error)
            else:
                if self._failing:
                    self._tell(f"{self.path}: the state of the stream is written again")
                self._failing = False

    def _failed(self, error: OSError) -> None:
        """Tried again as seldom as it is written."""
        self._written, self._last = time.monotonic(), self._key()
        if not self._failing:
            problem = BundleError(
                "the state of a stream cannot be written",
                file=self.path,
                found=error,
                mend="make room on the disk; judging goes on, and only a restart would forget where it was",
            )
            self._tell(str(problem))
        self._failing = True

    def _key(self) -> tuple[bool, str]:
        return self._stream.alarm_active, self._stream.recording

    def _write(self) -> None:
        write_whole(self.path, json.dumps(self._stream.state()).encode())
        self._written, self._last = time.monotonic(), self._key()


def serve(
    predictor: EdgePredictor,
    source: BinaryIO,
    out: TextIO,
    *,
    tell: Callable[[str], None],
    rates: Mapping[str, float] | None = None,
    lateness: Mapping[str, float] | None = None,
    state: Path | None = None,
    limit: int = LINE_BYTES,
) -> int:
    """Judge lines until they end, or SIGTERM or SIGINT ends them; how many could not be used.

    Args:
        tell: told of bad lines, of samples that contradict each other, and what came of each input in all.
        state: a file; None: nothing is remembered. limit: bytes of a line.

    Raises:
        BundleError: the state is of another stream, or a rate or lateness is of no input.
    """
    stream = predictor.stream(rates=rates, lateness=lateness, on_problem=lambda error: tell(str(error)))
    kept = None if state is None else StateFile(state, stream, tell=tell)
    after = (lambda: None) if kept is None else kept.keep
    with StoppableLines(source) as lines:
        bad = judge_lines(stream, lines, out, on_bad=tell, after=after, limit=limit)
        if kept is not None:
            kept.keep(now=True)
    for name, counters in stream.counters.items():
        told = ", ".join(f"{count} {what}" for what, count in counters.items() if count)
        tell(f"{name}: {told or 'nothing came'}")
    return bad


def numbers_of(told: Sequence[str], option: str) -> dict[str, float]:
    """`NAME=NUMBER` of the command line.

    Raises:
        ConfigError: it is none.
    """
    numbers = {}
    for item in told:
        name, _, number = item.partition("=")
        try:
            numbers[name] = float(number)
        except ValueError as error:
            raise ConfigError(f"{option} takes NAME=NUMBER", found=item, expected=f"{name}=1.5") from error
    return numbers
