"""Importer `csv`: a table with one row an instant becomes one recording."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sensorkd import timeline
from sensorkd.errors import ArchiveError
from sensorkd.importers import Importer
from sensorkd.recordings import RecordingWriter
from sensorkd.recordings.segmenting import segments_of_stamps
from sensorkd.recordings.writer import RecordingDraft
from sensorkd_adapters.importers.cells import stored_as
from sensorkd_adapters.importers.csv_columns import Columns, read_columns
from sensorkd_adapters.importers.csv_mapping import CsvMapping, CsvStream
from sensorkd_adapters.importers.labels import intervals
from sensorkd_adapters.importers.mapping import load_mapping

__all__ = ["CsvImporter"]

Intervals = list[tuple[int, int, str]]


class CsvImporter(Importer):
    """Delimited text, gzip or not, and Parquet. One recording a file; the mapping says what columns are."""

    suffixes: ClassVar[tuple[str, ...]] = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")

    def convert(self, source: Path, out: Path, mapping: Path | None) -> list[Path]:
        """Write one archive of the same name.

        Raises:
            ArchiveError: the table is not what the mapping says, or the archive exists already.
            ConfigError: there is no mapping, or it is wrong.
        """
        told = load_mapping(mapping, CsvMapping)
        (archive,) = self.archives(source, out)
        stem = self.stem(source)
        # Begun before reading: that an archive exists must not cost the reading of a long table.
        with RecordingWriter(archive) as writer:
            columns = read_columns(source, told)
            draft = writer.recording(stem, clock=told.clock, identity=told.identity_of(source, stem))
            streams = [name for name in told.streams if _add_stream(draft, name, columns, told)]
            if not streams:
                raise ArchiveError(
                    "the table has none of the streams",
                    file=source,
                    found=f"columns {sorted(columns.numbers)}, empty",
                    expected=f"numbers for one of {sorted(told.streams)}",
                    mend="leave the file out, or correct the streams in the mapping",
                )
            for target, track in _tracks(columns, told).items():
                draft.add_labels(target, track)
        return [archive]


def _add_stream(draft: RecordingDraft, name: str, columns: Columns, mapping: CsvMapping) -> bool:
    """Write one stream; False where it is optional and the file does not have it."""
    stream = mapping.streams[name]
    if any(column not in columns.numbers for column in stream.columns):
        return False
    values = np.stack([columns.numbers[column] for column in stream.columns], axis=1)
    rows = np.flatnonzero(~np.isnan(values).all(axis=1))
    if not len(rows):
        if stream.optional:
            return False
        raise _empty(name, columns, stream)
    columns.check_order(rows, mapping, repeats=False)
    # The rate of the rows is not that of a stream with a sample in some of them only.
    rate = mapping.rate if len(rows) == len(values) else None
    segments = segments_of_stamps(
        columns.times[rows], file=columns.path, inside=f"stream {name!r}", rate=rate
    )
    draft.add_stream(
        name,
        stored_as(
            values[rows],
            stream.dtype,
            file=columns.path,
            stream=name,
            names=stream.columns,
            place=lambda row: columns.place(rows[row]),
        ),
        rate=float(np.median(segments.rate)),
        modality=stream.modality,
        unit=stream.unit,
        scale=stream.scale,
        offset=stream.offset,
        channels=stream.channels or stream.columns,
        segments=segments,
    )
    return True


def _empty(name: str, columns: Columns, stream: CsvStream) -> ArchiveError:
    return ArchiveError(
        "a stream has no number in any row",
        file=columns.path,
        inside=f"stream {name!r}, columns {list(stream.columns)}",
        found=f"{len(columns.lines)} rows without a number",
        expected="one or more",
        mend="leave the file out, or say `optional: true` for the stream in the mapping",
    )


def _tracks(columns: Columns, mapping: CsvMapping) -> dict[str, Intervals]:
    """Label intervals of every target. A row holds until the next one, and before a gap for one period."""
    if not columns.classes:
        return {}
    instants, at = np.unique(columns.times, return_inverse=True)
    segments = segments_of_stamps(instants, file=columns.path, inside="rows", rate=mapping.rate)
    period = round(timeline.SECOND / float(np.median(segments.rate)))
    ends = np.append(instants[1:], instants[-1] + period)
    before_gap = segments.offset[1:] - 1
    ends[before_gap] = instants[before_gap] + period
    return {
        target: intervals(instants, ends, _class_of_instants(target, at, columns))
        for target in columns.classes
    }


def _class_of_instants(target: str, at: NDArray[np.intp], columns: Columns) -> NDArray[np.object_]:
    """The class at each instant, of which several rows may tell; `at`: (n,) the instant of each row."""
    told = columns.classes[target]
    known = told != ""
    classes = np.full(int(at[-1]) + 1, "", dtype=np.object_)
    classes[at[known]] = told[known]
    for row in np.flatnonzero(known & (classes[at] != told))[:1].tolist():
        raise ArchiveError(
            "two rows of one time have different labels",
            file=columns.path,
            inside=columns.place(row),
            found=f"{told[row]!r} and {classes[at[row]]!r} for target {target!r}",
            expected="one class at a time",
            mend="correct the cells",
        )
    return classes
