"""One decoded frame as an array: upright, cut, scaled."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sensorkd.errors import ArchiveError
from sensorkd_adapters.importers.video_mapping import Crop, FrameOptions

if TYPE_CHECKING:
    from av import VideoFrame

__all__ = ["picture_of"]

Picture = NDArray[np.uint8]


def picture_of(frame: VideoFrame, options: FrameOptions, *, file: Path) -> Picture:
    """The frame as (H, W, C) uint8, turned as its display matrix says.

    Raises:
        ArchiveError: the crop reaches beyond the picture.
    """
    pixels = "gray" if options.color == "gray" else "rgb24"
    turns = frame.rotation // 90 % 4 if frame.rotation % 90 == 0 else 0
    if options.crop is None and options.size is not None:
        # Scaled before anything is converted: an eighth of the work on large frames.
        height, width = options.size if turns % 2 == 0 else options.size[::-1]
        return _upright(_scaled(frame, height, width, pixels), turns)
    picture = _upright(_array(frame.to_ndarray(format=pixels)), turns)
    if options.crop is not None:
        picture = _cut(picture, options.crop, file)
    if options.size is None:
        return picture
    squeezed = np.ascontiguousarray(picture[..., 0] if pixels == "gray" else picture)
    return _scaled(type(frame).from_ndarray(squeezed, format=pixels), *options.size, pixels)


def _scaled(frame: VideoFrame, height: int, width: int, pixels: str) -> Picture:
    # Every pixel counts where a frame shrinks: others alias, and what flickers looks like motion.
    scaled = frame.reformat(width=width, height=height, format=pixels, interpolation="AREA")
    return _array(scaled.to_ndarray())


def _array(array: NDArray[Any]) -> Picture:
    return array if array.ndim == 3 else array[..., None]


def _upright(picture: Picture, turns: int) -> Picture:
    """Turned counterclockwise by so many quarters."""
    return np.rot90(picture, turns) if turns else picture


def _cut(picture: Picture, crop: Crop, file: Path) -> Picture:
    height, width = picture.shape[:2]
    bottom, right = crop.top + crop.height, crop.left + crop.width
    if bottom > height or right > width:
        raise ArchiveError(
            "the crop reaches beyond the picture",
            file=file,
            inside="frames.crop",
            found=f"rows up to {bottom}, columns up to {right}",
            expected=f"within {height} rows and {width} columns",
            mend="correct the crop in the mapping; it counts in pixels of the upright picture",
        )
    return picture[crop.top : bottom, crop.left : right]
