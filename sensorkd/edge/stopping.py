"""Ends a source of lines where the process is told to stop, instead of dying in the middle of one."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, BinaryIO

__all__ = ["StoppableLines"]

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class _Told(BaseException):
    """Raised out of waiting for a line; nobody else may catch it."""


class StoppableLines:
    """`readline` of a binary source, which says that it has ended after SIGTERM or SIGINT.

    A line that was begun is judged to its end. A second signal does what it did before. Signals reach the
    main thread alone: in another one nothing is changed, nor for a signal that is ignored.
    """

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._told = self._waiting = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StoppableLines:
        if threading.current_thread() is threading.main_thread():
            # What is ignored, as SIGINT is in the background of a shell, stays so.
            heeded = [item for item in SIGNALS if signal.getsignal(item) not in (signal.SIG_IGN, None)]
            self._before = {number: signal.signal(number, self._tell) for number in heeded}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._as_before()

    def readline(self, limit: int = -1, /) -> bytes:
        """The next line, or nothing; see `io.IOBase.readline`."""
        try:
            self._waiting = True
            line = b"" if self._told else self._source.readline(limit)
            self._waiting = False
        except _Told:
            return b""
        return line

    def _tell(self, number: int, frame: FrameType | None) -> None:
        self._told = True
        self._as_before()
        if self._waiting:
            self._waiting = False
            raise _Told

    def _as_before(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
