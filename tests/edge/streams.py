"""Streams as devices send them, and the archive that holds what was accepted of them: the reference."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sensorkd.edge.bundle import BundleDescription
from sensorkd.edge.windower import ClosedWindow, Windower
from sensorkd.encoding import InputEncoding
from sensorkd.recordings import RecordingWriter, Segments, open_recordings
from sensorkd.timeline import SECOND, sample_times, steps_in
from sensorkd.windows.plan import plan_windows
from sensorkd.windows.read import WindowArrays, read_windows


def encoding(rate: float, span: float | None = 1.0, **changes: Any) -> InputEncoding:
    """A signal of two channels of int16."""
    length = None if span is None else round(span * SECOND)
    told: dict[str, Any] = {
        "modality": "acceleration",
        "dtype": "int16",
        "unit": "m/s2",
        "scale": 0.01,
        "offset": 0.0,
        "sample_shape": (2,),
        "channels": ("x", "y"),
        "steps": 12 if length is None else steps_in(length, rate),
        "rate": rate,
        "span": length,
        "valid_range": (-1e3, 1e3),
        "resampling": "linear",
    }
    return InputEncoding(**{**told, **changes})


def describe(
    inputs: Mapping[str, InputEncoding], *, hop: float | None = None, segment_of: str | None = None
) -> BundleDescription:
    """A description without a model."""
    return BundleDescription(
        sensorkd="0",
        target="state",
        classes=("a", "b"),
        inputs=inputs,
        hop=hop,
        segment_of=segment_of,
        embedding=1,
        tolerance=1e-4,
        parameters=0,
        macs=0,
        files={},
    )


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Samples [first, stop) by number of one stream, which began at t0."""

    name: str
    t0: int
    rate: float
    first: int
    samples: np.ndarray

    @property
    def time(self) -> int:
        return int(sample_times(self.t0, self.rate, self.first))


class Listener(Windower):
    """Remembers which samples were accepted, by the time at which they were taken."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.taken: dict[str, dict[int, np.ndarray]] = {name: {} for name in self.sensors}
        for name, sensor in self.sensors.items():
            sensor.ring.add = self._listening(name, sensor.ring)  # type: ignore[method-assign]

    def _listening(self, name: str, ring: Any) -> Any:
        add, insert = ring.add, ring._insert

        def remember(time: int, samples: np.ndarray) -> None:
            for index, sample in enumerate(samples):
                at = int(sample_times(time, ring.rate, index))
                assert at not in self.taken[name]
                self.taken[name][at] = sample
            insert(time, samples)

        ring._insert = remember
        return add


def archive_of(
    path: Path, taken: Mapping[str, Mapping[int, np.ndarray]], inputs: Mapping[str, InputEncoding]
) -> None:
    """Write what was accepted, cut where samples are missing."""
    with RecordingWriter(path) as writer:
        draft = writer.recording("r", clock="relative", identity={"machine": "m"})
        for name, samples in taken.items():
            if not samples:
                continue
            item = inputs[name]
            times = np.array(sorted(samples), np.int64)
            period = SECOND / item.rate
            starts = np.flatnonzero(np.diff(times, prepend=times[0] - 10 * SECOND) > 1.25 * period)
            count = np.diff(np.append(starts, len(times)))
            draft.add_stream(
                name,
                np.stack([samples[time] for time in times.tolist()]),
                rate=item.rate,
                modality=item.modality,
                unit=item.unit,
                scale=item.scale,
                channels=item.channels,
                segments=Segments(times[starts], np.full(len(starts), item.rate), starts, count),
            )


def read_back(path: Path, description: BundleDescription) -> WindowArrays:
    """All windows of an archive, as the reader lays and reads them."""
    recordings = open_recordings([path])
    hop = None if description.hop is None else round(description.hop * SECOND)
    plan = plan_windows(recordings, description.inputs, hop=hop, segment_of=description.segment_of)
    return read_windows(recordings, plan, description.inputs)


def assert_same(closed: Sequence[ClosedWindow], read: WindowArrays) -> None:
    """The same windows, to the last bit."""
    assert [window.t_ref for window in closed] == read.t_ref.tolist()
    for row, window in enumerate(closed):
        assert window.presence.tolist() == read.presence[row].tolist(), window
        assert np.allclose(window.coverage, read.coverage[row])
        for name, samples in window.inputs.items():
            assert samples.dtype == read.inputs[name].dtype
            assert np.array_equal(samples, read.inputs[name][row]), (name, row)
