"""The canonical tree `recording-1.0`: its names, and the check of a file against its JSON Schema."""

from __future__ import annotations

import functools
import json
import math
from dataclasses import dataclass
from importlib import resources
from typing import Any

import h5py
import jsonschema
import numpy as np

from sensorkd.errors import ArchiveError
from sensorkd.recordings.guard import GuardedFile, plain
from sensorkd.recordings.stream import Axis

__all__ = [
    "CANONICAL_AXES",
    "RESERVED_ATTRIBUTES",
    "SCHEMA",
    "SEGMENT",
    "TreeProblem",
    "check_archive",
    "tree_problems",
]

SCHEMA = "recording-1.0"
RESERVED_ATTRIBUTES = frozenset({"schema", "kind", "clock"})
SEGMENT = np.dtype([("t0", "<i8"), ("rate", "<f8"), ("offset", "<i8"), ("count", "<i8")])
LONGEST = 400
CANONICAL_AXES: dict[int, tuple[Axis, ...]] = {
    2: ("time", "channel"),
    4: ("time", "height", "width", "channel"),
}


@dataclass(frozen=True)
class TreeProblem:
    """One place in which a file differs from the schema."""

    inside: str
    found: str
    expected: str


def check_archive(file: GuardedFile) -> None:
    """Compare the file's skeleton with `recording-1.0`.

    Raises:
        ArchiveError: naming the first place that differs, and how many others do.
    """
    errors = _errors(file)
    # A dataset where a group should be lacks much else; that it is a dataset is what helps.
    wrong_kind = [error for error in errors if error.path and error.path[-1] == "node"]
    first = jsonschema.exceptions.best_match(wrong_kind or errors)
    if first is not None:
        problem = _problem(first)
        raise ArchiveError(
            "the tree does not follow recording-1.0",
            file=file.path,
            inside=problem.inside,
            found=problem.found,
            expected=problem.expected,
            mend="write archives with sensorkd.recordings.RecordingWriter, or give a layout"
            + (f" ({len(errors)} problems in all)" if len(errors) > 1 else ""),
        )


def tree_problems(file: GuardedFile) -> list[TreeProblem]:
    """Every place in which the file differs from `recording-1.0`, in the order of the tree.

    Raises:
        ArchiveError: it says that it is of another schema, or of none.
    """
    return [_problem(error) for error in sorted(_errors(file), key=lambda error: _place(error.absolute_path))]


def _errors(file: GuardedFile) -> list[jsonschema.ValidationError]:
    version = plain(file.root.attrs.get("schema", None))
    if version != SCHEMA:
        raise ArchiveError(
            "not a recording-1.0 archive",
            file=file.path,
            found=f"schema {version!r}" if version else "no schema attribute on the root",
            expected=SCHEMA,
            mend="give a layout that maps this tree (--layout FILE; examples/layouts has some)",
        )
    return list(_validator().iter_errors(skeleton(file)))


def _problem(error: jsonschema.ValidationError) -> TreeProblem:
    rule: Any = error.schema
    expected = str(rule.get("description", f"see data_schemas/{SCHEMA}.json"))
    # The message may hold all that lies below.
    found = error.message if len(error.message) <= LONGEST else f"{error.message[:LONGEST]} ..."
    return TreeProblem(_place(error.absolute_path), found, expected)


@functools.cache
def _validator() -> jsonschema.Draft202012Validator:
    text = resources.files("sensorkd.data_schemas").joinpath(f"{SCHEMA}.json").read_text("utf-8")
    return jsonschema.Draft202012Validator(json.loads(text))


def skeleton(file: GuardedFile) -> dict[str, Any]:
    """The tree as JSON: kinds, attributes, dtypes and shapes; no sample is read."""
    nodes: dict[str, dict[str, Any]] = {}
    for path, node in file.walk():
        entry: dict[str, Any] = {"attributes": {key: _json(value) for key, value in node.attrs.items()}}
        if isinstance(node, h5py.Dataset):
            shape = None if node.shape is None else list(node.shape)
            entry |= {"node": "dataset", "dtype": _dtype(node.dtype), "shape": shape}
        else:
            entry |= {"node": "group", "members": {}}
        nodes[path] = entry
        if path != "/":
            parent, name = path.rsplit("/", 1)
            nodes[parent or "/"]["members"][name] = entry
    return nodes["/"]


def _json(value: Any) -> Any:
    """JSON has no NaN and no infinity; as text they fail wherever a number is asked for."""
    value = plain(value)
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _dtype(dtype: np.dtype[Any]) -> str:
    if dtype.fields:
        inner = ",".join(f"{name}:{_dtype(field[0])}" for name, field in dtype.fields.items())
        return "{" + inner + "}"
    return "str" if h5py.check_string_dtype(dtype) else dtype.str.lstrip("|<>=")


def _place(path: Any) -> str:
    parts = [str(part) for part in path]
    names = []
    while len(parts) > 1 and parts[0] == "members":
        names.append(parts[1])
        parts = parts[2:]
    attribute = f" attribute {parts[1]}" if len(parts) > 1 and parts[0] == "attributes" else ""
    return "/" + "/".join(names) + attribute
