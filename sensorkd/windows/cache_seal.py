"""Seals a cache of windows that is whole, and opens it again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd.durable import sync
from sensorkd.errors import ArchiveError
from sensorkd.windows.arrays import Reading, WindowSet
from sensorkd.windows.cache_folder import MANIFEST
from sensorkd.windows.cache_layout import CacheLayout, write_error
from sensorkd.windows.failures import error_from_json
from sensorkd.windows.mapped import CacheError, MappedSamples, map_array
from sensorkd.windows.samples import SomeRows

__all__ = ["open_sealed", "seal"]

FORMAT = "sensorkd-cache-1"


def seal(
    part: Path,
    place: Path,
    layout: CacheLayout,
    columns: Mapping[str, NDArray[Any]],
    about: Mapping[str, Any],
) -> None:
    """Write the last columns and the manifest of a cache, and give it its name.

    columns: those that come from the plan. about: goes into the manifest.

    Raises:
        CacheError: the cache cannot be written.
    """
    try:
        for name, values in columns.items():
            file = layout.columns[name]
            with (part / file.name).open("r+b") as handle:
                handle.write(np.ascontiguousarray(values, dtype=file.dtype).tobytes())
                handle.flush()
                os.fsync(handle.fileno())
        tree = {
            "format": FORMAT,
            **about,
            "windows": layout.windows,
            "inputs": {name: encoding.to_json() for name, encoding in layout.encodings.items()},
            "files": {file.name: file.bytes for file in layout.inputs.values()},
            "columns": {file.name: _hash(part / file.name) for file in layout.columns.values()},
        }
        with (part / MANIFEST).open("w", encoding="utf-8") as text:
            json.dump({**tree, "seal": _seal_of(tree)}, text, indent=1)
            text.flush()
            os.fsync(text.fileno())
        sync(part)
        part.rename(place)
        sync(place.parent)
    except OSError as error:
        raise write_error(part, error, layout.bytes) from error


def _seal_of(tree: Mapping[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(tree, sort_keys=True).encode(), digest_size=16).hexdigest()


def _hash(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "blake2b").hexdigest()


def open_sealed(place: Path, layout: CacheLayout, *, verify: bool = False) -> Reading:
    """The windows of a sealed cache; their samples are read where asked, and checked at the first time.

    verify: check all samples at once.

    Raises:
        CacheError: it is not as it was sealed, or was removed meanwhile.
    """
    try:
        return _open(place, layout, verify=verify)
    except OSError as error:
        raise _not_as_sealed(place, repr(error)) from error


def _open(place: Path, layout: CacheLayout, *, verify: bool) -> Reading:
    about = _manifest(place)
    columns = {
        name: map_array(place / file.name, file.dtype, file.shape) for name, file in layout.columns.items()
    }
    for file in layout.columns.values():
        if _hash(place / file.name) != about["columns"].get(file.name):
            raise _not_as_sealed(place / file.name, "a column whose hash differs")
    inputs = {
        name: MappedSamples(place / file.name, file.dtype, file.shape, columns["crc"][:, index])
        for index, (name, file) in enumerate(layout.inputs.items())
    }
    if verify:
        for samples in inputs.values():
            samples.check(np.arange(layout.windows))
    names = np.empty(len(about["recordings"]), dtype=object)
    names[:] = about["recordings"]
    rows = np.flatnonzero(columns["kept"])
    # Columns are small and used by everything: they are read into memory.
    presence, coverage, faults, ids, t_ref = (
        np.array(columns[name][rows]) for name in ("presence", "coverage", "faults", "id", "t_ref")
    )
    kept = {
        name: samples if len(rows) == layout.windows else SomeRows(samples, rows)
        for name, samples in inputs.items()
    }
    with contextlib.suppress(OSError):
        os.utime(place / MANIFEST)  # for `prune`; where nobody can write, nothing is pruned
    return Reading(
        WindowSet(kept, presence, coverage, faults, ids, t_ref, names[columns["recording"][rows]]),
        rows,
        tuple(_remembered(tree, place) for tree in about["errors"]),
    )


def _remembered(tree: Mapping[str, Any], place: Path) -> ArchiveError:
    error = error_from_json(tree)
    error.mend = f"{error.mend}; once it can be read as it is, remove {place}, which remembers this"
    return error


def _manifest(place: Path) -> dict[str, Any]:
    path = place / MANIFEST
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        told = tree.pop("seal")
        if told != _seal_of(tree) or tree["format"] != FORMAT:
            raise ValueError(f"seal {told}, of its content {_seal_of(tree)}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _not_as_sealed(path, repr(error)) from error
    return dict(tree)


def _not_as_sealed(path: Path, found: object) -> CacheError:
    return CacheError(
        "a cache of windows is not as it was sealed",
        file=path,
        found=found,
        expected="what was written",
        mend=f"remove the folder {path.parent}; it is made again from the archives",
    )
