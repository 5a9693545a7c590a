"""Writes `recording-1.0` archives."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from operator import index
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from sensorkd.errors import ArchiveError
from sensorkd.recordings.guard import GuardedFile
from sensorkd.recordings.recording import Clock, LabelTrack
from sensorkd.recordings.schema import RESERVED_ATTRIBUTES, SCHEMA, check_archive
from sensorkd.recordings.storing import (
    GrowingStream,
    begin_archive,
    set_attributes,
    store_format,
    store_samples,
    store_table,
    text_array,
)
from sensorkd.recordings.stream import Segments, check_segments
from sensorkd.recordings.stream_format import StreamFormat

__all__ = ["RecordingDraft", "RecordingWriter", "begin_recording", "check_identity", "check_name"]


class RecordingWriter:
    """Writes one archive; the file appears under its name only when all of it is written.

    Example:
        >>> import numpy as np, tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "press.h5"
        >>> with RecordingWriter(path) as writer:
        ...     session = writer.recording("monday", clock="relative", identity={"machine": "press 4"})
        ...     session.add_stream(
        ...         "temperature", np.full((60, 1), 21.5), rate=1.0, modality="temperature", unit="degC"
        ...     )
        ...     session.add_labels("state", [(0, 60 * 10**9, "idle")])
        >>> path.exists()
        True

    Raises:
        ArchiveError: the file exists already, or something handed in is not writable as it is.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if self.path.exists():
            raise ArchiveError(
                "the file exists already",
                file=self.path,
                found=f"{self.path.stat().st_size:,} bytes",
                expected="a new name",
                mend="name a new file; none is overwritten. `sensorkd import --skip-existing` passes over "
                "those that are there",
            )
        if not self.path.parent.is_dir():
            raise ArchiveError(
                "the folder does not exist",
                file=self.path,
                found=f"no folder {self.path.parent}",
                expected="a folder to write into",
                mend="make the folder first",
            )
        self._part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        self._file = begin_archive(self._part)
        self._drafts: list[RecordingDraft] = []

    def recording(
        self, name: str, *, clock: Clock, identity: Mapping[str, str | int | float]
    ) -> RecordingDraft:
        """Begin a recording; `identity` says which machine, line, subject ... it is of."""
        self._drafts.append(begin_recording(self._file, self.path, name, clock=clock, identity=identity))
        return self._drafts[-1]

    def close(self) -> None:
        """Check the whole tree, flush to disk and give the file its name.

        Raises:
            ArchiveError: it does not follow the schema: no recording, one without a stream ...
        """
        try:
            for draft in self._drafts:
                draft.flush()
            self._file.close()
            with GuardedFile(self._part) as written:
                check_archive(written)
            with self._part.open("rb") as handle:
                os.fsync(handle.fileno())
            self._part.replace(self.path)
        except ArchiveError as error:
            error.file = str(self.path)  # not the part, which is gone
            raise
        finally:
            self._part.unlink(missing_ok=True)

    def __enter__(self) -> RecordingWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()
            self._part.unlink(missing_ok=True)


def begin_recording(
    file: h5py.File, path: Path, name: str, *, clock: Clock, identity: Mapping[str, str | int | float]
) -> RecordingDraft:
    """Begin a recording in an open file; `path` is the name that errors tell.

    Raises:
        ArchiveError: a name is taken, or cannot be used.
    """
    check_name(name, path)
    if name in file:
        raise _taken("a recording", path, f"/{name}")
    check_identity(identity, path, f"/{name}")
    group = file.create_group(name)
    set_attributes(group, schema=SCHEMA, kind="recording", clock=clock, **identity)
    set_attributes(group.create_group("streams"), schema=SCHEMA, kind="streams")
    return RecordingDraft(group, path)


class RecordingDraft:
    """A recording being written; made by `RecordingWriter.recording`."""

    def __init__(self, group: h5py.Group, path: Path) -> None:
        self._group = group
        self._path = path
        self._growing: list[GrowingStream] = []

    def add_stream(
        self,
        name: str,
        samples: NDArray[Any],
        *,
        rate: float,
        modality: str,
        unit: str,
        t0: int = 0,
        scale: float = 1.0,
        offset: float = 0.0,
        channels: Sequence[str] = (),
        segments: Segments | None = None,
    ) -> None:
        """Write one stream.

        Args:
            name: unique within the recording; often the modality itself.
            samples: (n, C) signals or (n, H, W, C) frames, in the dtype to be stored.
            rate: Hz; t0: ns, time of the first sample. With `segments`, t0 is not used, and the rate
                only decides how long a chunk is.
            unit: of `samples * scale + offset`. channels: names of the last axis.
            segments: where samples have gaps between them.
        """
        inside = self._new_stream(name)
        samples = np.asarray(samples)
        told = StreamFormat(
            modality, unit, samples.dtype, samples.shape[1:], rate, scale, offset, tuple(channels)
        )
        told.check(file=self._path, inside=inside, count=len(samples) if samples.ndim else 0)
        table = segments if segments is not None else Segments.uniform(t0=t0, rate=rate, count=len(samples))
        check_segments(table, len(samples), file=self._path, inside=inside)
        group = self._group["streams"].create_group(name)
        store_format(group, told)
        store_samples(group, samples, told, table)

    def grow_stream(self, name: str, told: StreamFormat) -> GrowingStream:
        """Begin a stream that is written block by block, in little memory; it needs one sample at least.

        Its segments are taken as they come: a reader refuses those that overlap.
        """
        inside = self._new_stream(name)
        told.check(file=self._path, inside=inside)
        self._growing.append(GrowingStream(self._group["streams"].create_group(name), told))
        return self._growing[-1]

    def copy_stream(self, name: str, source: h5py.Group) -> None:
        """Copy a stream of another archive with its chunks as they are, packed."""
        self._new_stream(name)
        self._group["streams"].copy(source, name)

    def flush(self) -> None:
        """Write what growing streams still hold."""
        for stream in self._growing:
            stream.flush()

    def _new_stream(self, name: str) -> str:
        """The path of a stream that is to be written, if it may be."""
        check_name(name, self._path)
        inside = f"{self._group.name}/streams/{name}"
        if name in self._group["streams"]:
            raise _taken("a stream", self._path, inside)
        return inside

    def add_labels(self, target: str, intervals: Iterable[tuple[int, int, str]]) -> None:
        """Write a label track: half-open intervals (t0 ns, t1 ns, class) of one target.

        Raises:
            ArchiveError: an interval ends before it begins, or two contradict each other.
        """
        check_name(target, self._path)
        labels = self._group.require_group("labels")
        set_attributes(labels, schema=SCHEMA, kind="labels")
        inside = f"{labels.name}/{target}"
        if target in labels:
            raise _taken("a label track", self._path, inside)
        # operator.index: seconds as floats would otherwise be cut to nanoseconds in silence.
        told = [(index(t0), index(t1), str(label)) for t0, t1, label in intervals]
        ends = np.array([item[:2] for item in told], dtype=np.int64).reshape(-1, 2)
        track = LabelTrack(ends[:, 0], ends[:, 1], tuple(item[2] for item in told))
        fault = track.fault()
        if fault is not None:
            raise ArchiveError(
                fault[0],
                file=self._path,
                inside=inside,
                found=track.told(fault[1]),
                expected="t1 > t0, and one class at a time",
                mend="correct the intervals",
            )
        group = labels.create_group(target)
        set_attributes(group, schema=SCHEMA, kind="track")
        label = text_array(list(track.label))
        rows = np.zeros(len(told), [("t0", "<i8"), ("t1", "<i8"), ("label", label.dtype)])
        rows["t0"], rows["t1"], rows["label"] = track.t0, track.t1, label
        store_table(group, "intervals", rows)


def _taken(what: str, path: Path, inside: str) -> ArchiveError:
    return ArchiveError(
        f"{what} of that name exists",
        file=path,
        inside=inside,
        found=f"{what} {inside.rpartition('/')[2]!r}",
        expected="a new name",
        mend="name it otherwise; nothing is written twice",
    )


def check_identity(identity: Mapping[str, str | int | float], file: Path, inside: str) -> None:
    """Refuse names that the format keeps for itself."""
    reserved = RESERVED_ATTRIBUTES & set(identity)
    if reserved:
        raise ArchiveError(
            "these identity names are taken by the format",
            file=file,
            inside=inside,
            found=sorted(reserved),
            expected=f"names other than {sorted(RESERVED_ATTRIBUTES)}",
            mend="name them otherwise",
        )


def check_name(name: str, path: Path) -> None:
    """Refuse a name that HDF5 would take for a path, or a reader for something hidden."""
    if not name or "/" in name or name.startswith("."):
        raise ArchiveError(
            "a name cannot be used inside the file",
            file=path,
            found=repr(name),
            expected="a non-empty name without '/' that does not begin with '.'",
            mend="name it otherwise",
        )
