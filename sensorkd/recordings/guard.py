"""Opens HDF5 files that somebody else wrote, and refuses what could mislead or harm before reading it.

h5py follows external links and external storage to any file of the host in silence, and returns
zeros for virtual datasets without a source and for absurd declared shapes. Nothing here does.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from sensorkd.errors import ArchiveError, nearest
from sensorkd.recordings.opening import damage_told, open_read_only
from sensorkd.recordings.policy import GuardPolicy
from sensorkd.recordings.storage import check_storage

__all__ = ["GuardedFile", "plain"]

MAX_SOFT_LINKS = 8
MAX_DEPTH = 64
MAX_NODES = 1_000_000
# Nodes kept open. A dataset holds its own cache of chunks, so few of them.
KEPT_GROUPS = 4096
KEPT_DATASETS = 32


class GuardedFile:
    """A read-only HDF5 file whose nodes are checked one by one as they are reached.

    policy: what it may ask of this computer; None: what the environment says.

    Raises:
        ArchiveError: the file is missing, empty, not HDF5, cut short or in use. Every method raises it for
            what is missing, refused or damaged, with the path inside the file.
    """

    def __init__(self, path: Path, policy: GuardPolicy | None = None) -> None:
        self.path = path
        self.policy = policy or GuardPolicy.of_environment()
        self._groups: dict[str, h5py.h5g.GroupID] = {}
        self._datasets: dict[str, h5py.Dataset] = {}
        self._checked: set[str] = set()
        self._file = open_read_only(path)
        with damage_told(path, "/"):
            self._root: h5py.Group = self._file["/"]

    def close(self) -> None:
        """Close the file; nodes handed out before become invalid."""
        self._groups.clear()
        self._datasets.clear()
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
        kept = self._datasets.get(inside)
        if kept is not None:
            return kept
        node = self._resolve(inside)
        if not isinstance(node, h5py.Dataset):
            raise self._wrong_kind(node, inside, "a dataset")
        self._check(node, inside)
        if len(self._datasets) >= KEPT_DATASETS:
            del self._datasets[next(iter(self._datasets))]
        self._datasets[inside] = node
        return node

    def node(self, inside: str) -> h5py.Group | h5py.Dataset:
        """The group or dataset at a path inside the file."""
        node = self._resolve(inside)
        if isinstance(node, h5py.Dataset):
            self._check(node, inside)
        elif not isinstance(node, h5py.Group):
            raise self._wrong_kind(node, inside, "a group or a dataset")
        return node

    def _check(self, dataset: h5py.Dataset, inside: str) -> None:
        if inside not in self._checked:
            with damage_told(self.path, inside):
                check_storage(dataset, file=self.path, inside=inside, policy=self.policy)
            self._checked.add(inside)

    def is_group(self, inside: str) -> bool:
        """Whether the path, which must exist, leads to a group."""
        return isinstance(self._resolve(inside), h5py.Group)

    def exists(self, inside: str) -> bool:
        """Whether every part of a path is there; no link is followed."""
        node: Any = self._root.id
        with damage_told(self.path, inside):
            for part in _parts(inside):
                kind = _link_type(node, part)
                if kind is None:
                    return False
                if kind != h5py.h5l.TYPE_HARD:
                    return True  # the link itself is judged when it is followed
                node = _member(node, part)
        return True

    def members(self, inside: str) -> list[str]:
        """Names below a group, sorted as HDF5 keeps them."""
        group = self.group(inside)
        with damage_told(self.path, inside):
            return _names(group)

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
        with damage_told(self.path, inside):
            identity, names = h5py.h5o.get_info(node.id).addr, _names(node)
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
        for name in names:
            yield from self._walk(f"{inside.rstrip('/')}/{name}", (*above, identity))

    def _resolve(self, inside: str) -> Any:
        """Follow a path part by part, so that no link is taken unseen."""
        with damage_told(self.path, inside):
            node = self._follow(_parts(inside))
            if isinstance(node, h5py.h5g.GroupID):
                return h5py.Group(node)
            if isinstance(node, h5py.h5d.DatasetID):
                return h5py.Dataset(node, readonly=True)
            return h5py.Datatype(node)

    def _follow(self, parts: list[str]) -> Any:
        """The node as h5py's lower level has it, which takes half the time of the upper one."""
        node, done = self._nearest(parts)
        parts = parts[len(done) :]
        soft_links = 0
        while parts:
            part = parts.pop(0)
            kind = _link_type(node, part)
            if kind is None:
                raise self._missing(node, part, "/" + "/".join([*done, part]))
            if kind == h5py.h5l.TYPE_HARD:
                node = _member(node, part)
                done.append(part)
                if isinstance(node, h5py.h5g.GroupID):
                    self._keep(node, done)
                continue
            soft_links += 1
            target = self._soft_target(node, part, kind, "/" + "/".join([*done, part]), soft_links)
            parts = [*([] if target.startswith("/") else done), *_parts(target), *parts]
            node, done = self._root.id, []
        return node

    def _nearest(self, parts: list[str]) -> tuple[h5py.h5g.GroupID, list[str]]:
        """The group itself or the one above, if hard links led there before: the file cannot change."""
        for length in (len(parts), len(parts) - 1):
            kept = self._groups.get("/".join(parts[:length])) if length > 0 else None
            if kept is not None:
                return kept, parts[:length]
        return self._root.id, []

    def _keep(self, group: h5py.h5g.GroupID, parts: list[str]) -> None:
        if len(self._groups) >= KEPT_GROUPS:
            self._groups.clear()
        self._groups["/".join(parts)] = group

    def _soft_target(self, group: h5py.h5g.GroupID, name: str, kind: int, here: str, followed: int) -> str:
        """Where a link that is not a hard one leads, if it may be followed."""
        if kind != h5py.h5l.TYPE_SOFT:
            external = kind == h5py.h5l.TYPE_EXTERNAL
            link = h5py.Group(group).get(name, getlink=True) if external else None
            raise ArchiveError(
                "an external link is refused: it can reach any file of this computer",
                file=self.path,
                inside=here,
                found=f"a link to {link.filename}:{link.path}" if link else f"a link of type {kind}",
                expected="a hard link, or a soft link inside the file",
                mend="copy the data into the file (h5copy) in place of the link",
            )
        target = str(h5py.Group(group).get(name, getlink=True).path)
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
        names = _names(h5py.Group(node)) if isinstance(node, h5py.h5g.GroupID) else []
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


def _link_type(node: Any, name: str) -> int | None:
    """None: no such link. Not `name in group`, which follows an external link to see whether it is broken."""
    if not isinstance(node, h5py.h5g.GroupID):
        return None
    links, key = node.links, name.encode()
    return int(links.get_info(key).type) if links.exists(key) else None


def _member(group: h5py.h5g.GroupID, name: str) -> Any:
    """What a hard link leads to: a group, a dataset or a named data type."""
    return h5py.h5o.open(group, name.encode())


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
