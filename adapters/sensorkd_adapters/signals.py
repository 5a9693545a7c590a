"""Plain signals: each is a spec and nothing more, which is all that most sensors need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sensorkd.adapters import SensorAdapter, StreamSpec

if TYPE_CHECKING:
    from sensorkd.distillation.pretext import Transform

__all__ = ["FlowAdapter", "GyroscopeAdapter", "PressureAdapter"]


class GyroscopeAdapter(SensorAdapter):
    """Angular rate, in degrees per second."""

    spec = StreamSpec(
        modality="gyroscope",
        unit="deg/s",
        sample_shape=(None,),
        valid_range=(-20_000.0, 20_000.0),
        units={"rad/s": (57.29577951308232, 0.0), "mdeg/s": (1e-3, 0.0)},
    )

    def pretext(self) -> tuple[Transform, ...]:
        """Identity, time reversal, sign flip, both: a turn has a sign, as an acceleration has."""
        from sensorkd.distillation.pretext import OSCILLATION

        return OSCILLATION


class FlowAdapter(SensorAdapter):
    """Volume flow, in litres per minute."""

    spec = StreamSpec(
        modality="flow",
        unit="l/min",
        sample_shape=(None,),
        valid_range=(-1e6, 1e6),
        units={"m3/h": (1000 / 60, 0.0), "l/s": (60.0, 0.0), "m3/s": (60_000.0, 0.0)},
    )


class PressureAdapter(SensorAdapter):
    """Pressure, in bar."""

    spec = StreamSpec(
        modality="pressure",
        unit="bar",
        sample_shape=(None,),
        valid_range=(-1.1, 10_000.0),
        units={
            "Pa": (1e-5, 0.0),
            "kPa": (1e-2, 0.0),
            "MPa": (10.0, 0.0),
            "mbar": (1e-3, 0.0),
            "hPa": (1e-3, 0.0),
        },
    )
