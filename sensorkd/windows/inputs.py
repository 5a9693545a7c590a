"""The samples of one input of one window, at the stream's own rate and in the run's encoding."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd import timeline
from sensorkd.adapters import SensorAdapter, adapter_for
from sensorkd.encoding import InputEncoding
from sensorkd.errors import WindowError
from sensorkd.quality import holds_still
from sensorkd.recordings import Recording, Stream
from sensorkd.timeline import Resampling
from sensorkd.windows.encode import stream_conversion
from sensorkd.windows.plan import locate, whole_coverage

__all__ = ["read_samples", "stuck_for_long"]

# From so many samples a wanted one on, only those needed are read, one by one.
SPARSE = 16


def stuck_for_long(stream: Stream, t_ref: int, encoding: InputEncoding, window: NDArray[Any]) -> bool:
    """Whether a sensor has said one and the same for so long that it is dead, longer than the window.

    Only samples before `t_ref` are looked at, over gaps too, for a dead sensor does not heal in one; and
    only where the window gives cause.
    """
    run = encoding.stuck_run
    if run is None or run <= encoding.steps or not holds_still(window):
        return False
    row, segments, parts = locate(stream, t_ref), stream.segments, list[NDArray[Any]]()
    logged = timeline.first_index_at(segments.t0[row], segments.rate[row], t_ref)
    end, needed = min(int(logged), int(segments.count[row])), run
    while needed and row >= 0:
        first, taken = int(segments.offset[row]), min(needed, end)
        parts.append(stream.read(first + end - taken, first + end))
        if not holds_still(parts[-1]):
            return False
        needed, row = needed - taken, row - 1
        end = int(segments.count[row])
    return not needed and holds_still(np.concatenate(parts))


def read_samples(
    recording: Recording, stream: Stream, t_ref: int, encoding: InputEncoding
) -> tuple[NDArray[Any], float]:
    """Samples (steps, *sample_shape) of one input as the encoding holds them, and the share that was logged.

    Raises:
        ArchiveError: they cannot be read.
        WindowError: they are not what the encoding can hold.
    """
    positions, coverage = (
        _whole_positions(recording, stream, encoding)
        if encoding.whole
        else _span_positions(stream, t_ref, encoding)
    )
    if coverage == 0.0:
        return encoding.blank(), 0.0
    scale, offset = stream_conversion(stream, _adapter(stream.modality), recording)
    window = _samples_at(stream, positions, encoding.resampling)
    if window.shape != encoding.shape:
        raise WindowError(
            "samples have another shape than the run's",
            file=recording.path,
            inside=f"{recording.group} {stream.name}",
            found=window.shape,
            expected=encoding.shape,
            mend="leave this recording out, or train on recordings that agree",
        )
    return encoding.encode(window, scale=scale, offset=offset), coverage


def _samples_at(stream: Stream, positions: NDArray[np.float64], method: Resampling) -> NDArray[Any]:
    low = np.floor(positions)
    first, last = int(low.min()), int(np.ceil(positions.max()))
    if last - first < SPARSE * len(positions):
        return timeline.resample(stream.read(first, last + 1), positions - first, method)
    # A long recording in few steps: an hour of video is not read for sixteen frames.
    needed = np.unique(np.concatenate([low, np.ceil(positions)])).astype(np.int64)
    samples = np.concatenate([stream.read(index, index + 1) for index in needed.tolist()])
    return timeline.resample(samples, np.searchsorted(needed, low) + (positions - low), method)


def _adapter(modality: str) -> SensorAdapter:
    # Units and shapes do not depend on an adapter's options.
    return adapter_for(modality)


def _span_positions(stream: Stream, t_ref: int, encoding: InputEncoding) -> tuple[NDArray[np.float64], float]:
    """Positions in the stream's array within the one segment that reaches t_ref: no gap is crossed."""
    row = locate(stream, t_ref)
    if row < 0:
        return np.zeros(encoding.steps), 0.0
    segments = stream.segments
    positions, coverage = encoding.positions(
        t0=int(segments.t0[row]),
        rate=float(segments.rate[row]),
        count=int(segments.count[row]),
        start=t_ref - (encoding.span or 0),
        stop=t_ref,
    )
    return positions + float(segments.offset[row]), coverage


def _whole_positions(
    recording: Recording, stream: Stream, encoding: InputEncoding
) -> tuple[NDArray[np.float64], float]:
    """Positions of equal slices of the recording, and the share of it that was logged."""
    positions = encoding.whole_positions(stream.segments, start=recording.start, stop=recording.end)
    return positions, whole_coverage(recording, stream)
