"""Reads windows: every stream at its own rate, in the run's encoding, with a presence flag an input."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sensorkd import timeline
from sensorkd.adapters import SensorAdapter, adapter_for
from sensorkd.encoding import InputEncoding
from sensorkd.errors import WindowError
from sensorkd.quality import FAULTS, holds_still
from sensorkd.recordings import Recording, Stream
from sensorkd.timeline import Resampling
from sensorkd.windows.encode import stream_conversion
from sensorkd.windows.plan import WindowPlan, locate, whole_coverage

__all__ = ["Window", "WindowArrays", "read_window", "read_windows"]

Arrays = dict[str, NDArray[Any]]
# From so many samples a wanted one on, only those needed are read, one by one.
SPARSE = 16


@dataclass(frozen=True)
class WindowArrays:
    """W windows in memory, as the device would see them.

    inputs: name -> (W, steps, *sample_shape) in the encoding's dtype. presence: (W, K) float32 of 0 and
    1, in the order of `inputs`. coverage: (W, K) share of each span that was logged. faults: (W, K, F)
    shares of the samples with each of quality.FAULTS. id, t_ref: as in the plan. recording: (W,) ids.
    """

    inputs: Arrays
    presence: NDArray[np.float32]
    coverage: NDArray[np.float32]
    faults: NDArray[np.float32]
    id: NDArray[np.uint64]
    t_ref: NDArray[np.int64]
    recording: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.t_ref)

    def select(self, rows: NDArray[np.int64]) -> WindowArrays:
        """Some of the windows."""
        return WindowArrays(
            {name: values[rows] for name, values in self.inputs.items()},
            self.presence[rows],
            self.coverage[rows],
            self.faults[rows],
            self.id[rows],
            self.t_ref[rows],
            self.recording[rows],
        )

    def with_inputs(self, required: Sequence[str]) -> NDArray[np.int64]:
        """Rows of the windows in which all `required` inputs are present."""
        columns = [list(self.inputs).index(name) for name in required]
        return np.flatnonzero(self.presence[:, columns].all(axis=1))

    def save(self, path: str | Path) -> None:
        """Write an .npz that `python -m sensorkd.edge predict` takes."""
        arrays: dict[str, Any] = {f"input.{name}": values for name, values in self.inputs.items()}
        arrays |= {
            "presence": self.presence,
            "id": self.id,
            "t_ref": self.t_ref,
            "recording": self.recording,
        }
        with Path(path).open("wb") as handle:
            np.savez(handle, **arrays)


class Window(NamedTuple):
    """inputs: name -> (steps, *sample_shape). presence, coverage: (K,). faults: (K, F); see WindowArrays."""

    inputs: Arrays
    presence: NDArray[np.float32]
    coverage: NDArray[np.float32]
    faults: NDArray[np.float32]


def read_window(recording: Recording, t_ref: int, encodings: Mapping[str, InputEncoding]) -> Window:
    """One window: every input's samples, and whether it is present.

    An input is present when enough of its span was logged and enough of that is without fault; an absent
    one is zeros.
    """
    count = len(encodings)
    presence, coverage = np.zeros(count, np.float32), np.zeros(count, np.float32)
    window = Window({}, presence, coverage, np.zeros((count, len(FAULTS)), np.float32))
    for index, (name, encoding) in enumerate(encodings.items()):
        window.inputs[name] = encoding.blank()
        stream = recording.streams.get(name)
        if stream is None:
            continue
        samples, covered = _read_stream(recording, stream, t_ref, encoding)
        coverage[index] = covered
        if not covered:
            continue
        found = encoding.assess(samples)
        window.faults[index] = found.faults
        usable = found.usable
        if _stuck_for_long(stream, t_ref, encoding, samples):
            window.faults[index, FAULTS.index("stuck")] = 1.0
            usable = 0.0
        if encoding.is_present(covered, usable):
            window.inputs[name] = samples
            presence[index] = 1.0
    return window


def _stuck_for_long(stream: Stream, t_ref: int, encoding: InputEncoding, window: NDArray[Any]) -> bool:
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


def _read_stream(
    recording: Recording, stream: Stream, t_ref: int, encoding: InputEncoding
) -> tuple[NDArray[Any], float]:
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
    """Positions of equal slices of the recording; a slice in a gap takes the sample before the gap."""
    segments = stream.segments
    start, stop = recording.start, recording.end
    # Relative to the start: as floats, times since 1970 are only good to 256 ns.
    middles = (np.arange(encoding.steps) + 0.5) * ((stop - start) / encoding.steps)
    rows = np.maximum(np.searchsorted(segments.t0 - start, middles, side="right") - 1, 0)
    positions = np.zeros(encoding.steps)
    for row in np.unique(rows):
        local, _ = encoding.positions(
            t0=int(segments.t0[row]),
            rate=float(segments.rate[row]),
            count=int(segments.count[row]),
            start=start,
            stop=stop,
        )
        positions[rows == row] = local[rows == row] + segments.offset[row]
    return positions, whole_coverage(recording, stream)


def read_windows(
    recordings: Sequence[Recording],
    plan: WindowPlan,
    encodings: Mapping[str, InputEncoding],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> WindowArrays:
    """All windows of a plan, in memory; `progress(done, total)` is called after each."""
    total = len(plan)
    inputs = {
        name: np.zeros((total, *encoding.shape), dtype=encoding.dtype) for name, encoding in encodings.items()
    }
    shape = (total, len(encodings))
    presence, coverage = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    faults = np.zeros((*shape, len(FAULTS)), np.float32)
    for row in range(total):
        window = read_window(recordings[plan.recording[row]], int(plan.t_ref[row]), encodings)
        presence[row], coverage[row], faults[row] = window.presence, window.coverage, window.faults
        for name, values in window.inputs.items():
            inputs[name][row] = values
        if progress is not None:
            progress(row + 1, total)
    ids = [recordings[index].id for index in plan.recording]
    return WindowArrays(inputs, presence, coverage, faults, plan.id, plan.t_ref, np.array(ids, dtype=np.str_))
