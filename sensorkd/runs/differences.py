"""What differs between two configurations, key by key."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sensorkd.runs.config import RunConfig

__all__ = ["differences", "run_differences"]

# What a run that goes on may change: weights do not depend on it.
FREE = ("out", "cache", "isolated")

Tree = Mapping[str, Any]


def run_differences(before: RunConfig, now: RunConfig) -> tuple[dict[str, Any], dict[str, Any]]:
    """As `differences`, of all that weights depend on."""
    return differences(before.model_dump(mode="json"), now.model_dump(mode="json"), free=FREE)


def differences(
    before: Tree, now: Tree, *, free: Collection[str] = (), inside: str = ""
) -> tuple[dict[str, Any], dict[str, Any]]:
    """By dotted key, what the one has and what the other; None for what one of them lacks.

    Args:
        free: keys that may differ. inside: the place of the trees in larger ones, with a dot behind.

    >>> differences({"steps": 5, "size": {"a": 1, "b": 2}}, {"steps": 5, "size": {"a": 1, "b": 3}})
    ({'size.b': 2}, {'size.b': 3})
    """
    was: dict[str, Any] = {}
    will: dict[str, Any] = {}
    for key in (key for key in {**before, **now} if key not in free):
        old, new = before.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            some, others = differences(old, new, inside=f"{inside}{key}.")
            was, will = was | some, will | others
        elif old != new:
            was[f"{inside}{key}"], will[f"{inside}{key}"] = old, new
    return was, will
