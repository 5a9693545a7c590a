"""Values that a layout takes from HDF5 attributes."""

from __future__ import annotations

import math
from typing import Any

from sensorkd.errors import ArchiveError, nearest
from sensorkd.recordings.guard import GuardedFile, plain
from sensorkd.recordings.layout import Attribute

__all__ = ["attribute", "number_of", "text_of"]


def text_of(file: GuardedFile, group: str, source: str | Attribute, what: str) -> str:
    """A constant, or what an attribute holds, as text; `what` it is for."""
    if isinstance(source, str):
        return source
    return str(attribute(file, group, source, of=None, what=what))


def attribute(file: GuardedFile, group: str, source: Attribute, *, of: str | None, what: str) -> Any:
    """The value of an attribute, looked for on the samples (`of`), the recording's group and the root.

    Raises:
        ArchiveError: none of them has it; says which attributes there are.
    """
    if source.of is not None:
        places = [f"{group.rstrip('/')}/{source.of}"]
    else:
        places = [place for place in (of, group, "/") if place is not None]
    seen: list[str] = []
    for place in dict.fromkeys(places):
        node = file.node(place)
        if source.attribute in node.attrs:
            value = plain(node.attrs[source.attribute])
            while isinstance(value, list) and len(value) == 1:
                value = value[0]  # some tools write every attribute as an array
            return value
        seen += list(node.attrs)
    raise ArchiveError(
        f"attribute {source.attribute!r} is missing (for {what})",
        file=file.path,
        inside=" or ".join(dict.fromkeys(places)),
        found=f"attributes {sorted(set(seen))}",
        expected=f"an attribute {source.attribute!r}",
        mend=f"{nearest(source.attribute, seen)}correct the layout, or name a constant in it",
    )


def number_of(value: float | Attribute, file: GuardedFile, group: str, *, of: str, what: str) -> float:
    """A constant, or the number that an attribute holds; `what` it is for.

    Raises:
        ArchiveError: there is no such attribute, or it is no finite number (for a scale, other than 0).
    """
    if not isinstance(value, Attribute):
        return value
    found = attribute(file, group, value, of=of, what=what)
    try:
        number = float(found)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or (what == "scale" and number == 0):
        raise ArchiveError(
            f"the {what} is not a finite number" + (" other than 0" if what == "scale" else ""),
            file=file.path,
            inside=f"{of} attribute {value.attribute}",
            found=repr(found),
            expected="one finite number",
            mend=f"correct the attribute, or name a constant {what} in the layout",
        )
    return number
