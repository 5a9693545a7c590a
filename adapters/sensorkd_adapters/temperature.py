"""Temperature: slow, one channel or several, in degrees Celsius."""

from __future__ import annotations

from sensorkd.adapters import SensorAdapter, StreamSpec

__all__ = ["TemperatureAdapter"]


class TemperatureAdapter(SensorAdapter):
    """Contact or air temperature; kelvin and Fahrenheit are converted."""

    spec = StreamSpec(
        modality="temperature",
        unit="degC",
        sample_shape=(None,),
        # Below is colder than any plant; above is what broken thermocouples report (1254 degC is common).
        valid_range=(-90.0, 1000.0),
        units={
            "K": (1.0, -273.15),
            "degF": (5 / 9, -160 / 9),
            "C": (1.0, 0.0),
            "°C": (1.0, 0.0),
        },
        # A thermometer that reports whole degrees may well say the same for many minutes.
        stuck_after=3600.0,
    )
