"""Refuses datasets whose storage cannot be trusted, from their metadata alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import h5py

from sensorkd.errors import ArchiveError

__all__ = ["check_storage"]

MAX_CHUNK_BYTES = 1 << 30
# gzip cannot compress better than about 1:1032, so a larger ratio of declared to stored bytes means
# that most of the dataset was never written or that it is a bomb.
MAX_RATIO = 1100
SMALL_ENOUGH = 1 << 26
# Filters that are part of HDF5 or h5py. Others are native code from elsewhere, and some of them crash
# on damaged chunks. SZIP is left to the library: not every build can read it.
FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scaleoffset", 32000: "lzf"}


def check_storage(dataset: h5py.Dataset, *, file: Path, inside: str) -> None:
    """Check where and how a dataset is stored; nothing of it is read.

    Raises:
        ArchiveError: it reaches into other files, was never written, declares more than is stored, or
            needs a filter that is not allowed.
    """

    def refuse(problem: str, found: str, mend: str, expected: str | None = None) -> NoReturn:
        raise ArchiveError(problem, file=file, inside=inside, found=found, expected=expected, mend=mend)

    if dataset.is_virtual:
        refuse(
            "a virtual dataset is refused: its sources are other files, and missing ones read as zeros",
            "sources " + ", ".join(sorted({source.file_name for source in dataset.virtual_sources()})),
            "copy the data into one file (h5repack does)",
            "data within this file",
        )
    if dataset.external:
        refuse(
            "external storage is refused: it can reach any file of this computer",
            ", ".join(str(entry[0]) for entry in dataset.external),
            "copy the data into the file (h5repack does)",
            "data within this file",
        )
    for code, name in _filters(dataset):
        if code not in FILTERS or not h5py.h5z.filter_avail(code):
            refuse(
                "a compression filter is not allowed or not installed",
                f"filter {name or 'without a name'} (id {code})",
                "rewrite with gzip (h5repack -f GZIP=4)",
                f"one of {sorted(FILTERS.values())}",
            )
    _check_size(dataset, refuse)


def _check_size(dataset: h5py.Dataset, refuse: Callable[..., NoReturn]) -> None:
    if dataset.shape is None:
        return
    declared = math.prod(dataset.shape) * dataset.dtype.itemsize
    stored = int(dataset.id.get_storage_size())
    if declared and not stored:
        refuse(
            "nothing was ever written here: it would read as zeros",
            f"shape {dataset.shape}, 0 bytes stored",
            "remove the dataset, or restore the file",
            "stored samples",
        )
    if declared > SMALL_ENOUGH and declared > MAX_RATIO * stored:
        refuse(
            "the declared size is out of proportion to what is stored",
            f"shape {dataset.shape}, {declared:,} bytes declared, {stored:,} stored",
            "cut the dataset to what was written, or restore the file",
            f"at most {MAX_RATIO} declared for each byte stored",
        )
    chunk = math.prod(dataset.chunks or (0,)) * dataset.dtype.itemsize
    if chunk > MAX_CHUNK_BYTES:
        refuse(
            "a chunk is too large to be read safely",
            f"chunks {dataset.chunks}, {chunk:,} bytes",
            "rewrite with smaller chunks (h5repack -l CHUNK=...)",
            f"at most {MAX_CHUNK_BYTES:,} bytes",
        )


def _filters(dataset: h5py.Dataset) -> list[tuple[int, str]]:
    properties = dataset.id.get_create_plist()
    filters = [properties.get_filter(index) for index in range(properties.get_nfilters())]
    return [(code, name.decode(errors="replace")) for code, _, _, name in filters]
