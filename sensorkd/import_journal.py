"""What was imported from what, a line each in `imports.jsonl` beside the archives."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["NAME", "ImportJournal", "Origin"]

NAME = "imports.jsonl"
BLOCK = 1 << 20


@dataclass(frozen=True)
class Origin:
    """A source, and the mapping it was read by, as they were. sha256: hex, over names and contents.

    bytes: of all files of a folder; mtime_ns: of the newest.
    """

    source: str
    bytes: int
    mtime_ns: int
    sha256: str
    mapping_sha256: str | None

    @classmethod
    def of(cls, source: Path, mapping: Path | None) -> Origin:
        """Read all of it once.

        Raises:
            OSError: it cannot be read.
        """
        files = _files(source)
        whole = hashlib.sha256()
        for file in files:
            whole.update(file.relative_to(source).as_posix().encode() + b"\0")
            _feed(whole, file)
        return cls(str(source.resolve()), *_extent(files), whole.hexdigest(), _digest(mapping))

    def change(self, source: Path, mapping: Path | None) -> str | None:
        """What is no longer as it was, in words, or None. Contents are read only where the dates differ.

        Raises:
            OSError: it cannot be read.
        """
        if _digest(mapping) != self.mapping_sha256:
            return "another mapping than the one it was imported by"
        size, mtime_ns = _extent(_files(source))
        if size != self.bytes:
            return f"{size:,} bytes, and {self.bytes:,} when {self.source} was imported"
        if mtime_ns != self.mtime_ns and Origin.of(source, mapping).sha256 != self.sha256:
            return f"another content than when {self.source} was imported"
        return None


class ImportJournal:
    """The journal of a folder of archives. Lines are only ever added; the last one of an archive holds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / NAME
        self._origins: dict[str, Origin] = {}
        for line in self._lines():
            try:
                entry = json.loads(line)
                origin = Origin(**{name: entry[name] for name in Origin.__dataclass_fields__})
                self._origins |= dict.fromkeys(entry["archives"], origin)
            except (ValueError, TypeError, KeyError):
                continue  # cut short by a kill: the archive is taken for one of unknown origin

    def origin(self, archive: Path) -> Origin | None:
        """What an archive was made of, None where the journal does not say."""
        return self._origins.get(self._name(archive))

    def add(self, archives: Iterable[Path], origin: Origin, *, importer: str, notes: Iterable[str]) -> None:
        """Write a line, on the disk when this returns.

        Raises:
            OSError: the folder cannot be written to.
        """
        names = [self._name(archive) for archive in archives]
        entry: dict[str, Any] = {"archives": names, **asdict(origin), "importer": importer}
        line = json.dumps(entry | {"notes": list(notes)}, ensure_ascii=False) + "\n"
        with self.path.open("ab") as handle:
            # A line that a kill cut short must not swallow this one.
            handle.write(b"" if self._ends_whole() else b"\n")
            handle.write(line.encode())
            handle.flush()
            os.fsync(handle.fileno())
        self._origins |= dict.fromkeys(names, origin)

    def _lines(self) -> list[str]:
        if not self.path.is_file():
            return []
        return self.path.read_text(encoding="utf-8", errors="replace").splitlines()

    def _ends_whole(self) -> bool:
        if not self.path.is_file() or not self.path.stat().st_size:
            return True
        with self.path.open("rb") as handle:
            handle.seek(-1, os.SEEK_END)
            return handle.read(1) == b"\n"

    def _name(self, archive: Path) -> str:
        return Path(os.path.relpath(archive, self.folder)).as_posix()


def _digest(mapping: Path | None) -> str | None:
    # One that is not there is the importer's to tell.
    there = mapping is not None and mapping.is_file()
    return hashlib.sha256(mapping.read_bytes()).hexdigest() if mapping is not None and there else None


def _files(source: Path) -> list[Path]:
    return sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]


def _extent(files: list[Path]) -> tuple[int, int]:
    stats = [file.stat() for file in files]
    return sum(stat.st_size for stat in stats), max((stat.st_mtime_ns for stat in stats), default=0)


def _feed(whole: Any, file: Path) -> None:
    with file.open("rb") as handle:
        while block := handle.read(BLOCK):
            whole.update(block)
