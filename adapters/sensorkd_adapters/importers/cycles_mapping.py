"""The mapping of importer `cycles`: which files of a folder are streams, labels and the index."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from sensorkd.errors import nearest
from sensorkd_adapters.importers.mapping import ImportMapping, Rate, StreamMapping, Strict, Target

__all__ = ["CycleLabels", "CycleStream", "CyclesMapping"]


class CycleStream(StreamMapping):
    """One matrix a channel, all of one width. optional: a folder without the files is without the stream."""

    files: Annotated[tuple[str, ...], Field(min_length=1)]
    optional: bool = False

    @model_validator(mode="after")
    def _a_name_a_channel(self) -> CycleStream:
        if self.channels and len(self.channels) != len(self.files):
            raise ValueError(f"channels: {len(self.channels)} names for {len(self.files)} files")
        return self


class CycleLabels(Strict):
    """A table with one row a cycle. columns: their names; left out, the first line has them."""

    file: str
    columns: tuple[str, ...] = ()
    targets: Annotated[Mapping[str, Target], Field(min_length=1)]

    @model_validator(mode="after")
    def _columns_are_named(self) -> CycleLabels:
        for name, target in self.targets.items():
            if self.columns and target.column not in self.columns and not target.optional:
                raise ValueError(
                    f"targets.{name}.column: {target.column!r} is none of columns; "
                    f"{nearest(target.column, self.columns)}there are {list(self.columns)}"
                )
        return self


class CyclesMapping(ImportMapping):
    """The whole map of a folder of matrices in which every row is one cycle.

    cycle: seconds that a row lasts. index: a file with the number of each row's cycle, counted from the
    machine's first; without it, rows follow each other. block_of: targets; consecutive rows that have
    the same cells in all of them are one recording, with identity `block`. Without it, the folder is one.
    """

    importer: Literal["cycles"]
    cycle: Rate
    streams: Annotated[Mapping[str, CycleStream], Field(min_length=1)]
    labels: CycleLabels | None = None
    index: str | None = None
    block_of: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _blocks_have_targets(self) -> CyclesMapping:
        targets = self.labels.targets if self.labels else {}
        for name in self.block_of:
            if name not in targets or targets[name].optional:
                raise ValueError(
                    f"block_of: {name!r} is no target that every folder has; {nearest(name, targets)}"
                    f"there are {sorted(key for key, target in targets.items() if not target.optional)}"
                )
        if self.block_of and "block" in self.identity:
            raise ValueError("identity.block: this name is given by block_of")
        return self
