"""Which code a cell was run by: a benchmark may be gone on with after an update, and its rows then mix."""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Iterable
from pathlib import Path

import sensorkd

__all__ = ["code_digest"]


def code_digest(used: Iterable[type] = ()) -> str:
    """Tells one version of the code from another, released or not: 12 hexadecimal digits.

    Args:
        used: classes from outside sensorkd that results depend on, as adapters; the file of each counts.
    """
    content = hashlib.blake2b(_own(), digest_size=6)
    for path in sorted({Path(inspect.getfile(each)) for each in used}, key=lambda path: path.name):
        content.update(_digest(path))
    return content.hexdigest()


@functools.cache
def _own() -> bytes:
    """Of the whole package, as it was when it was first asked for: it is imported by then."""
    root = Path(sensorkd.__file__).parent
    return b"".join(
        str(path.relative_to(root).as_posix()).encode() + _digest(path) for path in sorted(root.rglob("*.py"))
    )


def _digest(path: Path) -> bytes:
    # Line ends are the checkout's, not the code's.
    text = path.read_text(encoding="utf-8")
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
