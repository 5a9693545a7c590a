"""Blocks on their way to the writing process: so many bytes at most, so that a slow disk is noticed."""

from __future__ import annotations

import threading
from collections import deque
from multiprocessing.connection import Connection
from typing import Any

__all__ = ["BlockQueue"]

Message = tuple[tuple[Any, ...], memoryview | None]


class BlockQueue:
    """Sends messages through a pipe from a thread of its own, in order. limit: bytes that may wait."""

    def __init__(self, pipe: Connection, limit: int) -> None:
        self._pipe = pipe
        self._limit = limit
        self._waiting: deque[Message] = deque()
        self._bytes = 0
        self._broken = False
        self._ending = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._send, name="recording logger", daemon=True)
        self._thread.start()

    def put(self, message: tuple[Any, ...], payload: memoryview | None, timeout: float | None) -> bool:
        """Queue a message; False: there was no room for it in time, or the other end is gone.

        A block larger than the limit waits until the queue is empty.
        """
        size = payload.nbytes if payload is not None else 0
        with self._changed:
            room = self._changed.wait_for(
                lambda: self._broken or not self._bytes or self._bytes + size <= self._limit, timeout
            )
            if not room or self._broken:
                return False
            self._waiting.append((message, payload))
            self._bytes += size
            self._changed.notify_all()
            return True

    @property
    def broken(self) -> bool:
        """Whether the other end is gone."""
        return self._broken

    def end(self) -> None:
        """Close the pipe once everything queued is sent; returns at once."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()

    def join(self) -> None:
        """Wait until the pipe is closed."""
        self._thread.join()

    def _send(self) -> None:
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._waiting or self._ending)
                    if not self._waiting:
                        return
                    message, payload = self._waiting[0]
                self._pipe.send(message)
                if payload is not None:
                    self._pipe.send_bytes(payload)
                with self._changed:
                    self._waiting.popleft()
                    self._bytes -= payload.nbytes if payload is not None else 0
                    self._changed.notify_all()
        except OSError:
            with self._changed:
                self._broken = True
                self._changed.notify_all()
        finally:
            self._pipe.close()
