"""A configuration by what its files say, not by where they lie: results may move to another computer."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["portable"]


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


def _with_content(table: Mapping[str, Any]) -> dict[str, Any]:
    return {**table, "table": _content(table["table"])} if table.get("table") else dict(table)


def _content(path: str) -> str:
    """What stands in a small file, as a digest; its name where it is not there, which training will tell."""
    try:
        return hashlib.blake2b(Path(path).read_bytes(), digest_size=16).hexdigest()
    except OSError:
        return Path(path).name
