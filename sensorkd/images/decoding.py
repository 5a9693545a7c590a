"""One encoded image to colours in memory, guarded: no bomb, no other size, no other format.

Pillow decodes. Only PNG and JPEG are let in: its other decoders are more code to trust than images need.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from sensorkd.errors import ArchiveError, MissingExtraError

try:
    from PIL import Image
except ImportError as error:
    raise MissingExtraError(
        "images are decoded by Pillow, which is not installed", mend="pip install 'sensorkd[images]'"
    ) from error

__all__ = ["decode_image"]

FORMATS = ("PNG", "JPEG")
# About 8,000 x 8,000: more than the photographs of the known data sets have, and 200 MB in memory.
MOST_PIXELS = 1 << 26
# What Pillow raises on damage, whichever decoder meets it first.
DAMAGE = (OSError, ValueError, SyntaxError, TypeError, LookupError, ArithmeticError, EOFError, MemoryError)


def decode_image(encoded: bytes, *, side: int, fit: bool, file: object, inside: object) -> NDArray[np.uint8]:
    """PNG or JPEG bytes to colours (side, side, 3) from 0 to 255; grey and transparent ones become RGB.

    Args:
        fit: bring the shorter side to `side` and take the middle, as ImageNet is tested; otherwise an image
            of another size is refused.
        file, inside: what an error names.

    Raises:
        ArchiveError: it is no PNG or JPEG, cut short, damaged, of another size, or a bomb.
    """
    if not encoded:
        raise ArchiveError("an image is empty", file=file, inside=inside, found="0 bytes")
    try:
        with Image.open(io.BytesIO(encoded), formats=FORMATS) as image:
            _check_size(image.size, side=side, fit=fit, file=file, inside=inside)
            colours = _eight_bits(image).convert("RGB")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        # Where warnings are errors, Pillow's own comes before the limit here, which is lower.
        raise _bomb(str(error), file, inside) from error
    except DAMAGE as error:
        raise ArchiveError(
            "an image cannot be decoded",
            file=file,
            inside=inside,
            found=error,
            expected=f"a whole {' or '.join(FORMATS)} image",
            mend="restore it from its source, or leave it out",
        ) from error
    return np.asarray(_middle_of(colours, side) if fit else colours, np.uint8)


def _check_size(size: tuple[int, int], *, side: int, fit: bool, file: object, inside: object) -> None:
    """Before a pixel is decoded: width and height as the image's head declares them."""
    width, height = size
    if width * height > MOST_PIXELS:
        raise _bomb(f"{width} x {height} pixels", file, inside)
    if not fit and size != (side, side):
        raise ArchiveError(
            "an image has another size than the others",
            file=file,
            inside=inside,
            found=f"{width} x {height} pixels",
            expected=f"{side} x {side}",
            mend="leave it out, or bring all images to one size with `fit: true`",
        )


def _bomb(found: str, file: object, inside: object) -> ArchiveError:
    return ArchiveError(
        "an image declares more pixels than is safe to decode",
        file=file,
        inside=inside,
        found=found,
        expected=f"at most {MOST_PIXELS:,} pixels",
        mend="shrink it, or leave it out",
    )


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of sixteen bits brought to 0 to 255; Pillow would leave white what is above 255."""
    if image.mode != "I" and not image.mode.startswith("I;16"):
        return image
    return Image.fromarray(np.round(np.asarray(image, np.float64) / 257).astype(np.uint8))


def _middle_of(image: Image.Image, side: int) -> Image.Image:
    """Shorter side to `side`, bilinear with antialiasing, then the middle.

    The square in the middle is cut out first: a strip of one pixel would grow beyond all memory.
    """
    width, height = image.size
    short = min(width, height)
    left, top = (width - short) / 2, (height - short) / 2
    return image.resize((side, side), Image.Resampling.BILINEAR, box=(left, top, left + short, top + short))
