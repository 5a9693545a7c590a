"""Writes recording-1.0 archives for weeks, block by block, from a program that acquires data."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections import deque
from collections.abc import Callable, Mapping
from operator import index
from pathlib import Path
from types import TracebackType
from typing import Any

from numpy.typing import NDArray

from sensorkd.errors import SensorkdError
from sensorkd.recordings.logger_block import checked_block, closed, no_room
from sensorkd.recordings.logger_clock import Aside, Placement, StreamClock
from sensorkd.recordings.logger_link import WriterLink
from sensorkd.recordings.logger_plan import LoggerPlan
from sensorkd.recordings.logger_report import LoggedStream, LoggerEvent, LoggerReport
from sensorkd.recordings.recording import Clock
from sensorkd.recordings.stream_format import StreamFormat

__all__ = ["RecordingLogger"]


class RecordingLogger:
    """Writes what sensors deliver into a folder: one file after another, each sealed when it is done.

    A file in the making is `NAME.h5.part`; others may read along with `h5py.File(part, swmr=True)`. It is
    written by a process of its own. Once full it is read back, entered into the folder's `manifest.json` and
    named `NAME.h5`. Samples are handed to the operating system as chunks fill, after `flush_seconds` at the
    latest: then they survive the end of either process. A power cut may cost what came after the last sync.
    The next logger in the folder saves what a killed one left. No window spans two files.

    Stamps (t0 of a block) are not believed one by one: host clocks jitter, crystals are off. A segment is the
    straight line through those of its blocks, with the rate they show; the next begins at a gap, or where a
    stamp would be off by twice the tolerance. A shorter loss, such as one sample at 25.6 kHz by a host's
    clock, is not seen: where the sensor's own clock makes the stamps, set `tolerance` to half a period. What
    came before, by its content, is dropped as a repeat. Another block that is too early is put aside; after
    three in a row the clock was set, or one stamp was wrong: they begin a new file. Fewer count as late.

    Threads may share it.

    Example:
        >>> import numpy as np, tempfile
        >>> block = np.zeros((500, 3), np.int16)
        >>> told = StreamFormat(
        ...     modality="acceleration", unit="g", dtype=block.dtype, sample_shape=(3,), rate=1000.0
        ... )
        >>> with RecordingLogger(
        ...     tempfile.mkdtemp(), clock="utc", identity={"machine": "press 4"}, streams={"shake": told}
        ... ) as logger:
        ...     logger.append("shake", block, t0=1_700_000_000_000_000_000)
        ...     logger.append("shake", block)
        500
        500
        >>> logger.report().sealed
        ('20231114T221320Z.h5',)

    Args:
        folder: exists; holds one logger at a time. clock, identity: as in `RecordingWriter.recording`.
        streams: what comes, by name. A stream of which nothing comes is left out of a file.
        recording: name of the recording in every file.
        rotate_seconds, rotate_bytes: a file is full once it spans that time, or has that size.
        flush_seconds: how long a chunk that does not fill is kept back. Less than a chunk's four seconds
            makes files larger: a chunk that is written in parts is packed anew for each.
        sync_seconds: how often the disk is made to hold what the operating system holds; None: never.
        reserve_bytes: the logger stops, and seals, before less than this is free on the disk.
        queue_bytes: what may wait for the writing process. It must hold what comes while a file is sealed.
        timeout: s, how long `append` waits for room in the queue.
        patience: s, how long to wait for a logger that is still at work in the folder, sealing its last file.
        tolerance: s, by which t0 of a block may miss its place; None: 20 ms or half a period, whichever is
            longer, but half a block is a gap, unless stamps jitter by more.
        on_event: called with every LoggerEvent, from `append` and the like, when their work is done: what it
            raises passes through, and the block was taken all the same.

    Raises:
        ArchiveError: the folder is missing or in use, or a stream could not be read again.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        clock: Clock,
        identity: Mapping[str, str | int | float],
        streams: Mapping[str, StreamFormat],
        recording: str = "recording",
        rotate_seconds: float | None = 3600.0,
        rotate_bytes: int | None = None,
        flush_seconds: float = 5.0,
        sync_seconds: float | None = 60.0,
        reserve_bytes: int = 256 << 20,
        queue_bytes: int = 64 << 20,
        timeout: float = 10.0,
        patience: float = 10.0,
        tolerance: float | None = None,
        on_event: Callable[[LoggerEvent], object] | None = None,
    ) -> None:
        self.plan = LoggerPlan(
            folder=Path(folder).absolute(),
            clock=clock,
            identity=dict(identity),
            streams=dict(streams),
            recording=recording,
            rotate_seconds=rotate_seconds,
            rotate_bytes=rotate_bytes,
            flush_seconds=flush_seconds,
            sync_seconds=sync_seconds,
            reserve_bytes=reserve_bytes,
            patience=patience,
            tolerance=tolerance,
        )
        self.plan.check()
        self._timeout = timeout
        self._on_event = on_event
        self._clocks = {name: StreamClock(told.rate, tolerance) for name, told in streams.items()}
        self._report = LoggerReport({name: LoggedStream() for name in streams})
        self._closed = False
        self._lock = threading.RLock()
        self._untold: deque[LoggerEvent] = deque()
        self._link = WriterLink(self.plan, queue_bytes, self._heard)
        try:
            self._tell()
        except BaseException:
            self._link.end()
            raise

    def append(self, name: str, samples: NDArray[Any], t0: int | None = None) -> int:
        """Take a block of samples (n, *sample_shape) of one stream, n of any size, in its dtype.

        Args:
            name: of the stream.
            t0: ns, when the first one was taken; None: right after the block before. One that is later than
                `tolerance` allows begins a new segment.

        Returns:
            How many were taken of these: fewer than n where some came already, or were put aside because
            they are late; see LoggerEvent.

        Raises:
            ArchiveError: it is not what the stream's format says, the first block has no t0, or the writing
                process has stopped or is too slow. Nothing of the block was taken then.
        """
        with self._lock:
            self._check_open()
            self._link.listen()
            begun = name in self._clocks and self._clocks[name].begun
            block = checked_block(self.plan, name, samples, t0, begun=begun)
            taken = self._place(name, block, None if t0 is None else index(t0)) if len(block) else 0
            self._tell()
            return taken

    def flush(self) -> None:
        """Return once everything taken is in the file, and survives the end of both processes.

        Raises:
            ArchiveError: it could not be written.
        """
        with self._lock:
            self._check_open()
            self._link.ask("flush")
            self._tell()

    def rotate(self) -> None:
        """Seal the file; what comes next begins a new one. For a clock that was set back, for example.

        Raises:
            ArchiveError: it could not be written.
        """
        with self._lock:
            self._check_open()
            self._link.ask("rotate")
            for name, clock in self._clocks.items():
                self._late(name, clock.leave_aside())
                clock.forget()
            self._tell()

    @property
    def process_id(self) -> int:
        """Of the process that writes."""
        return self._link.process_id

    def report(self) -> LoggerReport:
        """What was done so far."""
        with self._lock:
            if not self._closed:
                with contextlib.suppress(SensorkdError):
                    self._link.listen()
                self._tell()
            return self._report

    def close(self) -> None:
        """Seal the file and end the process.

        Raises:
            ArchiveError: something that was taken could not be written, unless `append` said so before.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for name, clock in self._clocks.items():
                self._late(name, clock.leave_aside())
            try:
                if self._link.failure is None:
                    self._link.ask("close")
            finally:
                self._link.end()
                self._tell()

    def __enter__(self) -> RecordingLogger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What is there is sealed either way; a second error would hide the first.
        with contextlib.suppress(SensorkdError) if kind is not None else contextlib.nullcontext():
            self.close()

    def _place(self, name: str, block: NDArray[Any], t0: int | None) -> int:
        """Take a block, or put it aside; how many samples were taken of it."""
        clock = self._clocks[name]
        placed = clock.place(block, t0)
        if placed.kind == "aside":
            self._late(name, clock.set_aside(block, placed))
            self._count_aside(name)
            return self._clock_set(name) if clock.was_set else 0
        rest = block[placed.skip :]
        if len(rest):
            self._send(name, placed, t0, rest)
            if clock.aside:
                self._late(name, clock.leave_aside())
        clock.take(block, t0, placed)
        stream = self._report.streams[name]
        if len(rest) and t0 is not None and not placed.begins and not placed.skip:
            stream = stream.with_stamp(placed.off, 1.0 / clock.rate)
        stream = dataclasses.replace(stream, taken=stream.taken + len(rest))
        self._report = self._report.with_stream(name, stream)
        if placed.kind:
            (begin, end), samples = placed.told, placed.skip or placed.missing
            self._happened(LoggerEvent(placed.kind, stream=name, samples=samples, t0=begin, t1=end))
        return len(rest)

    def _clock_set(self, name: str) -> int:
        """Begin a new file with what was put aside; how many samples of the last block were taken."""
        before, after = self._clocks[name].end, self._clocks[name].aside[0].t0
        self._link.ask("rotate")
        samples = self._report.streams[name].aside
        self._happened(LoggerEvent("clock_set", name, samples, before, after))
        taken = 0
        for other, clock in self._clocks.items():
            clock.forget()
            for block in clock.leave_aside():
                count = self._place(other, block.samples, block.t0)
                taken = count if other == name else taken
            self._count_aside(other)
        return taken

    def _late(self, name: str, blocks: list[Aside]) -> None:
        for late in blocks:
            self._happened(LoggerEvent("late", name, len(late.samples), late.t0, late.t1))
        self._count_aside(name)

    def _count_aside(self, name: str) -> None:
        aside = sum(len(block.samples) for block in self._clocks[name].aside)
        stream = dataclasses.replace(self._report.streams[name], aside=aside)
        self._report = self._report.with_stream(name, stream)

    def _send(self, name: str, placed: Placement, t0: int | None, samples: NDArray[Any]) -> None:
        told = ("rows", name, placed.t0, placed.begins, None if placed.skip else t0)
        if not self._link.send(told, samples.data.cast("B"), self._timeout):
            raise no_room(self.plan, self._timeout)

    def _check_open(self) -> None:
        if self._closed:
            raise closed(self.plan)

    def _heard(self, kind: str, content: Any) -> None:
        if kind == "event":
            self._happened(content)
        elif kind == "flushed":
            for name, count in content.items():
                stream = dataclasses.replace(self._report.streams[name], flushed=count)
                self._report = self._report.with_stream(name, stream)

    def _happened(self, event: LoggerEvent) -> None:
        self._report = self._report.after(event)
        self._untold.append(event)

    def _tell(self) -> None:
        """Tell what has happened, once all of it is accounted for: whoever is told may raise."""
        while self._untold:
            event = self._untold.popleft()
            if self._on_event is not None:
                self._on_event(event)
