"""Video: colour, grey, depth and thermal frames, told apart by the names of their channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from sensorkd.adapters import SensorAdapter, StreamSpec
from sensorkd.encoding import InputEncoding

if TYPE_CHECKING:
    from sensorkd.distillation.augmentation import Augmentation
    from sensorkd.distillation.pretext import Transform
    from sensorkd.models.encoders import Encoder
    from sensorkd.models.frontend import ChannelStats, Frontend
    from sensorkd.models.size import ModelSize

__all__ = ["VideoAdapter"]

ANY_SIZE = (None, None, None)
# Seconds of one and the same frame. A live sensor has noise; a codec may hide it until its next whole frame.
FROZEN_AFTER = 10.0
COLOUR = StreamSpec(
    modality="video",
    unit="1",
    sample_shape=ANY_SIZE,
    valid_range=(-1e-6, 1 + 1e-6),
    units={"8bit": (1 / 255, 0.0), "16bit": (1 / 65535, 0.0)},
    resampling="nearest",
    stuck_after=FROZEN_AFTER,
)
DEPTH = StreamSpec(
    modality="video",
    unit="mm",
    sample_shape=(None, None, 1),
    # 0, how depth cameras say "nothing seen", is no fault; the frontend takes it for background.
    valid_range=(0.0, 20_000.0),
    units={"m": (1000.0, 0.0), "cm": (10.0, 0.0)},
    resampling="nearest",
    # A depth camera that sees nothing says 0 everywhere, for as long as there is nothing.
    stuck_after=None,
)
THERMAL = StreamSpec(
    modality="video",
    unit="degC",
    sample_shape=(None, None, 1),
    valid_range=(-60.0, 2000.0),
    units={"K": (1.0, -273.15), "°C": (1.0, 0.0)},
    resampling="nearest",
    stuck_after=FROZEN_AFTER,
)


class VideoAdapter(SensorAdapter):
    """Frames (H, W, C). A channel named `depth` or `temperature` makes them depth or thermal frames.

    Args:
        pool: average over pool x pool pixels before the encoder.
        reach: mm of depth, before and behind the foreground's mean, that count as one.
        pretext: `flips` for any frame, `rotations` by quarter turns for square ones.
    """

    spec = COLOUR

    def __init__(
        self, *, pool: int = 1, reach: float = 300.0, pretext: Literal["flips", "rotations"] = "flips"
    ) -> None:
        if pool < 1 or int(pool) != pool:
            raise ValueError(f"pool {pool} must be a whole number of at least 1")
        if not reach > 0:
            raise ValueError(f"reach {reach} must be above 0 mm")
        if pretext not in ("flips", "rotations"):
            raise ValueError(f"pretext {pretext!r} must be 'flips' or 'rotations'")
        self.pool = int(pool)
        self.reach = float(reach)
        self.family = pretext

    def spec_for(self, channels: tuple[str, ...]) -> StreamSpec:
        """Depth, thermal or colour."""
        if channels == ("depth",):
            return DEPTH
        return THERMAL if channels == ("temperature",) else COLOUR

    def build_frontend(self, encoding: InputEncoding, stats: ChannelStats) -> Frontend:
        """Depth becomes mask and centred depth; colour and thermal are standardised."""
        from sensorkd.models.frontend import DepthFrontend, ImageFrontend

        if encoding.channels == ("depth",):
            return DepthFrontend(encoding, pool=self.pool, reach=self.reach)
        return ImageFrontend(encoding, stats, pool=self.pool)

    def build_encoder(self, channels: int, encoding: InputEncoding, size: ModelSize) -> Encoder:
        """2-D convolutions on frames, 1-D ones along time."""
        from sensorkd.models.encoders import VideoEncoder

        return VideoEncoder(channels, size.video_widths, steps=encoding.steps, norm=size.norm)

    def pretext(self) -> tuple[Transform, ...]:
        """Flips, or quarter turns."""
        from sensorkd.distillation.pretext import FLIPS, ROTATIONS

        return ROTATIONS if self.family == "rotations" else FLIPS

    def augmentations(self, encoding: InputEncoding) -> tuple[Augmentation, ...]:
        """The camera moves a little; warped time where windows are whole."""
        from sensorkd.distillation.augmentation import FrameShift, Noise, Scale, TimeWarp

        warp = (TimeWarp(),) if encoding.whole else ()
        return (*warp, FrameShift(), Scale(), Noise())
