"""All that a folder of cycles holds, once its files are known to fit together.

Axes: N cycles (rows), L samples a cycle (columns), C channels (files).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd import timeline
from sensorkd.errors import ArchiveError
from sensorkd_adapters.importers.cells import Rows, stored_as
from sensorkd_adapters.importers.cycles_mapping import CycleLabels, CyclesMapping, CycleStream
from sensorkd_adapters.importers.matrix import read_cycles_table, read_index, read_matrix

__all__ = ["Cycles", "read_cycles"]

Int64 = NDArray[np.int64]
LATEST = 9e9  # seconds that int64 ns can hold


@dataclass(frozen=True)
class Cycles:
    """t0: (N,) ns, when each cycle begins; period: ns. streams: name -> (N, L, C), as they are to be stored.

    classes: target -> (N,), "" where unknown. blocks: the rows of each recording.
    """

    t0: Int64
    period: int
    streams: Mapping[str, NDArray[Any]]
    classes: Mapping[str, NDArray[np.object_]]
    blocks: Sequence[slice]


def read_cycles(folder: Path, mapping: CyclesMapping) -> Cycles:
    """Read every file that the mapping names.

    Raises:
        ArchiveError: a file is missing or not what the mapping says, or files differ in length.
    """
    streams = _streams(folder, mapping)
    lengths = {folder / mapping.streams[name].files[0]: len(samples) for name, samples in streams.items()}
    count = next(iter(lengths.values()))
    index = np.arange(count, dtype=np.int64)
    if mapping.index is not None:
        index = read_index(folder / mapping.index, most=int(LATEST / mapping.cycle))
        lengths[folder / mapping.index] = len(index)
    rows = _label_rows(folder, mapping.labels) if mapping.labels else None
    if rows is not None:
        lengths[rows.path] = len(rows.numbers)
    _check_lengths(lengths)
    targets = mapping.labels.targets if mapping.labels else {}
    cells = rows.cells if rows else {}
    period = round(mapping.cycle * timeline.SECOND)
    return Cycles(
        t0=index * period,
        period=period,
        streams=streams,
        classes={
            name: rows.classes(name, target)
            for name, target in targets.items()
            if rows is not None and target.column in cells
        },
        blocks=_blocks([cells[targets[name].column] for name in mapping.block_of], count),
    )


def _streams(folder: Path, mapping: CyclesMapping) -> dict[str, NDArray[Any]]:
    streams: dict[str, NDArray[Any]] = {}
    for name, stream in mapping.streams.items():
        if not (stream.optional and not any((folder / file).exists() for file in stream.files)):
            streams[name] = _channels(folder, name, stream)
    if not streams:
        raise ArchiveError(
            "the folder has none of the streams",
            file=folder,
            found=f"{sum(1 for _ in folder.iterdir())} other entries",
            expected=f"files of one of {sorted(mapping.streams)}",
            mend="name the folder that holds them, or correct streams in the mapping",
        )
    return streams


def _channels(folder: Path, name: str, stream: CycleStream) -> NDArray[Any]:
    """(N, L, C): the matrices of one stream side by side, in the dtype that the mapping names."""
    channels: list[NDArray[Any]] = []
    for file in stream.files:
        values = read_matrix(folder / file)
        if channels and values.shape != channels[0].shape:
            raise ArchiveError(
                "the channels of a stream differ in shape",
                file=folder / file,
                found=f"{values.shape[0]} rows of {values.shape[1]}",
                expected=f"{channels[0].shape[0]} rows of {channels[0].shape[1]}, as in {stream.files[0]}",
                mend="restore the file, or make it a stream of its own in the mapping",
            )
        names = [f"column {number}" for number in range(1, values.shape[1] + 1)]
        channels.append(
            stored_as(
                values,
                stream.dtype,
                file=folder / file,
                stream=name,
                names=names,
                place=lambda row: f"line {row + 1}",
            )
        )
    return np.stack(channels, axis=2)


def _label_rows(folder: Path, labels: CycleLabels) -> Rows:
    used: dict[str, bool] = {}
    for target in labels.targets.values():
        used[target.column] = used.get(target.column, False) or not target.optional
    return read_cycles_table(folder / labels.file, labels.columns, used)


def _check_lengths(lengths: Mapping[Path, int]) -> None:
    (first, count), *others = lengths.items()
    for path, rows in others:
        if rows != count:
            raise ArchiveError(
                "the files have different numbers of rows",
                file=path,
                found=f"{rows} rows",
                expected=f"{count}, as in {first.name}",
                mend="every row is one cycle in every file: restore the file, or cut all to the same cycles",
            )


def _blocks(columns: Sequence[Sequence[str]], count: int) -> list[slice]:
    """Runs of rows that have the same cells in all columns; one run without columns."""
    told = list(zip(*columns, strict=True)) if columns else [()] * count
    first = [row for row in range(count) if row == 0 or told[row] != told[row - 1]]
    return [slice(start, stop) for start, stop in zip(first, [*first[1:], count], strict=True)]
