"""How large a student is."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from sensorkd.errors import ConfigError, nearest

__all__ = ["NARROWEST", "SIZES", "WIDEST", "Depth", "ModelSize", "Norm", "size_named"]

# The norm of encoders and auxiliaries; see `norms`.
Norm = Literal["batch", "group"]
# How much stands between a stage of a modality and what judges it in training; see `auxiliary`.
Depth = Literal["full", "light"]

# Widths are multiples of it, as the kernels of processors like them.
STEP = 4
NARROWEST, WIDEST = 0.25, 8.0


@dataclass(frozen=True)
class ModelSize:
    """Widths of a student's parts.

    signal_widths, video_widths: channels after each stage of an encoder; their number is the number
    of stages S, of the encoders and of the fusion. embedding: E. time_bins, space_bins: into how many
    parts of the window, and of a frame's height and width, a feature map is pooled. norm: of the encoders.
    """

    name: str
    signal_widths: tuple[int, ...]
    video_widths: tuple[int, ...]
    embedding: int
    time_bins: int = 4
    space_bins: int = 2
    dropout: float = 0.3
    norm: Norm = "batch"

    @property
    def stages(self) -> int:
        """S."""
        return len(self.signal_widths)

    def widened(self, width: float) -> ModelSize:
        """The same with all widths and the embedding times `width`, in multiples of 4; multiply-accumulates
        grow a little less than with its square.

        >>> SIZES["tiny"].widened(1.5).signal_widths
        (36, 72, 96)

        Raises:
            ConfigError: width is not within 0.25 and 8.
        """
        if not NARROWEST <= width <= WIDEST:
            raise ConfigError(
                "a student cannot be that wide",
                found=f"width {width}",
                expected=f"{NARROWEST} to {WIDEST:g}",
                mend="take another `model.size`",
            )
        if width == 1:
            return self

        def wide(channels: int) -> int:
            return max(STEP, round(channels * width / STEP) * STEP)

        return dataclasses.replace(
            self,
            signal_widths=tuple(map(wide, self.signal_widths)),
            video_widths=tuple(map(wide, self.video_widths)),
            embedding=wide(self.embedding),
        )


SIZES = {
    "tiny": ModelSize("tiny", (24, 48, 64), (16, 24, 40), embedding=64),
    "small": ModelSize("small", (32, 64, 96), (24, 48, 72), embedding=96),
}


def size_named(name: str) -> ModelSize:
    """Look a size up.

    Raises:
        ConfigError: no size of that name.
    """
    if name not in SIZES:
        raise ConfigError(
            f"no model size {name!r}", expected=f"one of {sorted(SIZES)}", mend=nearest(name, SIZES) or None
        )
    return SIZES[name]
