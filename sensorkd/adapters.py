"""What an integrator writes for a new sensor type, and how the installed ones are found.

torch is imported inside the build methods only, so that archives can be read without it.
"""

from __future__ import annotations

import functools
from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, ClassVar

from sensorkd.encoding import InputEncoding
from sensorkd.errors import AdapterError, nearest
from sensorkd.plugins import load_plugin
from sensorkd.timeline import Resampling

if TYPE_CHECKING:
    from sensorkd.distillation.augmentation import Augmentation
    from sensorkd.distillation.pretext import Transform
    from sensorkd.models.encoders import Encoder
    from sensorkd.models.frontend import ChannelStats, Frontend
    from sensorkd.models.size import ModelSize

__all__ = ["SensorAdapter", "StreamSpec", "adapter_for", "installed_adapters"]

GROUP = "sensorkd.adapters"


@dataclass(frozen=True)
class StreamSpec:
    """What streams of a modality look like.

    unit: the one models see. sample_shape: (C,) or (H, W, C); None where any size will do.
    valid_range: physical limits in `unit`; what lies outside is repaired and counts against presence.
    units: other units that are accepted: value * factor + shift gives `unit`.
    resampling: how samples are taken between the logged ones. stuck_after: seconds of one and the same value
    (or frame) after which the sensor is taken for dead; None where that is normal, as for a flow of nought.
    """

    modality: str
    unit: str
    sample_shape: tuple[int | None, ...]
    valid_range: tuple[float, float]
    units: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    resampling: Resampling = "linear"
    stuck_after: float | None = None

    def conversion(self, unit: str) -> tuple[float, float]:
        """(factor, shift) from a stream's unit to this one.

        Raises:
            AdapterError: the unit is not known.
        """
        known = {self.unit: (1.0, 0.0), **self.units}
        if unit not in known:
            raise AdapterError(
                f"unit {unit!r} is not one of modality {self.modality!r}",
                expected=f"one of {sorted(known)}",
                mend=f"{nearest(unit, known)}correct the unit in the file or layout, "
                "or add it to the adapter's `units`",
            )
        return known[unit]

    def fits(self, sample_shape: tuple[int, ...]) -> bool:
        """Whether samples of this shape are such streams."""
        return len(sample_shape) == len(self.sample_shape) and all(
            want is None or want == have for want, have in zip(self.sample_shape, sample_shape, strict=True)
        )


class SensorAdapter(ABC):
    """A modality: its streams, and how a model takes them in. Everything but `spec` has a default.

    Options of a modality are keyword arguments of the constructor; a run's configuration gives them.
    Instances hold plain values only and can be pickled.
    """

    spec: ClassVar[StreamSpec]

    def spec_for(self, channels: tuple[str, ...]) -> StreamSpec:
        """The spec for streams with these channel names; one modality may cover several kinds."""
        return self.spec

    def build_frontend(self, encoding: InputEncoding, stats: ChannelStats) -> Frontend:
        """Native samples to normalised floats, in the graph. Default: repair and standardise."""
        from sensorkd.models.frontend import SignalFrontend

        return SignalFrontend(encoding, stats)

    def build_encoder(self, channels: int, encoding: InputEncoding, size: ModelSize) -> Encoder:
        """One feature map a stage, from what the frontend gives. Default: a 1-D CNN."""
        from sensorkd.models.encoders import SignalEncoder

        return SignalEncoder(channels, size.signal_widths, steps=encoding.steps, norm=size.norm)

    def pretext(self) -> tuple[Transform, ...]:
        """t_1 (identity) .. t_M. Default: a family for slow signals."""
        from sensorkd.distillation.pretext import FLUCTUATION

        return FLUCTUATION

    def augmentations(self, encoding: InputEncoding) -> tuple[Augmentation, ...]:
        """What keeps the class. Default: a little noise, scale and shift; warped time in whole windows."""
        from sensorkd.distillation.augmentation import Noise, OffsetShift, Scale, TimeWarp

        # Warping moves frequencies. In a whole trial that is how people and cycles vary; in a span of
        # vibration the frequency is the finding.
        warp = (TimeWarp(),) if encoding.whole else ()
        return (*warp, Scale(), OffsetShift(), Noise())


@functools.cache
def installed_adapters() -> dict[str, EntryPoint]:
    """Modality -> entry point of every installed adapter, by name; nothing is imported yet."""
    return {point.name: point for point in sorted(entry_points(group=GROUP), key=lambda point: point.name)}


def adapter_for(modality: str, options: Mapping[str, Any] | None = None) -> SensorAdapter:
    """The adapter of a modality, built with its options.

    Raises:
        AdapterError: none is installed, it cannot be imported, or it does not take the options.
    """
    adapter = load_plugin(
        modality,
        installed_adapters(),
        options,
        base=SensorAdapter,
        noun="adapter",
        told="adapter of modality",
        mend_options="correct inputs.<name>.options in the configuration",
        error=AdapterError,
    )
    if adapter.spec.modality != modality:
        raise AdapterError(
            "an adapter is registered under another name than its modality",
            file=installed_adapters()[modality].value,
            found=f"entry point {modality!r}, spec.modality {adapter.spec.modality!r}",
            expected="the same name",
        )
    return adapter
