"""Overrides that a benchmark adds to its run, and which of them it may not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sensorkd.errors import ConfigError

__all__ = ["as_overrides", "check_methods_own", "check_own", "flattened"]

# Told by the grid; an override of them would be lost without a word.
OWN = ("split", "seed", "out", "labels_per_class", "labels_share", "labels_groups", "method.name")
# What is learned and judged: methods that differ in it cannot be compared.
SHARED = ("data", "layout", "target", "labels")


def flattened(tree: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Overrides with dotted keys.

    >>> flattened({"training": {"steps": 9}, "inputs.heat.span": 2.0})
    {'training.steps': 9, 'inputs.heat.span': 2.0}

    Raises:
        ConfigError: a key is told twice, nested and dotted.
    """
    found: dict[str, Any] = {}
    for key, value in tree.items():
        nested = isinstance(value, Mapping) and bool(value)
        more = flattened(value, f"{before}{key}.") if nested else {f"{before}{key}": value}
        if twice := sorted(found.keys() & more.keys()):
            raise ConfigError(
                f"an override tells {twice[0]!r} twice",
                inside=twice[0],
                found=f"{found[twice[0]]}, and {more[twice[0]]}",
                expected="every key once, nested or dotted",
                mend="take one of them out",
            )
        found |= more
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
        if _is_of(key, OWN):
            raise ConfigError(
                f"the grid itself tells {key!r}",
                inside=inside,
                found=f"{key}: {changes[key]}",
                expected="`split`, `seeds`, `labels_per_class`, `methods` of the benchmark, and --out",
                mend=f"take {key!r} out of `{inside}`",
            )


def check_methods_own(changes: Mapping[str, Any], inside: str) -> None:
    """Refuse overrides of a single method, by dotted keys, that `check_own` refuses, or of its data.

    Raises:
        ConfigError: naming the key, inside what it stands.
    """
    check_own(changes, inside)
    for key in changes:
        if _is_of(key, SHARED):
            raise ConfigError(
                f"all methods share {key!r}",
                inside=inside,
                found=f"{key}: {changes[key]}",
                expected="methods that learn from the same data and labels, and are judged by the same",
                mend=f"put {key!r} into `set` of the benchmark, or the method into a benchmark of its own",
            )


def _is_of(key: str, places: Sequence[str]) -> bool:
    return any(key == place or key.startswith(f"{place}.") for place in places)
