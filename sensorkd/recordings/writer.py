"""Writes `recording-1.0` archives."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from sensorkd.errors import ArchiveError
from sensorkd.recordings.recording import Clock
from sensorkd.recordings.schema import (
    CANONICAL_AXES,
    INTERVAL,
    RESERVED_ATTRIBUTES,
    SCHEMA,
    SEGMENT,
)
from sensorkd.recordings.stream import Segments, check_rate, check_segments

__all__ = ["RecordingWriter"]

CHUNK_SECONDS = 4.0
CHUNK_BYTES = 1 << 20


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
                mend="name a new file; none is overwritten",
            )
        self._part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        self._file = h5py.File(self._part, "w")
        self._file.attrs.update(schema=SCHEMA, kind="archive")

    def recording(
        self, name: str, *, clock: Clock, identity: Mapping[str, str | int | float]
    ) -> RecordingDraft:
        """Begin a recording; `identity` says which machine, line, subject ... it is of."""
        _check_name(name, self.path)
        if name in self._file:
            raise ArchiveError("a recording of that name exists", file=self.path, inside=f"/{name}")
        reserved = RESERVED_ATTRIBUTES & set(identity)
        if reserved:
            raise ArchiveError(
                "these identity names are taken by the format",
                file=self.path,
                inside=f"/{name}",
                found=sorted(reserved),
            )
        group = self._file.create_group(name)
        group.attrs.update(schema=SCHEMA, kind="recording", clock=clock, **identity)
        group.create_group("streams").attrs.update(schema=SCHEMA, kind="streams")
        return RecordingDraft(group, self.path)

    def close(self) -> None:
        """Flush to disk and give the file its name."""
        self._file.flush()
        self._file.close()
        with self._part.open("rb") as handle:
            os.fsync(handle.fileno())
        self._part.replace(self.path)

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
            rate: Hz; t0: time of the first sample in ns. Both unused when `segments` is given.
            unit: of `samples * scale + offset`.
            channels: names of the last axis.
            segments: where samples have gaps between them.
        """
        _check_name(name, self._path)
        inside = f"{self._group.name}/streams/{name}"
        samples = np.asarray(samples)
        if samples.ndim not in CANONICAL_AXES or samples.dtype.kind not in "iuf" or not samples.size:
            raise ArchiveError(
                "samples cannot be stored as they are",
                file=self._path,
                inside=inside,
                found=f"shape {samples.shape}, dtype {samples.dtype}",
                expected="numbers of shape (n, C) or (n, H, W, C), n > 0",
            )
        if channels and len(channels) != samples.shape[-1]:
            raise ArchiveError(
                "one name a channel is needed",
                file=self._path,
                inside=inside,
                found=list(channels),
                expected=f"{samples.shape[-1]} names",
            )
        check_rate(rate, file=self._path, inside=inside)
        table = segments or Segments.uniform(t0=t0, rate=rate, count=len(samples))
        check_segments(table, len(samples), file=self._path, inside=inside)
        group = self._group["streams"].create_group(name)
        group.attrs.update(
            schema=SCHEMA, kind="stream", modality=modality, unit=unit, scale=scale, offset=offset
        )
        if channels:
            group.attrs["channels"] = list(channels)
        group.create_dataset(
            "samples",
            data=samples,
            chunks=_chunks(samples, rate),
            shuffle=True,
            compression="gzip",
            compression_opts=1,
            fletcher32=True,
        )
        rows = np.zeros(len(table), SEGMENT)
        for column in ("t0", "rate", "offset", "count"):
            rows[column] = getattr(table, column)
        group.create_dataset("segments", data=rows)

    def add_labels(self, target: str, intervals: Iterable[tuple[int, int, str]]) -> None:
        """Write a label track: half-open intervals (t0 ns, t1 ns, class) of one target."""
        _check_name(target, self._path)
        labels = self._group.require_group("labels")
        labels.attrs.update(schema=SCHEMA, kind="labels")
        rows = np.array(list(intervals), dtype=INTERVAL)
        if (rows["t1"] <= rows["t0"]).any():
            raise ArchiveError(
                "a label interval ends before it begins",
                file=self._path,
                inside=f"{labels.name}/{target}",
                expected="t1 > t0",
            )
        group = labels.create_group(target)
        group.attrs.update(schema=SCHEMA, kind="track")
        group.create_dataset("intervals", data=rows)


def _chunks(samples: NDArray[Any], rate: float) -> tuple[int, ...]:
    """About four seconds, less where that exceeds a mebibyte; h5py's own guess cuts across time."""
    sample_bytes = max(1, samples[0].nbytes)
    steps = min(round(CHUNK_SECONDS * rate), CHUNK_BYTES // sample_bytes, len(samples))
    return (max(1, steps), *samples.shape[1:])


def _check_name(name: str, path: Path) -> None:
    if not name or "/" in name or name.startswith("."):
        raise ArchiveError(
            "a name cannot be used inside the file",
            file=path,
            found=repr(name),
            expected="a non-empty name without '/' that does not begin with '.'",
        )
