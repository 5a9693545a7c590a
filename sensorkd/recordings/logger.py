"""Writes recording-1.0 archives for weeks, block by block, from a program that acquires data."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Mapping
from operator import index
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd.errors import ArchiveError, SensorkdError, nearest
from sensorkd.recordings.logger_clock import Placement, StreamClock
from sensorkd.recordings.logger_link import WriterLink
from sensorkd.recordings.logger_plan import LoggerPlan
from sensorkd.recordings.logger_report import LoggedStream, LoggerEvent, LoggerReport
from sensorkd.recordings.recording import Clock
from sensorkd.recordings.stream import TIME_LIMIT
from sensorkd.recordings.stream_format import StreamFormat

__all__ = ["RecordingLogger"]


class RecordingLogger:
    """Writes what sensors deliver into a folder: one file after another, each sealed when it is done.

    A file in the making is `NAME.h5.part`; others may read along with `h5py.File(part, swmr=True)`. It is
    written by a process of its own. Once full it is read back, entered into the folder's `manifest.json` and
    named `NAME.h5`. Samples are handed to the operating system as chunks fill, after `flush_seconds` at the
    latest: then they survive the end of either process. A power cut may cost what came after the last sync.
    The next logger in the folder saves what a killed one left. No window spans two files.

    A script that uses it guards its own start with `if __name__ == "__main__":`. Threads may share it.

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
        tolerance: s, by which t0 of a block may miss the end of the one before; None: half a period.
        on_event: called with every LoggerEvent, from `append` and the like.

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
        )
        self.plan.check()
        self._timeout = timeout
        self._on_event = on_event
        self._clocks = {name: StreamClock(told.rate, tolerance) for name, told in streams.items()}
        self._report = LoggerReport({name: LoggedStream() for name in streams})
        self._closed = False
        self._lock = threading.RLock()
        self._link = WriterLink(self.plan, queue_bytes, self._heard)

    def append(self, name: str, samples: NDArray[Any], t0: int | None = None) -> int:
        """Take a block of samples (n, *sample_shape) of one stream, n of any size, in its dtype.

        Args:
            name: of the stream.
            t0: ns, when the first one was taken; None: right after the block before. One that does not
                continue the block before within `tolerance` begins a new segment.

        Returns:
            How many were taken: fewer than n where some came already; see LoggerEvent.

        Raises:
            ArchiveError: it is not what the stream's format says, the first block has no t0, or the writing
                process has stopped or is too slow. Nothing of the block was taken then.
        """
        with self._lock:
            self._check_open()
            self._link.listen()
            block = self._checked(name, samples, t0)
            if not len(block):
                return 0
            clock = self._clocks[name]
            placed = clock.place(block, t0)
            rest = block[placed.skip :]
            if len(rest):
                self._send(name, placed, rest)
            clock.take(block, t0, placed)
            stream = self._report.streams[name]
            stream = dataclasses.replace(stream, taken=stream.taken + len(rest))
            self._report = self._report.with_stream(name, stream)
            if placed.kind:
                begin, end = placed.told
                missing = round((end - begin) * clock.rate / 1e9) if placed.kind == "gap" else placed.skip
                self._happened(LoggerEvent(placed.kind, stream=name, samples=missing, t0=begin, t1=end))
            return len(rest)

    def flush(self) -> None:
        """Return once everything taken is in the file, and survives the end of both processes.

        Raises:
            ArchiveError: it could not be written.
        """
        with self._lock:
            self._check_open()
            self._link.ask("flush")

    def rotate(self) -> None:
        """Seal the file; what comes next begins a new one. For a clock that was set back, for example.

        Raises:
            ArchiveError: it could not be written.
        """
        with self._lock:
            self._check_open()
            self._link.ask("rotate")
            for clock in self._clocks.values():
                clock.forget()

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
            try:
                if self._link.failure is None:
                    self._link.ask("close")
            finally:
                self._link.end()

    def __enter__(self) -> RecordingLogger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What is there is sealed either way; a second error would hide the first.
        with contextlib.suppress(SensorkdError) if kind is not None else contextlib.nullcontext():
            self.close()

    def _send(self, name: str, placed: Placement, samples: NDArray[Any]) -> None:
        told = ("rows", name, placed.t0, placed.begins, placed.rate)
        if not self._link.send(told, samples.data.cast("B"), self._timeout):
            raise ArchiveError(
                "the writing process does not keep up: this block was not taken",
                file=self.plan.folder,
                found=f"a queue that was full for {self._timeout:g} s",
                expected="a disk that is faster than the sensors",
                mend="give a larger queue_bytes or timeout, log less, or write to a faster disk",
            )

    def _checked(self, name: str, samples: NDArray[Any], t0: int | None) -> NDArray[Any]:
        """A copy of the samples, which the caller may overwrite, if they are what was announced."""
        if name not in self.plan.streams:
            known = sorted(self.plan.streams)
            mend = f"{nearest(name, known)}announce every stream when the logger begins"
            raise self._refused(name, "no such stream", name, f"one of {known}", mend)
        told = self.plan.streams[name]
        samples = np.asarray(samples)
        if samples.dtype != told.dtype or samples.shape[1:] != told.sample_shape or not samples.ndim:
            raise self._refused(
                name,
                "the block is not what the stream's format says",
                f"shape {samples.shape}, dtype {samples.dtype}",
                f"shape (n, {', '.join(map(str, told.sample_shape))}), dtype {told.dtype}",
                "hand in samples as the sensor gives them; a single channel is samples[:, None]",
            )
        if t0 is None and not self._clocks[name].begun:
            mend = "say when its first sample was taken"
            raise self._refused(name, "the first block of a stream needs a time", "no t0", "ns", mend)
        if t0 is not None and abs(index(t0)) >= TIME_LIMIT:
            mend = "times are nanoseconds, UTC since 1970 or from the start of the recording"
            raise self._refused(name, "a time that cannot be counted", f"t0 {t0}", "years 1685 to 2255", mend)
        return np.array(samples, order="C")

    def _refused(self, name: str, problem: str, found: str, expected: str, mend: str) -> ArchiveError:
        return ArchiveError(
            problem,
            file=self.plan.folder,
            inside=f"streams/{name}",
            found=found,
            expected=expected,
            mend=mend,
        )

    def _check_open(self) -> None:
        if self._closed:
            raise ArchiveError(
                "the logger is closed",
                file=self.plan.folder,
                found="a call after close()",
                expected="a logger that is open",
                mend="make a new one",
            )

    def _heard(self, kind: str, content: Any) -> None:
        if kind == "event":
            self._happened(content)
        elif kind == "flushed":
            for name, count in content.items():
                stream = dataclasses.replace(self._report.streams[name], flushed=count)
                self._report = self._report.with_stream(name, stream)

    def _happened(self, event: LoggerEvent) -> None:
        self._report = self._report.after(event)
        if self._on_event is not None:
            self._on_event(event)
