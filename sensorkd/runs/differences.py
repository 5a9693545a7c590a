"""What differs between two configurations, key by key."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

__all__ = ["differences"]

Tree = Mapping[str, Any]


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
