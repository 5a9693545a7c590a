"""The first block of an HDF5 file, read and mended without the library, which refuses files it marks as open.

Source: HDF5 File Format Specification 3.0, II.A. A writer that dies leaves its mark set and the stored end
of the file out of date; a file that was cut is shorter than its stored end.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from sensorkd.errors import ArchiveError
from sensorkd.recordings.signature import SIGNATURE, check_signature

__all__ = ["Superblock", "copy_mended", "lookup3", "read_superblock"]

OPEN_FOR_WRITING, OPEN_FOR_SWMR = 1, 4
MASK = 0xFFFFFFFF


@dataclass(frozen=True)
class Superblock:
    """What the first block of a file says.

    start: where the file's own bytes begin, after a user block. flags: 1 while a writer has it open, 4 if it
    writes in SWMR mode; only version 3 has them. end: byte after the last, as stored. checked: whether its
    own checksum is right (versions 0 and 1 have none).
    """

    start: int
    version: int
    flags: int
    end: int
    checked: bool

    @property
    def left_open(self) -> bool:
        """Whether a writer has the file open, or died while it had."""
        return self.version >= 3 and bool(self.flags & (OPEN_FOR_WRITING | OPEN_FOR_SWMR))


@dataclass(frozen=True)
class _Fields:
    """Where the fields of one version lie, in bytes after the signature's first."""

    flags: int
    end: int
    width: int
    checksum: int | None


def read_superblock(path: Path) -> Superblock:
    """Read the first block of an HDF5 file.

    Raises:
        ArchiveError: not HDF5, or a first block that is cut short or of a version that is not known.
    """
    start, block = _block(path)
    fields = _fields(path, block)
    checked = fields.checksum is None or lookup3(block[: fields.checksum]) == _number(
        block, fields.checksum, 4
    )
    return Superblock(
        start=start,
        version=block[8],
        flags=block[fields.flags],
        end=_number(block, fields.end, fields.width),
        checked=checked,
    )


def copy_mended(path: Path, copy: Path) -> int:
    """Copy a file so that HDF5 opens it: marked as closed, and as long as it says.

    What lies beyond the end of the source reads as zeros in the copy: whoever reads it must know where that
    is. Nothing else is changed; the copy takes no room on the disk for what is missing.

    Returns:
        Length of the source in bytes.

    Raises:
        ArchiveError: see `read_superblock`; or its checksum is wrong, so that nothing it says holds.
    """
    told = read_superblock(path)
    if not told.checked:
        raise _unknown(path, "a checksum that does not fit")
    shutil.copyfile(path, copy)
    length = copy.stat().st_size  # not the source's: it may still grow
    end = max(told.end, length)
    start, block = _block(copy)
    fields = _fields(path, block)
    block[fields.flags] = 0
    block[fields.end : fields.end + fields.width] = end.to_bytes(fields.width, "little")
    if fields.checksum is not None:
        block[fields.checksum : fields.checksum + 4] = lookup3(block[: fields.checksum]).to_bytes(4, "little")
    with copy.open("r+b") as handle:
        handle.seek(start)
        handle.write(block)
        try:
            handle.truncate(end)
        except OSError as error:
            raise _unknown(path, f"an end of {end:,} bytes ({error})") from error
    return length


def _block(path: Path) -> tuple[int, bytearray]:
    """Where the first block begins, and its bytes."""
    check_signature(path)
    with path.open("rb") as handle:
        start = 0
        while handle.read(len(SIGNATURE)) != SIGNATURE:
            start = max(512, start * 2)
            handle.seek(start)
        handle.seek(start)
        return start, bytearray(handle.read(96))


def _fields(path: Path, block: bytearray) -> _Fields:
    version = block[8] if len(block) > 8 else None
    if version in (0, 1) and len(block) >= 24:
        width = block[13]
        addresses = 24 if version == 0 else 28
        fields = _Fields(flags=20, end=addresses + 2 * width, width=width, checksum=None)
        needed = addresses + 4 * width
    elif version in (2, 3) and len(block) >= 12:
        width = block[9]
        fields = _Fields(flags=11, end=12 + 2 * width, width=width, checksum=12 + 4 * width)
        needed = 16 + 4 * width
    else:
        raise _unknown(path, f"version {version}, {len(block)} bytes")
    if width not in (2, 4, 8) or len(block) < needed:
        raise _unknown(path, f"addresses of {width} bytes, {len(block)} bytes in all")
    del block[needed:]
    return fields


def _unknown(path: Path, found: str) -> ArchiveError:
    return ArchiveError(
        "the first block of the file is damaged",
        file=path,
        inside="superblock",
        found=found,
        expected="version 0 to 3, with addresses of 2, 4 or 8 bytes, unchanged since it was written",
        mend="restore the file from its source",
    )


def _number(block: bytearray, place: int, width: int) -> int:
    return int.from_bytes(block[place : place + width], "little")


def lookup3(data: bytes | bytearray) -> int:
    """The checksum of HDF5 metadata, 32 bits.

    Source: Bob Jenkins, "lookup3", hashlittle with an initial value of 0, 2006 (public domain).

    >>> hex(lookup3(b"Four score and seven years ago"))
    '0x17770551'
    """
    a = b = c = (0xDEADBEEF + len(data)) & MASK
    if not data:
        return c
    # The last 1 to 12 bytes, filled up with zeros, are mixed in another way than those before.
    last = (len(data) - 1) // 12 * 12
    for place in range(0, last + 12, 12):
        words = [_number(bytearray(data[place : place + 12]), step, 4) for step in (0, 4, 8)]
        a, b, c = ((value + word) & MASK for value, word in zip((a, b, c), words, strict=True))
        a, b, c = _mix(a, b, c) if place < last else _finish(a, b, c)
    return c


def _turn(value: int, bits: int) -> int:
    return (value << bits | value >> (32 - bits)) & MASK


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    for bits in (4, 6, 8, 16, 19, 4):
        a = (a - c & MASK) ^ _turn(c, bits)
        c = c + b & MASK
        a, b, c = b, c, a  # the next step takes them in turn
    return a, b, c


def _finish(a: int, b: int, c: int) -> tuple[int, int, int]:
    for bits in (14, 11, 25, 16, 4, 14, 24):
        c = (c ^ b) - _turn(b, bits) & MASK
        a, b, c = b, c, a
    return c, a, b
