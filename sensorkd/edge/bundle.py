"""A bundle: the folder that ships. `bundle.json` says what the model expects; hashes say it is unchanged."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sensorkd.alarms import AlarmRule
from sensorkd.edge.external_data import external_tensors
from sensorkd.edge.precision import PRECISIONS, Int8Model, Precision
from sensorkd.edge.unknown_rule import UnknownRule
from sensorkd.encoding import InputEncoding
from sensorkd.errors import BundleError

__all__ = ["BundleDescription", "EdgeBundle", "sha256_of"]

SCHEMA = "bundle-1.0"
DESCRIPTION, MODEL, GOLDEN, CARD = "bundle.json", "model.onnx", "golden.npz", "README.md"
INT8 = "model.int8.onnx"
STATISTICS = "statistics.npz"
# What this version can do for bundles that ask for it in `requires`.
CAPABILITIES: frozenset[str] = frozenset()


@dataclass(frozen=True)
class BundleDescription:
    """`bundle.json`.

    target: what is predicted; classes: its values, in the order of the logits. inputs: in the order of
    the columns of presence. hop: seconds between windows; segment_of: the input each of whose bursts ends
    a window; both None where a window is a whole recording.
    embedding: its size. tolerance: largest difference between the logits of golden.npz and the
    device's. macs, parameters: of one window. files: name -> SHA-256. requires: what a runtime must be
    able to do; one that cannot refuses the bundle. extra: for the user. int8: of `model.int8.onnx`; None
    where there is none. alarm: when verdicts raise one; None: never. unknown: how far off a window may lie;
    None: no window is ever called unknown.
    """

    sensorkd: str
    target: str
    classes: tuple[str, ...]
    inputs: Mapping[str, InputEncoding]
    hop: float | None
    embedding: int
    tolerance: float
    parameters: int
    macs: int
    files: Mapping[str, str]
    segment_of: str | None = None
    requires: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    schema: Literal["bundle-1.0"] = "bundle-1.0"
    int8: Int8Model | None = None
    alarm: AlarmRule | None = None
    unknown: UnknownRule | None = None

    def __post_init__(self) -> None:
        checks = {
            "`inputs` must name at least one input": bool(self.inputs),
            "`classes` must be two different names or more": len(set(self.classes)) == len(self.classes) > 1
            and all(isinstance(name, str) for name in self.classes),
            "`files` must map names to SHA-256 digests": isinstance(self.files, Mapping)
            and all(isinstance(digest, str) for digest in self.files.values()),
            "`tolerance` must be a number above 0": isinstance(self.tolerance, float) and self.tolerance > 0,
            "`alarm` must call some of the classes normal, and not all": self.alarm is None
            or set(self.alarm.normal) < set(self.classes),
            f"`files` must name {INT8} where `int8` tells of it": self.int8 is None or INT8 in self.files,
            f"`files` must name {STATISTICS} where `unknown` tells of it": self.unknown is None
            or STATISTICS in self.files,
        }
        for problem, good in checks.items():
            if not good:
                raise ValueError(problem)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        tree = dataclasses.asdict(self)
        tree["inputs"] = {name: encoding.to_json() for name, encoding in self.inputs.items()}
        return tree

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> BundleDescription:
        """The inverse of `to_json`.

        Raises:
            KeyError, TypeError, ValueError: a field is missing, unknown or out of range.
        """
        fields = dict(tree)
        if fields.get("schema") != SCHEMA:
            raise ValueError(f"schema {fields.get('schema')!r}, expected {SCHEMA!r}")
        fields["inputs"] = {name: InputEncoding.from_json(item) for name, item in fields["inputs"].items()}
        for name in ("classes", "requires"):
            fields[name] = tuple(fields[name])
        if fields.get("int8") is not None:
            fields["int8"] = Int8Model.from_json(fields["int8"])
        if fields.get("alarm") is not None:
            fields["alarm"] = AlarmRule.from_json(fields["alarm"])
        if fields.get("unknown") is not None:
            fields["unknown"] = UnknownRule.from_json(fields["unknown"])
        return cls(**fields)


@dataclass(frozen=True)
class EdgeBundle:
    """An opened bundle whose files are those that were written.

    Example: `EdgeBundle.open("bundle").description.classes`
    """

    folder: Path
    description: BundleDescription

    @classmethod
    def open(cls, folder: str | Path) -> EdgeBundle:
        """Read `bundle.json` and check every file against its hash.

        Raises:
            BundleError: a file is missing, changed, or asks for more than this version can do.
        """
        folder = Path(folder)
        path = folder / DESCRIPTION
        try:
            description = BundleDescription.from_json(json.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise BundleError(
                "not a bundle",
                file=folder,
                found=error,
                expected=f"a folder with {DESCRIPTION}, as `sensorkd export` writes it",
            ) from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BundleError("the description cannot be read", file=path, found=repr(error)) from error
        missing = sorted(set(description.requires) - CAPABILITIES)
        if missing:
            raise BundleError(
                "this bundle asks for more than this version can do",
                file=path,
                found=missing,
                mend="install a newer sensorkd on the device",
            )
        if MODEL not in description.files or GOLDEN not in description.files:
            raise BundleError(
                "the description does not vouch for the model",
                file=path,
                found=sorted(description.files),
                expected=[MODEL, GOLDEN],
            )
        for name, digest in description.files.items():
            _check_file(folder, name, digest)
        return cls(folder, description)

    @property
    def model(self) -> bytes:
        """The ONNX model."""
        return self.model_in("fp32")

    def model_in(self, precision: Precision) -> bytes:
        """The ONNX model in one of its forms.

        Raises:
            BundleError: the bundle does not hold it, or not all of it.
        """
        if precision not in PRECISIONS:
            raise BundleError("no such precision", found=precision, expected=list(PRECISIONS))
        if precision == "int8" and self.description.int8 is None:
            raise BundleError(
                "the bundle holds no model in int8",
                file=self.folder,
                found=sorted(self.description.files),
                expected=INT8,
                mend="export it with --int8",
            )
        path = self.folder / (MODEL if precision == "fp32" else INT8)
        model = path.read_bytes()
        _check_whole(path, model)
        return model

    def tolerance_of(self, precision: Precision) -> float:
        """Largest difference between golden logits and the device's."""
        int8 = self.description.int8
        return self.description.tolerance if precision == "fp32" or int8 is None else int8.tolerance

    def golden(self) -> dict[str, NDArray[Any]]:
        """`input.<name>`, presence, logits, embedding of the batch that the exported model must repeat.

        `logits.int8` besides, where there is such a model.

        Raises:
            BundleError: it is not such a batch.
        """
        arrays = load_arrays(self.folder / GOLDEN, mend="export the bundle again")
        inputs = {f"input.{name}" for name in self.description.inputs}
        expected = {*inputs, "presence", "logits", "embedding"}
        expected |= set() if self.description.int8 is None else {"logits.int8"}
        if set(arrays) != expected:
            raise BundleError(
                "the golden batch does not hold what it should",
                file=self.folder / GOLDEN,
                found=sorted(arrays),
                expected=sorted(expected),
            )
        return arrays


def _check_whole(path: Path, model: bytes) -> None:
    """Refuse a model that would make the runtime open other files; what is no model, the runtime refuses."""
    try:
        elsewhere = external_tensors(model)
    except ValueError as error:
        raise BundleError("the model cannot be loaded", file=path, found=error) from error
    if elsewhere:
        raise BundleError(
            "the model keeps weights in other files",
            file=path,
            found=f"{len(elsewhere)} tensors, the first {elsewhere[0]!r}",
            expected="all weights inside, as `sensorkd export` writes them",
            mend="export it again",
        )


def load_arrays(path: Path, *, mend: str) -> dict[str, NDArray[Any]]:
    """Arrays of an .npz, never a pickle.

    Raises:
        BundleError: it is none; `mend` says what to do.
    """
    try:
        with path.open("rb") as handle:
            if handle.read(2) != b"PK":
                raise ValueError("not a zip file")
            handle.seek(0)
            with np.load(handle, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise BundleError("not an .npz of arrays", file=path, found=error, mend=mend) from error


def _check_file(folder: Path, name: str, digest: str) -> None:
    path = folder / name
    if Path(name).name != name or path.is_symlink():
        raise BundleError(
            "a file of a bundle must lie in its folder", file=folder / DESCRIPTION, inside="files", found=name
        )
    if not path.is_file():
        raise BundleError("a file of the bundle is missing", file=path, mend="copy the whole folder again")
    found = sha256_of(path)
    if found != digest:
        raise BundleError(
            "the file is not the one that was exported",
            file=path,
            found=f"SHA-256 {found[:16]}...",
            expected=f"{digest[:16]}...",
            mend="copy the bundle again, or export it again",
        )


def sha256_of(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
