"""Configurations without the places of one computer: results may move to another, and be shown to anybody."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["portable", "without_places"]


def portable(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The tree of a `RunConfig` with the names of its data, and digests of its layout and label tables.

    Archives themselves are too large to be digested for this: two folders of one name pass for the same.
    """
    found = {**tree, "data": [Path(place).name for place in tree["data"]]}
    if "layout" in tree:
        found["layout"] = _content(tree["layout"])
    if "labels" in tree:
        labels = tree["labels"]
        more = [_with_content(table) for table in labels.get("more", ())]
        found["labels"] = _with_content({**labels, "more": more} if more else labels)
    return found


def without_places(tree: Any) -> Any:
    """A tree of plain values with the bare names of the files and folders that were told from the root.

    >>> without_places({"run": "../configs/plant.yaml", "set": {"data": ["/home/me/plant"]}})
    {'run': '../configs/plant.yaml', 'set': {'data': ['plant']}}
    """
    if isinstance(tree, Mapping):
        return {key: without_places(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [without_places(value) for value in tree]
    return Path(tree).name if isinstance(tree, str) and Path(tree).is_absolute() else tree


def _with_content(table: Mapping[str, Any]) -> dict[str, Any]:
    return {**table, "table": _content(table["table"])} if table.get("table") else dict(table)


def _content(path: str) -> str:
    """What stands in a small file, as a digest; its name where it is not there, which training will tell."""
    try:
        return hashlib.blake2b(Path(path).read_bytes(), digest_size=16).hexdigest()
    except OSError:
        return Path(path).name
