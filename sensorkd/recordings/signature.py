"""Says what a file is when it is not HDF5, before the HDF5 library sees it."""

from __future__ import annotations

from pathlib import Path

from sensorkd.errors import ArchiveError

__all__ = ["SIGNATURE", "check_signature"]

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


def check_signature(path: Path) -> int:
    """Refuse what is not an HDF5 file, by name of what it is; give the place of the signature.

    Raises:
        ArchiveError: the file is missing, empty, not permitted to be read, or of another format.
    """
    if not path.is_file():
        what = "a folder" if path.is_dir() else "nothing"
        raise ArchiveError("no such file", file=path, found=what, expected="a file", mend="correct the path")
    try:
        with path.open("rb") as handle:
            head = handle.read(512)
            offset = 0
            block = head[: len(SIGNATURE)]
            while len(block) == len(SIGNATURE) and block != SIGNATURE:
                # The format allows a user block: the signature may also lie at 512, 1024, 2048 ...
                offset = max(512, offset * 2)
                handle.seek(offset)
                block = handle.read(len(SIGNATURE))
    except OSError as error:
        raise ArchiveError(
            "the file cannot be read", file=path, found=error, mend="check its permissions and its disk"
        ) from error
    if not head:
        raise ArchiveError(
            "the file is empty: the logger likely died before its first flush",
            file=path,
            found="0 bytes",
            expected="an HDF5 file",
            mend="remove it, or copy it again from the logger",
        )
    if block != SIGNATURE:
        raise ArchiveError(
            "not an HDF5 file",
            file=path,
            found=_format_of(head),
            expected="an HDF5 file",
            mend="name HDF5 archives only; convert other formats first",
        )
    return offset


def _format_of(head: bytes) -> str:
    for magic, name in OTHER_FORMATS.items():
        if head.startswith(magic):
            return name
    if SIGNATURE.startswith(head):
        return f"{len(head)} bytes: an HDF5 file cut short"
    if head[4:8] == b"ftyp":
        return "an MP4 video"
    if b"\0" in head:
        return "unknown binary data"
    try:
        # A character of several bytes may be cut by the end of the block.
        text = head.decode("utf-8", errors="strict" if len(head) < 512 else "ignore")
    except UnicodeDecodeError:
        return "unknown binary data"
    return "comma-separated text" if "," in text or ";" in text else "plain text"
