"""Opens HDF5 files that somebody else wrote, and refuses what could mislead or harm before reading it.

h5py follows external links and external storage to any file of the host in silence, and returns
zeros for virtual datasets without a source and for absurd declared shapes. Nothing here does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from sensorkd.errors import ArchiveError, nearest

__all__ = ["GuardedFile", "plain"]

SIGNATURE = b"\x89HDF\r\n\x1a\n"
OTHER_FORMATS = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"PK\x03\x04": "a zip archive",
    b"PAR1": "a Parquet table",
    b"\x1f\x8b": "a gzip file",
    b"RIFF": "a RIFF file (AVI or WAV)",
    b"%PDF": "a PDF",
}
MAX_SOFT_LINKS = 8
MAX_CHUNK_BYTES = 1 << 30
# gzip cannot compress better than about 1:1032, so a larger ratio of declared to stored bytes means
# that most of the dataset was never written or that it is a bomb.
MAX_RATIO = 1100
SMALL_ENOUGH = 1 << 26


class GuardedFile:
    """A read-only HDF5 file whose nodes are checked one by one as they are reached.

    Raises:
        ArchiveError: the file is missing, empty, not HDF5, truncated or in use.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        _check_signature(path)
        try:
            self._file = h5py.File(path, "r")
        except BlockingIOError as error:
            raise ArchiveError(
                "the file is in use by a writer",
                file=path,
                mend="wait until it is closed, or copy it",
            ) from error
        except OSError as error:
            raise ArchiveError(
                _plain_reason(str(error)),
                file=path,
                found=f"{path.stat().st_size} bytes; HDF5 says: {error}",
                mend="restore the file from its source; a logger that died leaves such files",
            ) from error

    def close(self) -> None:
        """Close the file; nodes handed out before become invalid."""
        self._file.close()

    def __enter__(self) -> GuardedFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def root(self) -> h5py.Group:
        """The root group, whose attributes may be read; reach members through `group` and `dataset`."""
        return self._file["/"]

    def group(self, inside: str) -> h5py.Group:
        """The group at a path inside the file."""
        node = self._resolve(inside)
        if not isinstance(node, h5py.Group):
            raise ArchiveError(
                "not a group", file=self.path, inside=inside, found=_kind(node), expected="a group"
            )
        return node

    def dataset(self, inside: str) -> h5py.Dataset:
        """The dataset at a path inside the file, refused if its storage cannot be trusted."""
        node = self._resolve(inside)
        if not isinstance(node, h5py.Dataset):
            raise ArchiveError(
                "not a dataset",
                file=self.path,
                inside=inside,
                found=_kind(node),
                expected="a dataset",
            )
        self._check_storage(node, inside)
        return node

    def node(self, inside: str) -> h5py.Group | h5py.Dataset:
        """The group or dataset at a path inside the file."""
        node = self._resolve(inside)
        if isinstance(node, h5py.Dataset):
            self._check_storage(node, inside)
        return node

    def exists(self, inside: str) -> bool:
        """Whether every part of a path is there; no link is followed."""
        node: Any = self._file["/"]
        for part in [part for part in inside.split("/") if part]:
            if not isinstance(node, h5py.Group) or not _has(node, part):
                return False
            if not isinstance(node.get(part, getlink=True), h5py.HardLink):
                return True  # the link itself is judged when it is followed
            node = node.get(part)
        return True

    def members(self, inside: str) -> list[str]:
        """Names below a group, sorted as HDF5 keeps them."""
        return list(self.group(inside))

    def walk(self, inside: str = "/") -> Iterator[tuple[str, h5py.Group | h5py.Dataset]]:
        """Every group and dataset at and below a path, checked, parents first.

        Raises:
            ArchiveError: a link leads back to a group that is being walked.
        """
        yield from self._walk(inside.rstrip("/") or "/", ())

    def _walk(self, inside: str, above: tuple[Any, ...]) -> Iterator[tuple[str, h5py.Group | h5py.Dataset]]:
        node = self._resolve(inside)
        if isinstance(node, h5py.Dataset):
            self._check_storage(node, inside)
            yield inside, node
            return
        if not isinstance(node, h5py.Group):
            raise ArchiveError(
                "neither a group nor a dataset", file=self.path, inside=inside, found=_kind(node)
            )
        identity = h5py.h5o.get_info(node.id).addr
        if identity in above:
            raise ArchiveError(
                "a link leads back to a group above it: the tree has a cycle",
                file=self.path,
                inside=inside,
                mend="remove the link",
            )
        yield inside, node
        for name in node:
            yield from self._walk(f"{inside.rstrip('/')}/{name}", (*above, identity))

    def _resolve(self, inside: str) -> Any:
        """Follow a path part by part, so that no link is taken unseen."""
        node: Any = self._file["/"]
        parts = [part for part in inside.split("/") if part]
        done: list[str] = []
        soft_links = 0
        while parts:
            part = parts.pop(0)
            here = "/" + "/".join([*done, part])
            if not isinstance(node, h5py.Group) or not _has(node, part):
                raise self._missing(node, part, here)
            link = node.get(part, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise ArchiveError(
                    "an external link is refused: it can reach any file of this computer",
                    file=self.path,
                    inside=here,
                    found=f"a link to {link.filename}:{link.path}",
                    mend="copy the data into the file (h5copy) in place of the link",
                )
            if isinstance(link, h5py.SoftLink):
                soft_links += 1
                if soft_links > MAX_SOFT_LINKS:
                    raise ArchiveError(
                        "soft links lead to soft links without an end",
                        file=self.path,
                        inside=here,
                        expected=f"at most {MAX_SOFT_LINKS} on a path",
                        mend="point the link at the object itself",
                    )
                absolute = link.path.startswith("/")
                target = [piece for piece in link.path.split("/") if piece not in ("", ".")]
                parts = [*([] if absolute else done), *target, *parts]
                node, done = self._file["/"], []
                continue
            node = node.get(part)
            done.append(part)
        return node

    def _missing(self, node: Any, part: str, here: str) -> ArchiveError:
        names = list(node) if isinstance(node, h5py.Group) else []
        listed = ", ".join(names[:12]) + (" ..." if len(names) > 12 else "")
        return ArchiveError(
            "nothing here",
            file=self.path,
            inside=here,
            found=f"beside it: {listed or 'no members'}",
            mend=f"{nearest(part, names)}name an existing path in the layout, or mend the file",
        )

    def _check_storage(self, dataset: h5py.Dataset, inside: str) -> None:
        if dataset.is_virtual:
            raise ArchiveError(
                "a virtual dataset is refused: its sources are other files, and missing ones read as zeros",
                file=self.path,
                inside=inside,
                found=", ".join(sorted({source.file_name for source in dataset.virtual_sources()})),
                mend="copy the data into one file (h5repack does)",
            )
        if dataset.external:
            raise ArchiveError(
                "external storage is refused: it can reach any file of this computer",
                file=self.path,
                inside=inside,
                found=", ".join(str(entry[0]) for entry in dataset.external),
                mend="copy the data into the file (h5repack does)",
            )
        declared = math.prod(dataset.shape or ()) * dataset.dtype.itemsize
        stored = int(dataset.id.get_storage_size())
        if declared > SMALL_ENOUGH and declared > MAX_RATIO * stored:
            raise ArchiveError(
                "the declared size is out of proportion to what is stored",
                file=self.path,
                inside=inside,
                found=f"shape {dataset.shape}, {declared:,} bytes declared, {stored:,} stored",
                expected=f"at most {MAX_RATIO} declared for each byte stored",
                mend="cut the dataset to what was written, or restore the file",
            )
        chunk = math.prod(dataset.chunks or (0,)) * dataset.dtype.itemsize
        if chunk > MAX_CHUNK_BYTES:
            raise ArchiveError(
                "a chunk is too large to be read safely",
                file=self.path,
                inside=inside,
                found=f"chunks {dataset.chunks}, {chunk:,} bytes",
                expected=f"at most {MAX_CHUNK_BYTES:,} bytes",
                mend="rewrite with smaller chunks (h5repack -l CHUNK=...)",
            )


def _has(group: h5py.Group, name: str) -> bool:
    # Not `name in group`, which follows an external link to see whether it is broken.
    return bool(group.id.links.exists(name.encode()))


def _kind(node: object) -> str:
    return "a dataset" if isinstance(node, h5py.Dataset) else f"a {type(node).__name__.lower()}"


def _check_signature(path: Path) -> None:
    """Say what the file is when it is not HDF5, before h5py sees it."""
    if not path.is_file():
        what = "a folder" if path.is_dir() else "nothing"
        raise ArchiveError("no such file", file=path, found=what, expected="an HDF5 file")
    with path.open("rb") as handle:
        head = handle.read(16)
        if not head:
            raise ArchiveError(
                "the file is empty: the logger likely died before its first flush",
                file=path,
                found="0 bytes",
                mend="remove it, or copy it again from the logger",
            )
        offset = 0
        while head[: len(SIGNATURE)] != SIGNATURE:
            # The format allows a user block: the signature may also lie at 512, 1024, 2048 ...
            offset = 512 if offset == 0 else offset * 2
            handle.seek(offset)
            block = handle.read(len(SIGNATURE))
            if len(block) < len(SIGNATURE):
                raise ArchiveError(
                    "not an HDF5 file",
                    file=path,
                    found=_format_of(path),
                    mend="name HDF5 archives only; convert other formats first",
                )
            if block == SIGNATURE:
                return


def _format_of(path: Path) -> str:
    with path.open("rb") as handle:
        head = handle.read(512)
    for magic, name in OTHER_FORMATS.items():
        if head.startswith(magic):
            return name
    if SIGNATURE.startswith(head):
        return f"{len(head)} bytes: an HDF5 file cut short"
    if head[4:8] == b"ftyp":
        return "an MP4 video"
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError:
        return "unknown binary data"
    return "comma-separated text" if "," in text or ";" in text else "plain text"


def _plain_reason(message: str) -> str:
    if "truncated" in message:
        return "the file is cut short"
    if "unable to lock" in message or "already open" in message:
        return "the file is in use by a writer"
    return "HDF5 cannot open the file: its structure is damaged"


def plain(value: Any) -> Any:
    """An HDF5 value as plain Python: bytes to str, NumPy scalars to numbers, arrays to lists."""
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, np.ndarray):
        return [plain(item) for item in value.tolist()]
    if isinstance(value, np.generic):
        return plain(value.item())
    return value
