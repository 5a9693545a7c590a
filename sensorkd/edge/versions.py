"""Patches of a bundle on a device: which one is in force, which were before, and that none comes back.

They lie in the bundle's folder, under `update`: a file for each patch, named by its digest, and `state.json`,
which alone says which is in force. It is replaced as a whole after the patch itself has reached the disk, so
that whenever the device is stopped the old state or the new is there. Whoever may write there is trusted, as
with the model.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sensorkd.durable import sync, write_whole
from sensorkd.edge.bundle import DESCRIPTION, EdgeBundle, sha256_of
from sensorkd.edge.classifier import Correction, check_correction
from sensorkd.edge.patch import Patch, digest_of, parse_patch, read_patch
from sensorkd.edge.statistics import Statistics
from sensorkd.errors import BundleError

__all__ = ["UpdateState", "Versions", "locked_folder"]

FOLDER, STATE, LOCK = "update", "state.json", "lock"
SCHEMA = "update-1.0"
# Patches that can be gone back to.
KEPT = 8


@dataclass(frozen=True)
class UpdateState:
    """base: SHA-256 of the bundle's `bundle.json`. counter: the highest that was ever installed. active:
    digests of the patch in force, last, and of those it can be rolled back to; none: the bundle as it was
    trained.
    """

    base: str
    counter: int = 0
    active: tuple[str, ...] = ()

    @property
    def current(self) -> str:
        """Digest of the patch in force, "" for none."""
        return self.active[-1] if self.active else ""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"schema": SCHEMA, **dataclasses.asdict(self)}

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> UpdateState:
        """The inverse of `to_json`.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        fields = dict(tree)
        if fields.pop("schema") != SCHEMA:
            raise ValueError(f"schema {tree['schema']!r}, expected {SCHEMA!r}")
        state = cls(**{**fields, "active": tuple(fields["active"])})
        if type(state.counter) is not int or state.counter < 0:
            raise ValueError(f"counter {state.counter!r}")
        if not all(isinstance(item, str) and item.isalnum() for item in (state.base, *state.active)):
            raise ValueError("digests that are none")
        return state


class Versions:
    """The patches of one bundle.

    Example: Versions(EdgeBundle.open("bundle")).install(content, key)
    """

    def __init__(self, bundle: EdgeBundle) -> None:
        self.bundle = bundle
        self.folder = bundle.folder / FOLDER
        self.base = sha256_of(bundle.folder / DESCRIPTION)

    def state(self) -> UpdateState:
        """Which patches are installed.

        Raises:
            BundleError: the state is damaged, or of another bundle.
        """
        path = self.folder / STATE
        try:
            state = UpdateState.from_json(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return UpdateState(self.base)
        except (OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise BundleError(
                "the state of updates cannot be read",
                file=path,
                found=repr(error)[:200],
                mend="copy the bundle again; its updates begin anew",
            ) from error
        if state.base != self.base:
            raise BundleError(
                "the updates in this folder are of another bundle",
                file=path,
                found=f"{state.base[:16]}...",
                expected=f"{self.base[:16]}...",
                mend="copy the whole bundle into a folder of its own",
            )
        return state

    def current(self, statistics: Statistics | None) -> Correction | None:
        """What is in force, checked as if nobody had signed it; None: the bundle as it was trained.

        Raises:
            BundleError: the patch is missing or changed, or what it says cannot be.
        """
        digest = self.state().current
        if not digest:
            return None
        path = self._file(digest)
        content = read_patch(path)
        if digest_of(content) != digest:
            raise BundleError(
                "the patch in force is not the one that was installed",
                file=path,
                found=f"SHA-256 {digest_of(content)[:16]}...",
                expected=f"{digest[:16]}...",
                mend="python -m sensorkd.edge rollback BUNDLE",
            )
        return self._checked(parse_patch(content, None, file=path), statistics).correction

    def patch_of(self, correction: Correction, key: bytes, *, counter: int | None = None) -> bytes:
        """A signed patch for what is in force here. counter: default the next one of this bundle.

        Raises:
            BundleError: it would be too large.
        """
        state = self.state()
        number = state.counter + 1 if counter is None else counter
        return Patch(number, self.base, state.current, correction).to_bytes(key)

    def install(self, content: bytes, key: bytes) -> UpdateState:
        """Put a patch in force, or leave all as it is.

        Raises:
            BundleError: it is not signed with this key, of another bundle, made on top of another patch, not
                newer than all before, or not one that `check_correction` lets pass; or another process is at
                it.
        """
        patch = parse_patch(content, key)
        with self._locked():
            state = self.state()
            self._check_place(patch, state)
            self._checked(patch, Statistics.of(self.bundle))
            digest = digest_of(content)
            write_whole(self._file(digest), content)
            new = UpdateState(self.base, patch.counter, (*state.active, digest)[-KEPT:])
            self._commit(new)
        return new

    def rollback(self, *, to_trained: bool = False) -> UpdateState:
        """Back to the patch before, or to the bundle as it was trained. The counter stays: a patch that was
        rolled back cannot be installed again.

        Raises:
            BundleError: nothing is installed; or another process is at it.
        """
        with self._locked():
            state = self.state()
            if not state.active:
                raise BundleError(
                    "nothing to roll back", file=self.folder, found="the bundle as it was trained"
                )
            new = dataclasses.replace(state, active=() if to_trained else state.active[:-1])
            self._commit(new)
        return new

    def _check_place(self, patch: Patch, state: UpdateState) -> None:
        if patch.base != self.base:
            raise BundleError(
                "the patch is of another bundle",
                file=self.bundle.folder,
                found=f"{patch.base[:16]}...",
                expected=f"{self.base[:16]}...",
                mend="make it from this very bundle",
            )
        if patch.counter <= state.counter:
            raise BundleError(
                "a patch like this was installed before",
                found=f"counter {patch.counter}",
                expected=f"more than {state.counter}",
                mend="make a new one; an old one is never taken again",
            )
        if patch.previous != state.current:
            raise BundleError(
                "the patch was made on top of another one",
                found=f"on top of {patch.previous[:16] or 'the trained bundle'}",
                expected=state.current[:16] or "the trained bundle",
                mend="roll back to that one, or make the patch from this device's state",
            )

    def _checked(self, patch: Patch, statistics: Statistics | None) -> Patch:
        if statistics is None:
            raise BundleError("the bundle holds no statistics to check a patch by", file=self.bundle.folder)
        check_correction(patch.correction, statistics, self.bundle.description.classes)
        return patch

    def _commit(self, state: UpdateState) -> None:
        write_whole(self.folder / STATE, json.dumps(state.to_json(), indent=1).encode("utf-8"))
        kept = {STATE, LOCK, *(self._file(digest).name for digest in state.active)}
        for item in self.folder.iterdir():
            if item.name not in kept:
                item.unlink(missing_ok=True)

    def _file(self, digest: str) -> Path:
        return self.folder / f"{digest}.patch"

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self.folder.mkdir(exist_ok=True)
        sync(self.bundle.folder)
        with locked_folder(self.folder):
            yield


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """One process at a time; the system lets go when it ends, however it does.

    Raises:
        BundleError: another one is at it, or this system has no such locks.
    """
    try:
        import fcntl
    except ImportError as error:
        raise BundleError(
            "updates need a system with file locks", found=error, expected="Linux, macOS"
        ) from error
    with (folder / LOCK).open("wb") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BundleError(
                "another process is updating this bundle", file=folder, found=error, mend="try again later"
            ) from error
        yield
