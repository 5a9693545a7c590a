"""Acceleration: from people's movements at 50 Hz to vibration at 50 kHz."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from sensorkd.adapters import SensorAdapter, StreamSpec
from sensorkd.encoding import InputEncoding

if TYPE_CHECKING:
    from sensorkd.distillation.augmentation import Augmentation
    from sensorkd.distillation.pretext import Transform
    from sensorkd.models.encoders import Encoder
    from sensorkd.models.size import ModelSize

__all__ = ["AccelerationAdapter"]


class AccelerationAdapter(SensorAdapter):
    """One to any number of axes, in m/s2; g, mg and mm/s2 are converted.

    Args:
        rotation: degrees (one deviation) of random turn in training, for sensors mounted askew.
        features: `waveform` feeds samples to the encoder; `spectrum` their log power in `bands` bands of
            frequency, which suits vibration whose level varies by orders of magnitude.
        gain: random gain in training, up to so many dB either way: sensors and mountings differ.
    """

    spec = StreamSpec(
        modality="acceleration",
        unit="m/s2",
        sample_shape=(None,),
        # Piezo sensors for shock reach a few thousand g; beyond that it is a broken wire.
        valid_range=(-50_000.0, 50_000.0),
        units={"g": (9.80665, 0.0), "mg": (9.80665e-3, 0.0), "mm/s2": (1e-3, 0.0), "m/s^2": (1.0, 0.0)},
        # Even at rest the last digits of a live sensor move, if it has digits enough.
        stuck_after=1.0,
    )

    def __init__(
        self,
        *,
        rotation: float = 15.0,
        features: Literal["waveform", "spectrum"] = "waveform",
        bands: int = 32,
        gain: float = 0.0,
    ) -> None:
        if not 0 <= rotation <= 180:
            raise ValueError(f"rotation {rotation} must lie in [0, 180] degrees")
        if features not in ("waveform", "spectrum"):
            raise ValueError(f"features {features!r} must be 'waveform' or 'spectrum'")
        if bands < 1 or int(bands) != bands:
            raise ValueError(f"bands {bands} must be a whole number of at least 1")
        if not 0 <= gain <= 60:
            raise ValueError(f"gain {gain} must lie in [0, 60] dB")
        self.rotation = rotation
        self.features = features
        self.bands = int(bands)
        self.gain = gain

    def build_encoder(self, channels: int, encoding: InputEncoding, size: ModelSize) -> Encoder:
        """A 1-D CNN on samples, or on their log spectrum."""
        if self.features == "waveform":
            return super().build_encoder(channels, encoding, size)
        from sensorkd.models.spectrum import SpectrumEncoder

        return SpectrumEncoder(
            channels, size.signal_widths, steps=encoding.steps, bands=self.bands, norm=size.norm
        )

    def pretext(self) -> tuple[Transform, ...]:
        """Identity, time reversal, sign flip, both; for spectra, which show no sign, their mirror."""
        from sensorkd.distillation.pretext import OSCILLATION, SPECTRAL

        return SPECTRAL if self.features == "spectrum" else OSCILLATION

    def augmentations(self, encoding: InputEncoding) -> tuple[Augmentation, ...]:
        """A turn of the sensor, then scale and noise; warped time where windows are whole."""
        from sensorkd.distillation.augmentation import Gain, Noise, Rotation, Scale, TimeWarp

        warp = (TimeWarp(),) if encoding.whole else ()
        size = Gain(self.gain) if self.gain else Scale()
        return (*warp, Rotation(self.rotation), size, Noise())
