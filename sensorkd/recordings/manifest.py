"""What a folder's archives were when they were sealed, so that a later change of a single bit is found.

Chunks written by sensorkd carry checksums; files of others often carry none, and HDF5 then reads what is
there. A hash over all bytes, kept beside the file, tells.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
from filelock import FileLock

from sensorkd.durable import sync, write_whole
from sensorkd.errors import ArchiveError
from sensorkd.recordings.guard import GuardedFile
from sensorkd.recordings.schema import check_archive
from sensorkd.recordings.storage import damaged_chunks

__all__ = ["MANIFEST", "Manifest", "SealedFile", "content_hash", "seal"]

MANIFEST = "manifest.json"
SCHEMA = "manifest-1.0"


@dataclass(frozen=True)
class SealedFile:
    """One archive as it was sealed. sha256: hex, over its bytes; sealed_at: ISO 8601, UTC."""

    sha256: str
    bytes: int
    sealed_at: str


@dataclass(frozen=True)
class Manifest:
    """`manifest.json` of a folder: names of archives, and what they were when they were sealed."""

    folder: Path
    files: Mapping[str, SealedFile]

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """The manifest of a folder; without files where there is none.

        Raises:
            ArchiveError: it is damaged.
        """
        path = folder / MANIFEST
        try:
            tree = json.loads(path.read_text("utf-8"))
            if tree["schema"] != SCHEMA:
                raise ValueError(f"schema {tree['schema']!r}")
            return cls(folder, {name: _entry(entry) for name, entry in tree["files"].items()})
        except FileNotFoundError:
            return cls(folder, {})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ArchiveError(
                "the manifest cannot be read",
                file=path,
                found=repr(error),
                expected=f"JSON of schema {SCHEMA}",
                mend="restore it from a backup; or remove it, and seal the archives again once they are known"
                " to be good",
            ) from error

    def check(self, path: Path) -> None:
        """Compare an archive of this folder with what it was when it was sealed; all of it is read.

        Raises:
            ArchiveError: it is not listed, missing, or differs.
        """
        if path.name not in self.files:
            raise _at_odds(
                "the archive is not in the manifest of its folder",
                path,
                f"{len(self.files)} other files",
                "an entry",
                "seal it (sensorkd.recordings.seal), if it is known to be good",
            )
        told = self.files[path.name]
        if not path.is_file():
            expected = f"{told.bytes:,} bytes, sealed {told.sealed_at}"
            mend = "restore it, or remove its entry"
            raise _at_odds("an archive of the manifest is missing", path, "nothing", expected, mend)
        size, found = path.stat().st_size, content_hash(path)
        if (size, found) != (told.bytes, told.sha256):
            raise _at_odds(
                "the content is not what was sealed: the file was changed or damaged since",
                path,
                f"SHA-256 {found}, {size:,} bytes",
                f"SHA-256 {told.sha256}, {told.bytes:,} bytes, sealed {told.sealed_at}",
                "restore the file from its source; seal it again only if it was changed on purpose",
            )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        files = {name: dataclasses.asdict(entry) for name, entry in sorted(self.files.items())}
        return {"schema": SCHEMA, "files": files}


def content_hash(path: Path) -> str:
    """SHA-256 over the bytes of a file, in hex."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def seal(path: Path, final: Path | None = None) -> SealedFile:
    """Check an archive by reading every chunk of it, enter it into its folder's manifest, and name it.

    Args:
        path: an archive that is closed.
        final: its name from now on, on the same disk; None: it has it already. The name appears after the
            entry, so that no reader finds it without one.

    Raises:
        ArchiveError: it cannot be read in full, or does not follow recording-1.0; nothing is changed then.
    """
    final = final or path
    with GuardedFile(path) as file:
        check_archive(file)
        _read_all(file)
    told = SealedFile(
        sha256=content_hash(path),
        bytes=path.stat().st_size,
        sealed_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )
    sync(path)
    with FileLock(final.parent / f".{MANIFEST}.lock"):
        before = Manifest.read(final.parent)
        after = Manifest(final.parent, {**before.files, final.name: told})
        write_whole(final.parent / MANIFEST, json.dumps(after.to_json(), indent=1).encode())
    if path != final:
        path.replace(final)
        sync(final.parent)
    return told


def _read_all(file: GuardedFile) -> None:
    for inside, node in file.walk():
        if isinstance(node, h5py.Dataset):
            damaged = damaged_chunks(node, 0, node.shape[0], 0)
            if damaged:
                raise ArchiveError(
                    "chunks of the archive cannot be read back",
                    file=file.path,
                    inside=inside,
                    found=", ".join(f"[{start}:{stop}]" for start, stop in damaged[:4]),
                    expected="checksums that fit",
                    mend="check the disk; sensorkd.recordings.salvage.salvage saves the other chunks",
                )


def _entry(entry: Any) -> SealedFile:
    told = SealedFile(sha256=entry["sha256"], bytes=entry["bytes"], sealed_at=entry["sealed_at"])
    if len(told.sha256) != 64 or not isinstance(told.bytes, int):
        raise ValueError(f"entry {entry}")
    return told


def _at_odds(problem: str, path: Path, found: str, expected: str, mend: str) -> ArchiveError:
    return ArchiveError(problem, file=path, inside=MANIFEST, found=found, expected=expected, mend=mend)
