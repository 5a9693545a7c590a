"""The process in which a logger writes: HDF5 may crash there, and the program that logs goes on."""

from __future__ import annotations

import os
import shutil
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from sensorkd.errors import ArchiveError, SensorkdError
from sensorkd.recordings.logger_file import LoggerFile, seal_salvaged
from sensorkd.recordings.logger_folder import PART, lock_folder, parts
from sensorkd.recordings.logger_plan import LoggerPlan
from sensorkd.recordings.logger_report import LoggerEvent
from sensorkd.recordings.manifest import seal
from sensorkd.recordings.superblock import read_superblock

__all__ = ["KEPT", "write_log"]

KEPT = ".damaged"


def write_log(plan: LoggerPlan, blocks: Connection, answers: Connection) -> None:
    """Write what comes through `blocks` until its other end closes, however that happens.

    Messages are ("rows", name, t0, begins, stamp) and then the bytes; ("flush",), ("rotate",) and ("close",),
    which are answered. Answers are ("ready",), ("event", LoggerEvent), ("flushed", {name: samples}),
    ("done",) and ("error", SensorkdError), the last of all.
    """
    # An interrupt is for the owner, which then closes the logger.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    writer = _Writer(plan, blocks, answers)
    try:
        with lock_folder(plan.folder, plan.patience):
            writer.recover()
            writer.run()
    except (OSError, RuntimeError) as error:
        writer.tell("error", _unwritable(plan.folder, error))
        # HDF5 would write at exit what could not be written, and may crash over it.
        os._exit(1)
    except SensorkdError as error:
        writer.tell("error", error)


class _Writer:
    def __init__(self, plan: LoggerPlan, blocks: Connection, answers: Connection) -> None:
        self.plan = plan
        self.blocks = blocks
        self.answers = answers
        self.file: LoggerFile | None = None
        self.flushed = dict.fromkeys(plan.streams, 0)  # in files before this one
        self.flush_at = self.sync_at = float("inf")

    def tell(self, kind: str, content: Any = None) -> None:
        try:
            self.answers.send((kind, content))
        except OSError:
            return  # the owner is gone; what it gave is written all the same

    def recover(self) -> None:
        """Save and seal what loggers before this one left behind."""
        for part in parts(self.plan.folder):
            self.tell("event", _recover(part))
        self.tell("ready")

    def run(self) -> None:
        """Take messages until there are no more, then seal."""
        while True:
            patience = min(self.flush_at, self.sync_at) - time.monotonic()
            if not self.blocks.poll(None if patience > 1e6 else max(0.0, patience)):
                self._on_time()
                continue
            try:
                message = self.blocks.recv()
                payload = self.blocks.recv_bytes() if message[0] == "rows" else b""
            except (EOFError, OSError):
                break  # the owner is gone
            if message[0] == "rows":
                name, t0, begins, stamp = message[1:]
                self._take(name, payload, t0=t0, begins=begins, stamp=stamp)
            elif message[0] == "flush":
                self._flush()
            else:
                self._seal()
            if message[0] == "close":
                self.tell("done")
                return
            if message[0] != "rows":
                self.tell("done")
            self._on_time()
        self._seal()

    def _take(self, name: str, payload: bytes, *, t0: int, begins: bool, stamp: int | None) -> None:
        self._check_space(len(payload))
        if self.file is not None and self.file.full:
            self._seal()
        if self.file is None:
            self.file = LoggerFile(self.plan, t0)
            if self.plan.sync_seconds is not None:
                self.sync_at = time.monotonic() + self.plan.sync_seconds
        told = self.plan.streams[name]
        samples = np.frombuffer(payload, told.dtype).reshape(-1, *told.sample_shape)
        stream = self.file.streams[name]
        before = stream.written
        self.file.append(name, samples, t0=t0, begins=begins, stamp=stamp)
        if stream.written > before:
            self._tell_flushed()
        if stream.written < stream.taken:
            self.flush_at = min(self.flush_at, time.monotonic() + self.plan.flush_seconds)

    def _on_time(self) -> None:
        now = time.monotonic()
        if now >= self.flush_at:
            self._flush()
        if now >= self.sync_at and self.file is not None and self.plan.sync_seconds is not None:
            self.file.sync()
            self.sync_at = time.monotonic() + self.plan.sync_seconds

    def _flush(self) -> None:
        self.flush_at = float("inf")
        if self.file is not None:
            self.file.flush()
            self._tell_flushed()

    def _tell_flushed(self) -> None:
        if self.file is not None:
            written = {name: stream.written for name, stream in self.file.streams.items()}
            self.tell("flushed", {name: count + self.flushed[name] for name, count in written.items()})

    def _seal(self) -> None:
        self.flush_at = self.sync_at = float("inf")
        if self.file is None:
            return
        self._flush()
        for name, stream in self.file.streams.items():
            self.flushed[name] += stream.written
        file, self.file = self.file, None
        self.tell("event", LoggerEvent("sealed", file=file.seal().name))

    def _check_space(self, coming: int) -> None:
        free = shutil.disk_usage(self.plan.folder).free
        coming += self.file.waiting_bytes if self.file is not None else 0
        if free - coming >= self.plan.reserve_bytes:
            return
        self._seal()
        raise ArchiveError(
            "the disk is nearly full: the logger has stopped, and sealed what it was given before",
            file=self.plan.folder,
            found=f"{free:,} bytes free, {coming:,} to write",
            expected=f"{self.plan.reserve_bytes:,} bytes left free (reserve_bytes)",
            mend="make room, then start the logger again",
        )


def _recover(part: Path) -> LoggerEvent:
    """Seal a part; what cannot be saved as a whole is kept aside as well."""
    final = part.with_name(part.name.removesuffix(PART))
    kept = final.with_name(final.name + KEPT)
    if final.exists():  # it was saved, and the logger that did so was killed before it could say so
        part.replace(kept)
        return LoggerEvent("kept", file=kept.name, told=(f"{final.name} was made of it",))
    try:
        if not read_superblock(part).left_open:
            seal(part, final)
            return LoggerEvent("recovered", file=final.name)
    except SensorkdError:
        pass  # not as whole as it looks
    try:
        report = seal_salvaged(part, final)
    except SensorkdError as error:
        part.replace(kept)
        return LoggerEvent("kept", file=kept.name, told=tuple(str(error).splitlines()))
    told = tuple(report.lines()[1:])
    if report.whole:
        part.unlink()
    else:
        part.replace(kept)
        told = (*told, f"the part is kept as {kept.name}")
    return LoggerEvent("recovered", file=final.name, told=told)


def _unwritable(folder: Path, error: Exception) -> ArchiveError:
    return ArchiveError(
        "the logger cannot write any more; what it had flushed stays in its .part file",
        file=folder,
        found=error,
        expected="a disk with room that takes what is written",
        mend="make room or mend the disk, then start the logger again: it recovers the part",
    )
