"""Acceleration: from people's movements at 50 Hz to vibration at 50 kHz."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sensorkd.adapters import SensorAdapter, StreamSpec
from sensorkd.encoding import InputEncoding

if TYPE_CHECKING:
    from sensorkd.distillation.augmentation import Augmentation
    from sensorkd.distillation.pretext import Transform

__all__ = ["AccelerationAdapter"]


class AccelerationAdapter(SensorAdapter):
    """One to any number of axes, in m/s2; g, mg and mm/s2 are converted.

    Args:
        rotation: degrees (one deviation) of random turn in training, for sensors mounted askew.
    """

    spec = StreamSpec(
        modality="acceleration",
        unit="m/s2",
        sample_shape=(None,),
        # Piezo sensors for shock reach a few thousand g; beyond that it is a broken wire.
        valid_range=(-50_000.0, 50_000.0),
        units={"g": (9.80665, 0.0), "mg": (9.80665e-3, 0.0), "mm/s2": (1e-3, 0.0), "m/s^2": (1.0, 0.0)},
    )

    def __init__(self, *, rotation: float = 15.0) -> None:
        if not 0 <= rotation <= 180:
            raise ValueError(f"rotation {rotation} must lie in [0, 180] degrees")
        self.rotation = rotation

    def pretext(self) -> tuple[Transform, ...]:
        """Identity, time reversal, sign flip, both."""
        from sensorkd.distillation.pretext import OSCILLATION

        return OSCILLATION

    def augmentations(self, encoding: InputEncoding) -> tuple[Augmentation, ...]:
        """A turn of the sensor, then scale and noise; warped time where windows are whole."""
        from sensorkd.distillation.augmentation import Noise, Rotation, Scale, TimeWarp

        warp = (TimeWarp(),) if encoding.whole else ()
        return (*warp, Rotation(self.rotation), Scale(), Noise())
