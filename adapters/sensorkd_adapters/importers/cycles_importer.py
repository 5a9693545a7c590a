"""Importer `cycles`: a folder of matrices with one machine cycle a row becomes one archive."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sensorkd.errors import ArchiveError
from sensorkd.importers import Importer
from sensorkd.recordings import RecordingWriter, Segments
from sensorkd.recordings.writer import RecordingDraft
from sensorkd_adapters.importers.cycles_folder import Cycles, read_cycles
from sensorkd_adapters.importers.cycles_mapping import CyclesMapping
from sensorkd_adapters.importers.labels import intervals
from sensorkd_adapters.importers.mapping import load_mapping

__all__ = ["CyclesImporter"]


class CyclesImporter(Importer):
    """A folder of matrices, one file a sensor, one machine cycle a row, on a relative clock."""

    def convert(self, source: Path, out: Path, mapping: Path | None) -> list[Path]:
        """Write one archive, named as the folder. Every cycle is a segment, every block a recording.

        Raises:
            ArchiveError: the files are not what the mapping says, or the archive exists already.
            ConfigError: there is no mapping, or it is wrong.
        """
        told = load_mapping(mapping, CyclesMapping)
        if not source.is_dir():
            raise ArchiveError(
                "a folder is needed",
                file=source,
                found="a file",
                expected="the folder that holds the files of the mapping",
                mend="name the folder",
            )
        (archive,) = self.archives(source, out)
        identity = told.identity_of(source, self.stem(source))
        with RecordingWriter(archive) as writer:
            cycles = read_cycles(source, told)
            for number, rows in enumerate(cycles.blocks):
                name = f"b{number:03d}" if told.block_of else self.stem(source)
                own = {"block": name} if told.block_of else {}
                draft = writer.recording(name, clock="relative", identity=identity | own)
                _write(draft, cycles, rows, told)
        return [archive]


def _write(draft: RecordingDraft, cycles: Cycles, rows: slice, mapping: CyclesMapping) -> None:
    """Some cycles as a recording, each a segment of its own."""
    t0 = cycles.t0[rows]
    for name, samples in cycles.streams.items():
        stream, steps = mapping.streams[name], samples.shape[1]
        rate = steps / mapping.cycle
        draft.add_stream(
            name,
            samples[rows].reshape(-1, samples.shape[2]),
            rate=rate,
            modality=stream.modality,
            unit=stream.unit,
            scale=stream.scale,
            offset=stream.offset,
            channels=stream.channels or [Path(file).name.split(".")[0] for file in stream.files],
            segments=Segments(
                t0=t0,
                rate=np.full(len(t0), rate),
                offset=np.arange(len(t0), dtype=np.int64) * steps,
                count=np.full(len(t0), steps, dtype=np.int64),
            ),
        )
    for target, classes in cycles.classes.items():
        draft.add_labels(target, intervals(t0, t0 + cycles.period, classes[rows]))
