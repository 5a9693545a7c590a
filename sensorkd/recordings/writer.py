"""Writes `recording-1.0` archives."""

from __future__ import annotations

import math
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
from sensorkd.recordings.schema import (
    CANONICAL_AXES,
    RESERVED_ATTRIBUTES,
    SCHEMA,
    check_archive,
)
from sensorkd.recordings.storing import set_attributes, store_samples, store_table, text_array
from sensorkd.recordings.stream import Segments, check_rate, check_segments

__all__ = ["RecordingWriter"]


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
                mend="name a new file; none is overwritten",
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
        # This version of the format (of 2016) has checksums over its metadata; h5py's default has none.
        self._file = h5py.File(self._part, "w", libver=("v110", "v110"))
        set_attributes(self._file, schema=SCHEMA, kind="archive")

    def recording(
        self, name: str, *, clock: Clock, identity: Mapping[str, str | int | float]
    ) -> RecordingDraft:
        """Begin a recording; `identity` says which machine, line, subject ... it is of."""
        _check_name(name, self.path)
        if name in self._file:
            raise _taken("a recording", self.path, f"/{name}")
        reserved = RESERVED_ATTRIBUTES & set(identity)
        if reserved:
            raise ArchiveError(
                "these identity names are taken by the format",
                file=self.path,
                inside=f"/{name}",
                found=sorted(reserved),
                expected=f"names other than {sorted(RESERVED_ATTRIBUTES)}",
                mend="name them otherwise",
            )
        group = self._file.create_group(name)
        set_attributes(group, schema=SCHEMA, kind="recording", clock=clock, **identity)
        set_attributes(group.create_group("streams"), schema=SCHEMA, kind="streams")
        return RecordingDraft(group, self.path)

    def close(self) -> None:
        """Check the whole tree, flush to disk and give the file its name.

        Raises:
            ArchiveError: it does not follow the schema: no recording, one without a stream ...
        """
        try:
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


class RecordingDraft:
    """A recording being written; made by `RecordingWriter.recording`."""

    def __init__(self, group: h5py.Group, path: Path) -> None:
        self._group = group
        self._path = path

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
        _check_name(name, self._path)
        inside = f"{self._group.name}/streams/{name}"
        if name in self._group["streams"]:
            raise _taken("a stream", self._path, inside)
        samples = np.asarray(samples)
        attributes = {"modality": modality, "unit": unit, "scale": scale, "offset": offset}
        self._check_stream(samples, channels, attributes, inside)
        check_rate(rate, file=self._path, inside=inside)
        table = segments if segments is not None else Segments.uniform(t0=t0, rate=rate, count=len(samples))
        check_segments(table, len(samples), file=self._path, inside=inside)
        group = self._group["streams"].create_group(name)
        set_attributes(group, schema=SCHEMA, kind="stream", **attributes)
        if channels:
            group.attrs["channels"] = text_array(list(channels))
        store_samples(group, samples, rate, table)

    def _check_stream(
        self, samples: NDArray[Any], channels: Sequence[str], attributes: Mapping[str, Any], inside: str
    ) -> None:
        scale, offset = attributes["scale"], attributes["offset"]
        finite = math.isfinite(scale) and scale != 0 and math.isfinite(offset)
        if not (attributes["modality"] and attributes["unit"] and finite):
            raise ArchiveError(
                "samples need a modality, a unit, and finite scale and offset",
                file=self._path,
                inside=inside,
                found=dict(attributes),
                expected="text that is not empty; a scale other than 0",
                mend="unit '1' is for what has none",
            )
        known = samples.dtype.kind in "iuf" and samples.dtype.itemsize <= 8
        if samples.ndim not in CANONICAL_AXES or not known or not samples.size:
            raise ArchiveError(
                "samples cannot be stored as they are",
                file=self._path,
                inside=inside,
                found=f"shape {samples.shape}, dtype {samples.dtype}",
                expected="numbers of at most 8 bytes, of shape (n, C) or (n, H, W, C), n > 0",
                mend="a single channel is (n, 1): samples[:, None]",
            )
        if channels and len(channels) != samples.shape[-1]:
            raise ArchiveError(
                "one name a channel is needed",
                file=self._path,
                inside=inside,
                found=list(channels),
                expected=f"{samples.shape[-1]} names",
                mend="name every channel, or none",
            )

    def add_labels(self, target: str, intervals: Iterable[tuple[int, int, str]]) -> None:
        """Write a label track: half-open intervals (t0 ns, t1 ns, class) of one target.

        Raises:
            ArchiveError: an interval ends before it begins, or two contradict each other.
        """
        _check_name(target, self._path)
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


def _check_name(name: str, path: Path) -> None:
    if not name or "/" in name or name.startswith("."):
        raise ArchiveError(
            "a name cannot be used inside the file",
            file=path,
            found=repr(name),
            expected="a non-empty name without '/' that does not begin with '.'",
            mend="name it otherwise",
        )
