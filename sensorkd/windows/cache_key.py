"""What a cache of windows is of: a key that changes with anything its bytes depend on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sensorkd.encoding import InputEncoding
from sensorkd.recordings import Recording
from sensorkd.windows.content import Content
from sensorkd.windows.plan import WindowPlan

__all__ = ["READER_VERSION", "cache_key"]

# One more whenever the same archives and plan would be read as other bytes than before.
READER_VERSION = 2


def cache_key(
    recordings: Sequence[Recording],
    plan: WindowPlan,
    encodings: Mapping[str, InputEncoding],
    contents: Mapping[Path, Content],
    *,
    samples: bool,
) -> str:
    """32 hexadecimal digits: of the contents of the files, of what the layout made of their streams, of the
    encodings, and of the windows in their order. Where files lie and when they were touched is no part.

    contents: of each file that is used. samples: whether samples are kept, or what is known of them.
    """
    digest = hashlib.blake2b(digest_size=16)
    told = {name: encoding.to_json() for name, encoding in encodings.items()}
    for fields in told.values():
        del fields["lateness"]  # archives do not come late
    _add(digest, json.dumps([READER_VERSION, samples, told]))
    used = np.unique(plan.recording).tolist()
    for index in used:
        recording = recordings[index]
        _add(digest, (recording.id, recording.group, contents[recording.path].sha256))
        _add(digest, (recording.start, recording.end))  # of all streams: whole windows are laid over them
        _add(digest, {name: recording.streams[name] for name in encodings if name in recording.streams})
    for column in (np.searchsorted(used, plan.recording), plan.t_ref, plan.id):
        _add(digest, column)
    return digest.hexdigest()


def _add(digest: Any, value: Any) -> None:
    """Any tree of dataclasses, mappings, sequences and arrays: a new field of a stream is not forgotten."""
    digest.update(type(value).__name__.encode() + b"\0")
    if isinstance(value, np.ndarray):
        digest.update(f"{value.dtype.str}{value.shape}\0".encode() + np.ascontiguousarray(value).tobytes())
    elif isinstance(value, np.dtype):
        # Not its repr: one and the same dtype has several, and another after it crossed processes.
        _add(digest, (value.str, dict(value.fields or {})))
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            _add(digest, field.name)
            _add(digest, getattr(value, field.name))
    elif isinstance(value, Mapping):
        for key in sorted(value):
            _add(digest, key)
            _add(digest, value[key])
    elif isinstance(value, list | tuple):
        digest.update(f"{len(value)}\0".encode())
        for item in value:
            _add(digest, item)
    elif not isinstance(value, Path):
        digest.update(f"{value!r}\0".encode())
