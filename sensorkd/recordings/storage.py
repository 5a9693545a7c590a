"""Refuses datasets whose storage cannot be trusted, and says what of one was never written or is damaged."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

import h5py
import numpy as np

from sensorkd.errors import ArchiveError
from sensorkd.recordings.policy import BUILT_IN, VARIABLE, GuardPolicy, filter_name

__all__ = ["READ_ERRORS", "check_storage", "damaged_chunks", "unwritten_ranges"]

# What HDF5 and h5py raise on damage, whichever call meets it first.
READ_ERRORS = (OSError, RuntimeError, ValueError, TypeError, LookupError, ArithmeticError, MemoryError)
SMALL_ENOUGH = 1 << 26
SHUFFLE, FLETCHER32 = h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32
# Noise grows when it is packed, but never by so much.
PACKED_SLACK = 4096
# Filters that were found to be there: asking HDF5 again costs as much as all else.
USED: set[int] = set()
# Storage without chunks is looked through in pieces of this many bytes.
PIECE = 1 << 20

Refuse = Callable[[str, str, str, str], NoReturn]


def check_storage(dataset: h5py.Dataset, *, file: Path, inside: str, policy: GuardPolicy) -> None:
    """Check what a dataset holds, and where and how it is stored; nothing of it is read.

    Raises:
        ArchiveError: it reaches into other files, was never written, declares more than is stored, holds
            no numbers, text or tables of them, or needs a filter that is not allowed or not installed.
    """

    def refuse(problem: str, found: str, mend: str, expected: str) -> NoReturn:
        raise ArchiveError(problem, file=file, inside=inside, found=found, expected=expected, mend=mend)

    properties = dataset.id.get_create_plist()
    _check_place(dataset, properties, refuse)
    kind = dataset.id.get_type()
    refused = _refused_kind(kind, policy)
    if refused is not None:
        refuse(
            "values of this kind are refused",
            refused,
            "rewrite them as numbers or text"
            + (f", or allow them ({VARIABLE}=vlen)" if "variable" in refused else ""),
            "numbers, text, or tables of them",
        )
    filters = _check_filters(properties, policy, refuse)
    size = kind.get_size()
    _check_size(dataset.shape, size, int(dataset.id.get_storage_size()), policy, refuse)
    if properties.get_layout() == h5py.h5d.CHUNKED:
        chunks = properties.get_chunk()
        whole = math.prod(chunks) * size
        if whole > policy.chunk_bytes:
            refuse(
                "a chunk is too large to be read safely",
                f"chunks {chunks}, {whole:,} bytes",
                f"rewrite with smaller chunks (h5repack -l CHUNK=...), or allow more ({VARIABLE}=chunk=1GiB)",
                f"at most {policy.chunk_bytes:,} bytes",
            )
        _check_chunks(dataset, whole, filters, refuse)


def _check_place(dataset: h5py.Dataset, properties: h5py.h5p.PropDCID, refuse: Refuse) -> None:
    if properties.get_layout() == h5py.h5d.VIRTUAL:
        refuse(
            "a virtual dataset is refused: its sources are other files, and missing ones read as zeros",
            "sources " + ", ".join(sorted({source.file_name for source in dataset.virtual_sources()})),
            "copy the data into one file (h5repack does)",
            "data within this file",
        )
    if properties.get_external_count():
        refuse(
            "external storage is refused: it can reach any file of this computer",
            ", ".join(str(entry[0]) for entry in dataset.external),
            "copy the data into the file (h5repack does)",
            "data within this file",
        )


def _refused_kind(kind: h5py.h5t.TypeID, policy: GuardPolicy) -> str | None:
    """What keeps values from being read as numbers or text, in words."""
    code = kind.get_class()
    if code == h5py.h5t.COMPOUND:
        members = ((kind.get_member_name(i), kind.get_member_type(i)) for i in range(kind.get_nmembers()))
        for name, member in members:
            inner = _refused_kind(member, policy)
            if inner is not None:
                return f"a table whose column {name.decode(errors='backslashreplace')!r} holds {inner}"
        return None
    if code == h5py.h5t.ARRAY:
        return _refused_kind(kind.get_super(), policy)
    if code == h5py.h5t.VLEN and not policy.vlen:
        return "sequences of variable length (vlen)"
    if code == h5py.h5t.REFERENCE:
        return "references to other objects of the file"
    if code == h5py.h5t.ENUM and kind.dtype.kind != "b":
        names = [
            kind.get_member_name(i).decode(errors="backslashreplace") for i in range(kind.get_nmembers())
        ]
        return f"an enumeration ({', '.join(names[:6])}{' ...' if len(names) > 6 else ''})"
    if code == h5py.h5t.TIME:
        return "HDF5's own type for times, which nothing can read"
    return None


def _check_filters(properties: h5py.h5p.PropDCID, policy: GuardPolicy, refuse: Refuse) -> list[int]:
    """Their ids, in the order in which chunks were written through them."""
    codes: list[int] = []
    for index in range(properties.get_nfilters()):
        code, _, _, stored = properties.get_filter(index)
        codes.append(code)
        if policy.allows(code) and (code in USED or h5py.h5z.filter_avail(code)):
            USED.add(code)
            continue
        found = f"filter {filter_name(code, stored.decode(errors='replace'))} (id {code})"
        if policy.allows(code):
            refuse(
                "a compression filter is not installed",
                found,
                "install its plug-in (pip install hdf5plugin), or rewrite with gzip (h5repack -f GZIP=4)",
                "a filter that this HDF5 library has or finds",
            )
        refuse(
            "a compression filter is not allowed",
            found,
            "rewrite with gzip (h5repack -f GZIP=4), or, if you trust file and plug-in, allow it "
            f"({VARIABLE}={code})",
            f"one of {sorted(BUILT_IN.values())}",
        )
    return codes


def _check_size(
    shape: tuple[int, ...] | None, size: int, stored: int, policy: GuardPolicy, refuse: Refuse
) -> None:
    declared = 0 if shape is None else math.prod(shape) * size
    if declared and not stored:
        refuse(
            "nothing was ever written here: it would read as zeros",
            f"shape {shape}, 0 bytes stored",
            "remove the dataset, or restore the file",
            "stored samples",
        )
    if declared > SMALL_ENOUGH and declared > policy.ratio * stored:
        refuse(
            "the declared size is out of proportion to what is stored",
            f"shape {shape}, {declared:,} bytes declared, {stored:,} stored",
            f"cut the dataset to what was written, restore the file, or allow more ({VARIABLE}=ratio=...)",
            f"at most {policy.ratio} declared for each byte stored",
        )


def _check_chunks(dataset: h5py.Dataset, whole: int, filters: list[int], refuse: Refuse) -> None:
    """HDF5 does not compare a chunk's stored size with what the chunk holds.

    It fills up one that is too short with whatever lies in memory, unpacks one that is too long as far as
    it goes, and crashes where a checksum has no room.
    """
    limits: dict[int, tuple[int, int]] = {}

    def odd(chunk: h5py.h5d.StoreInfo) -> h5py.h5d.StoreInfo | None:
        mask = chunk.filter_mask
        if mask not in limits:
            limits[mask] = _stored_sizes(whole, filters, mask)
        least, most = limits[mask]
        return None if least <= chunk.size <= most else chunk

    found = dataset.id.chunk_iter(odd)  # ends at the first that is not None
    if found is not None:
        least, most = limits[found.filter_mask]
        refuse(
            "a chunk is stored in a size that it cannot have",
            f"{found.size:,} bytes stored for the chunk at {found.chunk_offset}, which holds {whole:,}",
            "restore the file from its source; no writer makes such a chunk",
            f"{least:,} bytes" if least == most else f"{least:,} to {most:,} bytes",
        )


def _stored_sizes(whole: int, filters: list[int], mask: int) -> tuple[int, int]:
    """Smallest and largest size in the file of a chunk of `whole` bytes; bit i of mask: without filter i."""
    applied = [code for index, code in enumerate(filters) if not mask >> index & 1]
    checksums = 4 * applied.count(FLETCHER32)
    if all(code in (SHUFFLE, FLETCHER32) for code in applied):
        # Without a checksum, too: a chunk that reaches beyond the array may be stored without filters.
        return whole, whole + checksums
    return 1 + checksums, whole + whole // 16 + PACKED_SLACK


def unwritten_ranges(dataset: h5py.Dataset, axis: int) -> list[tuple[int, int]]:
    """Index ranges [start, stop) along `axis` in which some chunk was never written: it reads as fill value.

    In order and merged; [] for storage without chunks. From metadata alone, linear in the number of chunks.
    """
    if not dataset.chunks or not dataset.shape or 0 in dataset.shape:
        return []
    grid = [-(-size // chunk) for size, chunk in zip(dataset.shape, dataset.chunks, strict=True)]
    if dataset.id.get_num_chunks() >= math.prod(grid):
        return []
    step, size = dataset.chunks[axis], dataset.shape[axis]
    written: list[int] = []
    # append gives None, without which the iteration would stop.
    dataset.id.chunk_iter(lambda chunk: written.append(chunk.chunk_offset[axis] // step))
    places, counts = np.unique(np.array(written, dtype=np.int64), return_counts=True)
    whole = places[counts >= math.prod(grid) // grid[axis]].tolist()
    return [
        ((before + 1) * step, min(after * step, size))
        for before, after in pairwise([-1, *whole, grid[axis]])
        if after - before > 1
    ]


def damaged_chunks(dataset: h5py.Dataset, start: int, stop: int, axis: int) -> list[tuple[int, int]]:
    """Index ranges along `axis`, in order and merged, that hold a chunk which cannot be read.

    Those that [start, stop) touches, as whole chunks. Every chunk there is read once; storage without
    chunks is looked through in pieces of a mebibyte.
    """
    shape = dataset.shape
    row = math.prod(shape[:axis] + shape[axis + 1 :]) * dataset.dtype.itemsize
    step = dataset.chunks[axis] if dataset.chunks else max(1, PIECE // max(1, row))
    found: list[tuple[int, int]] = []
    for first in range(start // step * step, min(stop, shape[axis]), step):
        last = min(first + step, shape[axis])
        try:
            dataset[(*[slice(None)] * axis, slice(first, last))]
        except READ_ERRORS:
            joined = bool(found) and found[-1][1] == first
            found[-1:] = [(found[-1][0], last)] if joined else [*found[-1:], (first, last)]
    return found
