"""The log of a run: a JSON record a line, of every epoch and of what went before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sensorkd.durable import write_whole

__all__ = ["TrainingLog"]


class TrainingLog:
    """`metrics.jsonl` of a run, which may have been cut off at any byte.

    Args:
        path: need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self) -> None:
        """An empty log."""
        self.path.write_text("", encoding="utf-8")

    def write(self, record: Mapping[str, Any]) -> None:
        """Append a record, on a line of its own."""
        whole = not self.path.exists() or self.path.read_bytes()[-1:] in (b"", b"\n")
        with self.path.open("a", encoding="utf-8") as handle:
            handle.write(("" if whole else "\n") + json.dumps(record) + "\n")

    def back_to(self, epoch: int) -> None:
        """Leave out what was written after an epoch, which will be repeated."""
        records = self.records()
        # Of no epoch are what came before the first one, and what the last one led to.
        kept = [item for item in records if item.get("epoch", 0) <= epoch and "final" not in item]
        if len(kept) < len(records):
            write_whole(self.path, "".join(json.dumps(record) + "\n" for record in kept).encode())

    def records(self) -> list[dict[str, Any]]:
        """All that were written whole; none where there is no log."""
        if not self.path.exists():
            return []
        found = []
        # A flipped byte costs its own record.
        for line in self.path.read_text(encoding="utf-8", errors="replace").split("\n"):
            try:
                found.append(json.loads(line))
            except ValueError:
                continue  # cut off while it was written
        return found
