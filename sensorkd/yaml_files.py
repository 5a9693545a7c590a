"""YAML files that people write: read alike, and their mistakes told alike, wherever they are read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from sensorkd.errors import ConfigError, nearest

__all__ = ["mistakes", "read_yaml"]


def read_yaml(path: str | Path, *, what: str, examples: str | None = None) -> Any:
    """The tree that a file holds.

    Args:
        what: it should be, in a word. examples: a folder that has some that work.

    Raises:
        ConfigError: there is no such file, or it is not YAML in UTF-8.
    """
    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"no such {what}",
            file=path,
            found=error.strerror,
            expected="a YAML file",
            mend="name an existing YAML file",
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(
            "not a YAML file",
            file=path,
            found=error,
            expected="YAML in UTF-8",
            mend=None if examples is None else f"{examples} has some that work",
        ) from error


def mistakes(
    error: ValidationError, known: Callable[[Sequence[str]], Collection[str]], *, listed: bool = True
) -> str:
    """All mistakes, one a line; an unknown key with the nearest known one.

    Args:
        known: the keys there are at a place, the names from the top down to it. listed: name them all.
    """
    return "".join(f"\n    {_told(item, known, listed)}" for item in error.errors())


def _told(item: Any, known: Callable[[Sequence[str]], Collection[str]], listed: bool) -> str:
    place = [str(part) for part in item["loc"]]
    before = f"{'.'.join(place)}: " if place else ""
    if item["type"] != "extra_forbidden":
        return f"{before}{item['msg']}"
    keys = known(place[:-1])
    told = f"{before}unknown key; {nearest(place[-1], keys)}"
    return f"{told}known here: {sorted(keys)}" if listed else told.rstrip("; ")
