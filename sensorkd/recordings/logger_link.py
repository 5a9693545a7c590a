"""The logger's end of its writing process: what is sent there, and what is heard from there."""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import pickle
import signal
import time
from collections.abc import Callable
from typing import Any

from sensorkd.errors import ArchiveError, SensorkdError
from sensorkd.processes import PRELOADED, without_main
from sensorkd.recordings.logger_plan import LoggerPlan
from sensorkd.recordings.logger_process import write_log
from sensorkd.recordings.logger_queue import BlockQueue

__all__ = ["WriterLink"]

LISTENING = 0.05


class WriterLink:
    """Starts the writing process and waits until it is ready.

    queue_bytes: what may wait on the way. heard: called with the kind and the content of what it says.

    Raises:
        ArchiveError: it could not begin.
    """

    def __init__(self, plan: LoggerPlan, queue_bytes: int, heard: Callable[[str, Any], None]) -> None:
        self._plan = plan
        self._heard = heard
        self.failure: SensorkdError | None = None
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        blocks, ours = context.Pipe(duplex=False)
        self._answers, answers = context.Pipe(duplex=False)
        # Not a daemon: it has children of its own when it recovers, and it outlives us to seal the file.
        self._process = context.Process(target=write_log, args=(plan, blocks, answers))
        with without_main(pickle.dumps(plan)):
            self._process.start()
        self.process_id = self._process.pid or 0
        blocks.close()
        answers.close()
        self._queue = BlockQueue(ours, queue_bytes)
        atexit.register(self.end)  # before multiprocessing waits for the process, which waits for us
        try:
            self._wait("ready")
        except SensorkdError:
            self.end()
            raise

    def send(self, message: tuple[Any, ...], payload: memoryview, timeout: float) -> bool:
        """Send a block; False: the queue had no room for it in so many seconds.

        Raises:
            ArchiveError: the process has stopped, or is gone.
        """
        deadline = time.monotonic() + timeout
        while True:
            self.listen()  # a process that is not heard cannot go on for long
            left = deadline - time.monotonic()
            if self._queue.put(message, payload, max(0.0, min(left, LISTENING))):
                return True
            if self._queue.broken:
                self._wait("the end")
            if left <= 0:
                return False

    def ask(self, what: str) -> None:
        """Send a request, and return when it is done.

        Raises:
            ArchiveError: the process has stopped, or is gone.
        """
        self.listen()
        if not self._queue.put((what,), None, None):
            self._wait("the end")
        self._wait("done")

    def listen(self) -> None:
        """Hear what the process has said.

        Raises:
            ArchiveError: that it stopped, or it is gone.
        """
        if self.failure is not None:
            raise self.failure
        while not self._answers.closed and self._answers.poll():
            self._hear()

    def end(self) -> None:
        """Close the pipe and wait: the process seals what it has, and ends."""
        atexit.unregister(self.end)
        self._queue.end()
        # It says what it has done, and waits when nobody listens: until it is gone.
        with contextlib.suppress(EOFError, OSError):
            while True:
                kind, content = self._answers.recv()
                if kind == "error":
                    self.failure = self.failure or content
                else:
                    self._heard(kind, content)
        self._queue.join()
        self._process.join()
        self._answers.close()

    def _wait(self, answer: str) -> None:
        while self._hear() != answer:
            pass

    def _hear(self) -> str:
        try:
            kind, content = self._answers.recv()
        except (EOFError, OSError) as error:
            self.failure = self._gone()
            raise self.failure from error
        if kind == "error":
            self.failure = content
            raise content
        self._heard(kind, content)
        return str(kind)

    def _gone(self) -> ArchiveError:
        self._process.join()
        code = self._process.exitcode or 0
        how = f"code {code}" if code >= 0 else signal.Signals(-code).name
        return ArchiveError(
            "the writing process has died; what it had flushed stays in its .part file",
            file=self._plan.folder,
            found=f"it was ended by {how}",
            expected="a process that runs until the logger is closed",
            mend="start the logger again: it recovers the part",
        )
