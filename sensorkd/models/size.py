"""How large a student is."""

from __future__ import annotations

from dataclasses import dataclass

from sensorkd.errors import ConfigError, nearest

__all__ = ["SIZES", "ModelSize"]


@dataclass(frozen=True)
class ModelSize:
    """Widths of a student's parts.

    signal_widths, video_widths: channels after each stage of an encoder; their number is the number
    of stages S, of the encoders and of the fusion. embedding: E. time_bins, space_bins: into how many
    parts of the window, and of a frame's height and width, a feature map is pooled.
    """

    name: str
    signal_widths: tuple[int, ...]
    video_widths: tuple[int, ...]
    embedding: int
    time_bins: int = 4
    space_bins: int = 2
    dropout: float = 0.3

    @property
    def stages(self) -> int:
        """S."""
        return len(self.signal_widths)


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
