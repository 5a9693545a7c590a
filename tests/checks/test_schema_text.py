"""The description of recording-1.0 for people names every field that the schema knows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import resources
from typing import Any


def names(rule: Any) -> Iterator[str]:
    """Attributes, members and columns, wherever they stand in the schema."""
    if isinstance(rule, list):
        for item in rule:
            yield from names(item)
    if not isinstance(rule, dict):
        return
    yield from (name for name in rule.get("properties", ()) if name not in ("node", "dtype", "shape"))
    if str(rule.get("const", "")).startswith("{"):
        yield from (column.split(":")[0] for column in rule["const"].strip("{}").split(","))
    for item in rule.values():
        yield from names(item)


def test_every_field_of_the_schema_is_described() -> None:
    folder = resources.files("sensorkd.data_schemas")
    schema = json.loads(folder.joinpath("recording-1.0.json").read_text("utf-8"))
    text = folder.joinpath("README.md").read_text("utf-8")
    section = text.split("## recording-1.0")[1].split("\n## ")[0]
    fields = set(names(schema)) - {"attributes", "members"}
    assert {"clock", "modality", "scale", "t0", "label", "intervals"} <= fields
    missing = {name for name in fields if f"`{name}`" not in section and f"| {name}" not in section}
    assert missing - {"t1"} == set()
    assert "t0, t1" in section
    for kind in ("archive", "recording", "streams", "stream", "labels", "track"):
        assert f"`{kind}`" in section
