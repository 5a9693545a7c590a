"""Fixes one encoding an input for a run, from the recordings it learns from."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sensorkd import timeline
from sensorkd.adapters import SensorAdapter, adapter_for
from sensorkd.encoding import LATENESS, InputEncoding
from sensorkd.errors import SensorkdError, WindowError, nearest
from sensorkd.recordings import Recording, Stream

__all__ = ["InputRequest", "fix_encodings", "stream_conversion"]


@dataclass(frozen=True)
class InputRequest:
    """What a run wants of one stream: `span` ns before each reference, or `steps` of a whole recording.

    options go to the adapter's constructor. A required input must be present in every window. valid_range
    (in the modality's unit) and stuck_after (seconds; 0: never) take the place of the adapter's; full_scale:
    what this sensor can report. lateness: seconds that a device waits for its samples.
    """

    span: int | None = None
    steps: int | None = None
    required: bool = False
    min_coverage: float = 0.8
    options: Mapping[str, Any] = field(default_factory=dict)
    valid_range: tuple[float, float] | None = None
    full_scale: tuple[float, float] | None = None
    stuck_after: float | None = None
    lateness: float = LATENESS


def fix_encodings(
    recordings: Sequence[Recording], requests: Mapping[str, InputRequest]
) -> dict[str, InputEncoding]:
    """One encoding an input: that of the streams as most of the recordings log them.

    Raises:
        WindowError: no recording has such a stream, or their samples differ in shape.
        AdapterError: a modality or unit that no adapter knows.
    """
    return {name: _fix(name, request, recordings) for name, request in requests.items()}


def _fix(name: str, request: InputRequest, recordings: Sequence[Recording]) -> InputEncoding:
    streams = [(recording, recording.streams[name]) for recording in recordings if name in recording.streams]
    if not streams:
        known = sorted({key for recording in recordings for key in recording.streams})
        raise WindowError(
            f"no recording has a stream {name!r}",
            found=f"streams {known}",
            mend=f"{nearest(name, known)}correct `inputs` in the configuration",
        )
    kinds = Counter(_kind(stream) for _, stream in streams)
    usual = kinds.most_common(1)[0][0]
    recording, stream = next(pair for pair in streams if _kind(pair[1]) == usual)
    for other, candidate in streams:
        if (candidate.modality, candidate.sample_shape) != (stream.modality, stream.sample_shape):
            raise WindowError(
                f"streams named {name!r} differ between recordings",
                file=other.path,
                inside=f"{other.group} {name}",
                found=f"{candidate.modality} {candidate.sample_shape}",
                expected=f"{stream.modality} {stream.sample_shape}, as in {recording.id}",
            )
    adapter = adapter_for(stream.modality, request.options)
    scale, offset = stream_conversion(stream, adapter, recording)
    spec = adapter.spec_for(stream.channels)
    rate = statistics.median_low([candidate.rate for _, candidate in streams])  # one that there is
    return InputEncoding(
        modality=stream.modality,
        dtype=stream.dtype.newbyteorder("=").name,
        unit=spec.unit,
        scale=scale,
        offset=offset,
        sample_shape=stream.sample_shape,
        channels=stream.channels,
        steps=_steps(name, request, rate),
        rate=rate,
        span=request.span,
        valid_range=request.valid_range or spec.valid_range,
        resampling=spec.resampling,
        min_coverage=request.min_coverage,
        full_scale=request.full_scale,
        stuck_after=(spec.stuck_after if request.stuck_after is None else request.stuck_after) or None,
        lateness=request.lateness,
    )


def _kind(stream: Stream) -> tuple[object, ...]:
    return (stream.dtype.str, stream.unit, stream.scale, stream.offset, stream.sample_shape)


def _steps(name: str, request: InputRequest, rate: float) -> int:
    if request.span is None:
        if request.steps is None:
            raise WindowError(
                "a whole recording must be resampled to a fixed number of steps",
                inside=f"inputs.{name}",
                expected="steps: N",
            )
        return request.steps
    if request.steps is not None:
        raise WindowError(
            "a span decides the number of samples by the stream's rate",
            inside=f"inputs.{name}",
            found="both span and steps",
            expected="span alone, or steps alone with windows.reference: whole",
        )
    return timeline.steps_in(request.span, rate)


def stream_conversion(stream: Stream, adapter: SensorAdapter, recording: Recording) -> tuple[float, float]:
    """Scale and offset that bring a stream's samples to the unit of its modality.

    Raises:
        WindowError: its unit or the shape of its samples is not one that the adapter takes.
    """
    spec = adapter.spec_for(stream.channels)
    place = {"file": recording.path, "inside": f"{recording.group} {stream.name}"}
    if not spec.fits(stream.sample_shape):
        raise WindowError(
            f"samples do not have the shape of modality {stream.modality!r}",
            found=stream.sample_shape,
            expected=spec.sample_shape,
            mend="correct `axes` or `modality` in the layout",
            **place,
        )
    try:
        factor, shift = spec.conversion(stream.unit)
    except SensorkdError as error:
        raise WindowError(error.problem, expected=error.expected, mend=error.mend, **place) from error
    return stream.scale * factor, stream.offset * factor + shift
