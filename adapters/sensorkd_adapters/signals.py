"""Plain signals: each is a spec and nothing more, which is all that most sensors need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sensorkd.adapters import SensorAdapter, StreamSpec

if TYPE_CHECKING:
    from sensorkd.distillation.pretext import Transform

__all__ = [
    "CurrentAdapter",
    "FlowAdapter",
    "GyroscopeAdapter",
    "PowerAdapter",
    "PressureAdapter",
    "VibrationAdapter",
    "VoltageAdapter",
]


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


class VibrationAdapter(SensorAdapter):
    """Vibration velocity, in millimetres per second: the severity of ISO 20816, or the velocity itself."""

    spec = StreamSpec(
        modality="vibration",
        unit="mm/s",
        sample_shape=(None,),
        # ISO 20816 ends where machines should be stopped, at some 20; what shakes at 1000 comes apart.
        valid_range=(-1000.0, 1000.0),
        units={"m/s": (1000.0, 0.0), "cm/s": (10.0, 0.0), "in/s": (25.4, 0.0)},
    )


class CurrentAdapter(SensorAdapter):
    """Electric current, in amperes."""

    spec = StreamSpec(
        modality="current",
        unit="A",
        sample_shape=(None,),
        valid_range=(-1e6, 1e6),  # smelters take some 500 kA
        units={"mA": (1e-3, 0.0), "kA": (1e3, 0.0)},
    )


class VoltageAdapter(SensorAdapter):
    """Voltage, in volts."""

    spec = StreamSpec(
        modality="voltage",
        unit="V",
        sample_shape=(None,),
        valid_range=(-2e6, 2e6),  # the highest lines carry 1.1 MV
        units={"mV": (1e-3, 0.0), "kV": (1e3, 0.0)},
    )


class PowerAdapter(SensorAdapter):
    """Electric or mechanical power, in watts."""

    spec = StreamSpec(
        modality="power",
        unit="W",
        sample_shape=(None,),
        valid_range=(-1e10, 1e10),  # the largest generators give some 2 GW
        units={"mW": (1e-3, 0.0), "kW": (1e3, 0.0), "MW": (1e6, 0.0)},
    )
