"""Overrides that a benchmark adds to its run, and which of them it may not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sensorkd.errors import ConfigError

__all__ = ["as_overrides", "check_own", "flattened"]

# Told by the grid; an override of them would be lost without a word.
OWN = ("split", "seed", "out", "labels_per_class", "labels_share", "labels_groups", "method.name")


def flattened(tree: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Overrides with dotted keys.

    >>> flattened({"training": {"steps": 9}, "inputs.heat.span": 2.0})
    {'training.steps': 9, 'inputs.heat.span': 2.0}
    """
    found: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            found |= flattened(value, f"{before}{key}.")
        else:
            found[f"{before}{key}"] = value
    return found


def as_overrides(changes: Mapping[str, Any]) -> list[str]:
    """As `load_config` takes them; JSON is YAML."""
    return [f"{key}={json.dumps(value)}" for key, value in changes.items()]


def check_own(changes: Mapping[str, Any], inside: str) -> None:
    """Refuse overrides, by dotted keys, of what the grid itself tells.

    Raises:
        ConfigError: naming the key, inside what it stands.
    """
    for key in changes:
        if any(key == own or key.startswith(f"{own}.") for own in OWN):
            raise ConfigError(
                f"the grid itself tells {key!r}",
                inside=inside,
                found=f"{key}: {changes[key]}",
                expected="`split`, `seeds`, `labels_per_class`, `methods` of the benchmark, and --out",
                mend=f"take {key!r} out of `{inside}`",
            )
