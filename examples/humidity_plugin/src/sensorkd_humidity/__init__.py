"""Relative humidity, logged about once per second, in percent."""

from __future__ import annotations

from sensorkd.adapters import SensorAdapter, StreamSpec

__all__ = ["HumidityAdapter"]


class HumidityAdapter(SensorAdapter):
    """The spec is all that such a slow signal needs; frontend, encoder and transforms are the defaults."""

    spec = StreamSpec(
        modality="humidity",
        unit="%",
        sample_shape=(1,),
        # Sensors overshoot a little at saturation.
        valid_range=(-2.0, 105.0),
        units={"1": (100.0, 0.0)},
    )
