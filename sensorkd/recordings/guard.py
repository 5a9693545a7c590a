"""Opens HDF5 files that somebody else wrote, and refuses what could mislead or harm before reading it.

h5py follows external links and external storage to any file of the host in silence, and returns
zeros for virtual datasets without a source and for absurd declared shapes. Nothing here does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from sensorkd.errors import ArchiveError, nearest
from sensorkd.recordings.signature import check_signature
from sensorkd.recordings.storage import check_storage

__all__ = ["GuardedFile", "plain"]

MAX_SOFT_LINKS = 8
MAX_DEPTH = 64
MAX_NODES = 1_000_000


class GuardedFile:
    """A read-only HDF5 file whose nodes are checked one by one as they are reached.

    Raises:
        ArchiveError: the file is missing, empty, not HDF5, truncated or in use.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._checked: dict[str, h5py.Dataset] = {}
        check_signature(path)
        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            raise _not_opened(path, error) from error
        self._root: h5py.Group = self._file["/"]

    def close(self) -> None:
        """Close the file; nodes handed out before become invalid."""
        self._checked.clear()
        self._file.close()

    def __enter__(self) -> GuardedFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def root(self) -> h5py.Group:
        """The root group, whose attributes may be read; reach members through `group` and `dataset`."""
        return self._root

    def group(self, inside: str) -> h5py.Group:
        """The group at a path inside the file."""
        node = self._resolve(inside)
        if not isinstance(node, h5py.Group):
            raise self._wrong_kind(node, inside, "a group")
        return node

    def dataset(self, inside: str) -> h5py.Dataset:
        """The dataset at a path inside the file, refused if its storage cannot be trusted."""
        if inside not in self._checked:
            node = self._resolve(inside)
            if not isinstance(node, h5py.Dataset):
                raise self._wrong_kind(node, inside, "a dataset")
            self._keep(node, inside)
        return self._checked[inside]

    def node(self, inside: str) -> h5py.Group | h5py.Dataset:
        """The group or dataset at a path inside the file."""
        if inside in self._checked:
            return self._checked[inside]
        node = self._resolve(inside)
        if isinstance(node, h5py.Dataset):
            self._keep(node, inside)
            return node
        if not isinstance(node, h5py.Group):
            raise self._wrong_kind(node, inside, "a group or a dataset")
        return node

    def _keep(self, dataset: h5py.Dataset, inside: str) -> None:
        check_storage(dataset, file=self.path, inside=inside)
        self._checked[inside] = dataset

    def is_group(self, inside: str) -> bool:
        """Whether the path, which must exist, leads to a group."""
        return isinstance(self._resolve(inside), h5py.Group)

    def exists(self, inside: str) -> bool:
        """Whether every part of a path is there; no link is followed."""
        node: Any = self._root
        for part in _parts(inside):
            if not isinstance(node, h5py.Group) or not _has(node, part):
                return False
            if _link_type(node, part) != h5py.h5l.TYPE_HARD:
                return True  # the link itself is judged when it is followed
            node = node.get(part)
        return True

    def members(self, inside: str) -> list[str]:
        """Names below a group, sorted as HDF5 keeps them."""
        return _names(self.group(inside))

    def walk(self) -> Iterator[tuple[str, h5py.Group | h5py.Dataset]]:
        """Every group and dataset of the file, checked, parents first.

        Raises:
            ArchiveError: a link leads back to a group that is being walked, or the tree has no end.
        """
        for number, found in enumerate(self._walk("/", ())):
            if number >= MAX_NODES:
                raise ArchiveError(
                    "the tree has no end",
                    file=self.path,
                    inside=found[0],
                    found=f"more than {MAX_NODES:,} groups and datasets",
                    expected="each of them in one place",
                    mend="remove links that make one group appear in many places, or split the file",
                )
            yield found

    def _walk(self, inside: str, above: tuple[Any, ...]) -> Iterator[tuple[str, h5py.Group | h5py.Dataset]]:
        node = self.node(inside)
        yield inside, node
        if isinstance(node, h5py.Dataset):
            return
        identity = h5py.h5o.get_info(node.id).addr
        if identity in above or len(above) >= MAX_DEPTH:
            raise ArchiveError(
                "a link leads back to a group above it: the tree has a cycle"
                if identity in above
                else "groups lie too deep in groups",
                file=self.path,
                inside=inside,
                found=f"{len(above)} groups above this one",
                expected=f"a tree of at most {MAX_DEPTH} levels",
                mend="remove the link, or flatten the tree",
            )
        for name in _names(node):
            yield from self._walk(f"{inside.rstrip('/')}/{name}", (*above, identity))

    def _resolve(self, inside: str) -> Any:
        """Follow a path part by part, so that no link is taken unseen."""
        node: Any = self._root
        parts = _parts(inside)
        done: list[str] = []
        soft_links = 0
        while parts:
            part = parts.pop(0)
            here = "/" + "/".join([*done, part])
            if not isinstance(node, h5py.Group) or not _has(node, part):
                raise self._missing(node, part, here)
            if _link_type(node, part) == h5py.h5l.TYPE_HARD:
                node = node.get(part)
                done.append(part)
                continue
            soft_links += 1
            target = self._soft_target(node, part, here, soft_links)
            parts = [*([] if target.startswith("/") else done), *_parts(target), *parts]
            node, done = self._root, []
        return node

    def _soft_target(self, group: h5py.Group, name: str, here: str, followed: int) -> str:
        """Where a link that is not a hard one leads, if it may be followed."""
        kind = _link_type(group, name)
        if kind != h5py.h5l.TYPE_SOFT:
            link = group.get(name, getlink=True) if kind == h5py.h5l.TYPE_EXTERNAL else None
            raise ArchiveError(
                "an external link is refused: it can reach any file of this computer",
                file=self.path,
                inside=here,
                found=f"a link to {link.filename}:{link.path}" if link else f"a link of type {kind}",
                expected="a hard link, or a soft link inside the file",
                mend="copy the data into the file (h5copy) in place of the link",
            )
        target = str(group.get(name, getlink=True).path)
        if followed > MAX_SOFT_LINKS:
            raise ArchiveError(
                "soft links lead to soft links without an end",
                file=self.path,
                inside=here,
                found=f"a link to {target}",
                expected=f"at most {MAX_SOFT_LINKS} on a path",
                mend="point the link at the object itself",
            )
        return target

    def _missing(self, node: Any, part: str, here: str) -> ArchiveError:
        names = _names(node) if isinstance(node, h5py.Group) else []
        listed = ", ".join(names[:12]) + (" ..." if len(names) > 12 else "")
        return ArchiveError(
            "nothing here",
            file=self.path,
            inside=here,
            found=f"beside it: {listed or 'no members'}",
            expected=f"a member {part!r}",
            mend=f"{nearest(part, names)}name an existing path in the layout, or mend the file",
        )

    def _wrong_kind(self, node: object, inside: str, expected: str) -> ArchiveError:
        kind = {h5py.Group: "a group", h5py.Dataset: "a dataset"}.get(type(node), "a named data type")
        return ArchiveError(
            f"not {expected}",
            file=self.path,
            inside=inside,
            found=kind,
            expected=expected,
            mend="correct the path in the layout, or mend the file",
        )


def _parts(inside: str) -> list[str]:
    return [part for part in inside.split("/") if part not in ("", ".")]


def _names(group: h5py.Group) -> list[str]:
    # h5py gives names that are not UTF-8 as bytes. They can be shown, not reached.
    return [name if isinstance(name, str) else name.decode(errors="backslashreplace") for name in group]


def _has(group: h5py.Group, name: str) -> bool:
    # Not `name in group`, which follows an external link to see whether it is broken.
    return bool(group.id.links.exists(name.encode()))


def _link_type(group: h5py.Group, name: str) -> int:
    return int(group.id.links.get_info(name.encode()).type)


def _not_opened(path: Path, error: OSError) -> ArchiveError:
    size, message = path.stat().st_size, str(error)
    if isinstance(error, BlockingIOError) or "unable to lock" in message or "already open" in message:
        return ArchiveError(
            "the file is in use by a writer",
            file=path,
            found=message,
            expected="a file that is closed",
            mend="wait until it is closed, or copy it",
        )
    stored = re.search(r"stored_eof = (\d+)", message)
    cut = stored is not None or "truncated" in message
    return ArchiveError(
        "the file is cut short" if cut else "HDF5 cannot open the file: its structure is damaged",
        file=path,
        found=f"{size:,} bytes" + ("" if stored else f"; HDF5 says: {message}"),
        expected=f"{int(stored.group(1)):,} bytes" if stored else "a whole HDF5 file",
        mend="restore the file from its source; a logger that died leaves such files",
    )


def plain(value: Any) -> Any:
    """An HDF5 value as plain Python: str for bytes, numbers, lists for arrays, None for an empty one."""
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, h5py.Empty):
        return None
    if isinstance(value, np.ndarray):
        return [plain(item) for item in value.tolist()]
    if isinstance(value, np.longdouble):
        return float(value)
    if isinstance(value, np.generic):
        item = value.item()
        return str(item) if isinstance(item, np.generic) else plain(item)
    return value
