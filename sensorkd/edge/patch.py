"""A patch: what an update learned, as a file: small, signed, of one bundle, and at one place in a row.

    8 bytes   SKDPATCH
    4 bytes   length of the header, little-endian
    header    JSON: schema, counter, base, previous, classes, embedding; label, subset, windows of prototypes
    float32   weight (M, E), bias (M,), little-endian
    float16   prototypes (P, E)
    32 bytes  HMAC-SHA256 of all before, with the operator's key

base: SHA-256 of the `bundle.json` it is for, which vouches for all other files. previous: SHA-256 of the
patch that was in force when it was made, "" for none. counter: rises with every patch of a device.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd.edge.classifier import Correction, Prototypes
from sensorkd.errors import BundleError

__all__ = ["KEY_VARIABLE", "LIMIT", "Patch", "digest_of", "parse_patch", "read_key", "read_patch"]

LIMIT = 64 << 10
MAGIC, SCHEMA, SIGNATURE = b"SKDPATCH", "patch-1.0", 32
KEY_VARIABLE = "SENSORKD_UPDATE_KEY"
SHORTEST_KEY, LONGEST_KEY = 16, 4096
LARGEST_COUNTER, LONGEST_NAME = (1 << 63) - 1, 200
_FIELDS = {"schema", "counter", "base", "previous", "classes", "embedding", "label", "subset", "windows"}


@dataclass(frozen=True)
class Patch:
    """See the module."""

    counter: int
    base: str
    previous: str
    correction: Correction

    def to_bytes(self, key: bytes) -> bytes:
        """The file, signed.

        Raises:
            BundleError: it would be too large.
        """
        known, correction = self.correction.prototypes, self.correction
        header = {
            "schema": SCHEMA,
            "counter": self.counter,
            "base": self.base,
            "previous": self.previous,
            "classes": list(correction.classes),
            "embedding": correction.weight.shape[1],
            "label": known.label.tolist(),
            "subset": known.subset.tolist(),
            "windows": known.windows.tolist(),
        }
        told = json.dumps(header, separators=(",", ":")).encode("utf-8")
        body = b"".join(
            [
                MAGIC,
                len(told).to_bytes(4, "little"),
                told,
                correction.weight.astype("<f4").tobytes(),
                correction.bias.astype("<f4").tobytes(),
                known.mean.astype("<f2").tobytes(),
            ]
        )
        if len(body) + SIGNATURE > LIMIT:
            raise BundleError(
                "the patch would be too large",
                found=f"{len(body) + SIGNATURE} bytes",
                expected=f"at most {LIMIT}",
                mend="train anew: there are too many classes for an update of this embedding",
            )
        return body + hmac.digest(key, body, "sha256")


def parse_patch(content: bytes, key: bytes | None, *, file: object = None) -> Patch:
    """A patch from its bytes; nothing of it is looked at before its signature.

    Args:
        key: the operator's; None where the caller knows its digest already.

    Raises:
        BundleError: too large, not signed with this key, or no patch.
    """
    if len(content) > LIMIT or not content.startswith(MAGIC) or len(content) < len(MAGIC) + 4 + SIGNATURE:
        raise BundleError(
            "not a patch",
            file=file,
            found=f"{len(content)} bytes that begin with {content[:8]!r}",
            expected=f"at most {LIMIT} bytes that begin with {MAGIC!r}",
        )
    body, signature = content[:-SIGNATURE], content[-SIGNATURE:]
    if key is not None and not hmac.compare_digest(hmac.digest(key, body, "sha256"), signature):
        raise BundleError(
            "the patch is not signed with this key",
            file=file,
            expected="HMAC-SHA256 by the operator's key",
            mend="use the key that it was made with; if that is the one, somebody has changed the patch",
        )
    try:
        return _parsed(body)
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise BundleError("the patch cannot be read", file=file, found=repr(error)[:200]) from error


def read_patch(path: Path) -> bytes:
    """The bytes of a patch file, never more than a patch may have.

    Raises:
        BundleError: it cannot be read.
    """
    try:
        with path.open("rb") as handle:
            # One more tells that it is too large.
            return handle.read(LIMIT + 1)
    except OSError as error:
        raise BundleError("the patch cannot be read", file=path, found=error) from error


def read_key(path: Path | None) -> bytes:
    """The operator's key: of a file, without a line break at its end, or else of the environment.

    It is never an argument, which every user of a computer can see.

    Raises:
        BundleError: there is none, or it is too short to protect anything.
    """
    place = KEY_VARIABLE if path is None else path
    try:
        key = os.environ[KEY_VARIABLE].encode() if path is None else _start_of(path).rstrip(b"\r\n")
    except (OSError, KeyError) as error:
        raise BundleError(
            "no key to sign or check a patch with",
            file=place,
            found="not set" if path is None else error,
            expected=f"--key FILE, or {KEY_VARIABLE} in the environment",
            mend="make one, once for all devices: openssl rand -hex 32 > update.key",
        ) from error
    if not SHORTEST_KEY <= len(key) <= LONGEST_KEY:
        raise BundleError(
            "the key is of another length than a key",
            file=place,
            found=f"{len(key)} bytes" if len(key) <= LONGEST_KEY else f"over {LONGEST_KEY} bytes",
            expected=f"{SHORTEST_KEY} to {LONGEST_KEY}, and random",
            mend="openssl rand -hex 32 > update.key",
        )
    return key


def digest_of(content: bytes) -> str:
    """Hex SHA-256 by which a patch is named."""
    return hashlib.sha256(content).hexdigest()


def _start_of(path: Path) -> bytes:
    with path.open("rb") as handle:
        return handle.read(LONGEST_KEY + 3)


def _parsed(body: bytes) -> Patch:
    begin = len(MAGIC) + 4
    end = begin + int.from_bytes(body[len(MAGIC) : begin], "little")
    if end > len(body):
        raise ValueError(f"a header of {end - begin} bytes in {len(body)}")
    header = json.loads(body[begin:end].decode("utf-8"))
    if set(header) != _FIELDS or header["schema"] != SCHEMA:
        raise ValueError(f"expected {SCHEMA} with {sorted(_FIELDS)}")
    counter, size = (_whole(header[name]) for name in ("counter", "embedding"))
    classes = tuple(_name(item) for item in header["classes"])
    numbers = [
        np.array([_whole(item) for item in header[name]], np.int64) for name in ("label", "subset", "windows")
    ]
    if len({len(item) for item in numbers}) != 1 or not counter or not classes or not size:
        raise ValueError("label, subset and windows of prototypes differ in number, or something is 0")
    many, places, rest = len(classes), len(numbers[0]), body[end:]
    lengths = [4 * many * size, 4 * many, 2 * places * size]
    if sum(lengths) != len(rest):
        raise ValueError(f"{len(rest)} bytes of numbers, expected {sum(lengths)}")
    weight = _numbers(rest[: lengths[0]], "<f4", (many, size))
    bias = _numbers(rest[lengths[0] : lengths[0] + lengths[1]], "<f4", (many,))
    mean = _numbers(rest[lengths[0] + lengths[1] :], "<f2", (places, size))
    correction = Correction(classes, weight, bias, Prototypes(mean, *numbers))
    return Patch(
        counter, _digest(header["base"]), header["previous"] and _digest(header["previous"]), correction
    )


def _numbers(content: bytes, dtype: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    return np.frombuffer(content, dtype).reshape(shape).astype(np.float32)


def _whole(item: Any) -> int:
    if type(item) is not int or not 0 <= item <= LARGEST_COUNTER:
        raise ValueError(f"{item!r} is no whole number")
    return item


def _name(item: Any) -> str:
    if not isinstance(item, str) or not 0 < len(item) <= LONGEST_NAME or not item.isprintable():
        raise ValueError(f"{item!r} is no name of a class")
    return item


def _digest(item: Any) -> str:
    if not isinstance(item, str) or len(item) != 64 or not set(item) <= set("0123456789abcdef"):
        raise ValueError(f"{item!r} is no SHA-256")
    return item
