"""Checks of what a stream says it is: its modality, unit and shape, against the adapters installed."""

from __future__ import annotations

from collections.abc import Iterator

from sensorkd.adapters import StreamSpec, adapter_for
from sensorkd.checks.finding import Check, Finding, Place
from sensorkd.errors import SensorkdError
from sensorkd.recordings import Recording, Stream

__all__ = ["CHECKS", "check_sensors", "conversion_of", "spec_of"]

UNKNOWN_MODALITY = Check(
    id="unknown-modality",
    importance="warning",
    title="no adapter is installed for this modality",
    reason="Only an adapter knows a sensor's valid range, its unit and how to encode it: without one, no "
    "model can take the stream in, and its samples cannot be judged.",
    cure="install the package with its adapter, or correct the modality in the file or layout",
)
UNKNOWN_UNIT = Check(
    id="unknown-unit",
    importance="critical",
    title="the unit is not one of the modality",
    reason="Samples of two units learned as one make a model that confuses the logger with the machine.",
    cure="correct the unit in the file or layout, or add it to the adapter's units",
)
WRONG_SHAPE = Check(
    id="wrong-shape",
    importance="critical",
    title="samples do not have the shape of the modality",
    reason="An encoder for signals cannot read frames, nor one for a single channel several.",
    cure="correct the axes or the modality in the file or layout",
)
CHECKS = (UNKNOWN_MODALITY, UNKNOWN_UNIT, WRONG_SHAPE)


def check_sensors(recording: Recording) -> Iterator[Finding]:
    """Findings of all streams of a recording, from their metadata."""
    for name, stream in recording.streams.items():
        place = Place.of(recording, name)
        try:
            spec = adapter_for(stream.modality).spec_for(stream.channels)
        except SensorkdError as error:
            yield UNKNOWN_MODALITY.at(
                place,
                found=f"{stream.modality!r}: {error.problem}",
                expected=error.expected or "an adapter that can be used",
                cure=error.mend,
            )
            continue
        if not spec.fits(stream.sample_shape):
            yield WRONG_SHAPE.at(
                place,
                found=_shape(stream.sample_shape),
                expected=f"{_shape(spec.sample_shape)}, for {stream.modality}",
            )
        try:
            spec.conversion(stream.unit)
        except SensorkdError as error:
            found, expected = f"{stream.unit!r} for {stream.modality}", error.expected or spec.unit
            yield UNKNOWN_UNIT.at(place, found=found, expected=expected, cure=error.mend)


def spec_of(stream: Stream) -> StreamSpec | None:
    """What the adapter of a stream says of it; None without an adapter."""
    try:
        return adapter_for(stream.modality).spec_for(stream.channels)
    except SensorkdError:
        return None


def conversion_of(stream: Stream, spec: StreamSpec | None) -> tuple[float, float] | None:
    """(scale, offset) from samples to the unit of the spec; None where the unit is not known."""
    try:
        factor, shift = spec.conversion(stream.unit) if spec else (1.0, 0.0)
    except SensorkdError:
        return None
    return stream.scale * factor, stream.offset * factor + shift


def _shape(shape: tuple[int | None, ...]) -> str:
    sizes = ", ".join("any" if size is None else str(size) for size in shape)
    return f"({sizes}{',' if len(shape) == 1 else ''})"
