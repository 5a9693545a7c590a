"""How what outsiders add is found: by entry point, one look-up for adapters and importers alike."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from importlib.metadata import EntryPoint
from typing import Any, TypeVar

from sensorkd.errors import SensorkdError, nearest

__all__ = ["load_plugin"]

P = TypeVar("P")


def load_plugin(
    name: str,
    installed: Mapping[str, EntryPoint],
    options: Mapping[str, Any] | None,
    *,
    base: type[P],
    noun: str,
    told: str,
    mend_options: str,
    error: type[SensorkdError],
) -> P:
    """The plug-in of that name, built with its options. A broken one warns by name and breaks no other.

    Args:
        installed: name -> entry point of all there are, of one group.
        base: what it must be a class of. noun: `adapter`; told: `adapter of modality`, before the name.

    Raises:
        error: none is installed, it cannot be imported, it is no such class, or it does not take the options.
    """
    if name not in installed:
        group = next((point.group for point in installed.values()), f"sensorkd.{noun}s")
        raise error(
            f"no {told.replace(' of ', ' for ')} {name!r} is installed",
            expected=f"one of {sorted(installed)}",
            mend=f"{nearest(name, installed)}install the package that brings it; a package under "
            f"development needs `pip install` again after its entry point is added (group {group!r}); "
            "adapters/README.md says how to write one",
        )
    point = installed[name]
    try:
        kind = point.load()
    except Exception as fault:
        warnings.warn(f"{noun} {name!r} ({point.value}) cannot be imported: {fault!r}", stacklevel=3)
        raise error(
            f"the {told} {name!r} cannot be imported",
            file=point.value,
            found=repr(fault),
            mend=f"mend or remove the package that brings it; other {noun}s are not affected",
        ) from fault
    if not (isinstance(kind, type) and issubclass(kind, base)):
        article = "an" if base.__name__[0] in "AEIOU" else "a"
        raise error(
            f"an entry point does not name {article} {base.__name__} class",
            file=point.value,
            found=repr(kind),
        )
    try:
        return kind(**(options or {}))
    except (TypeError, ValueError) as fault:
        raise error(
            f"the {told} {name!r} does not take these options",
            file=point.value,
            found=f"{dict(options or {})}: {fault}",
            mend=mend_options,
        ) from fault
