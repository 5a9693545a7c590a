"""Windows read from the archives whenever they are asked for: for data that fits nowhere else.

What is known of each window (presence, coverage, faults) comes from a cache without samples, so that every
window is read once before.
"""

from __future__ import annotations

import dataclasses
import functools
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd.encoding import InputEncoding
from sensorkd.errors import SensorkdError
from sensorkd.recordings import Recording, Stream
from sensorkd.recordings.chunking import better_chunks, bytes_touched
from sensorkd.windows.arrays import Reading
from sensorkd.windows.cache import CacheSettings, cached_windows
from sensorkd.windows.content import FileState, check_state, state_of
from sensorkd.windows.inputs import read_samples
from sensorkd.windows.mapped import CacheError
from sensorkd.windows.plan import WindowPlan
from sensorkd.windows.samples import LazySamples

__all__ = ["ArchiveSamples", "chunk_notes", "direct_windows"]

# From so many times its own bytes on, a random window is told to be slow.
SLOW = 8.0


class ArchiveSamples(LazySamples):
    """Windows of one input, read from the archives.

    Args:
        recordings: (W,) of each window. t_ref: (W,). present: (W,) whether the input is; others are zeros.

    A file that was changed since, or cannot be read any more, raises ArchiveError: presence would be wrong.
    """

    def __init__(
        self,
        name: str,
        encoding: InputEncoding,
        recordings: Sequence[Recording],
        t_ref: NDArray[np.int64],
        present: NDArray[np.bool_],
    ) -> None:
        self._name, self._encoding = name, encoding
        self._recordings, self._t_ref, self._present = tuple(recordings), t_ref, present
        paths = dict.fromkeys(recording.path for recording in recordings)
        self._states: dict[Any, FileState] = {path: state_of(path) for path in paths}

    @property
    def shape(self) -> tuple[int, ...]:
        """(W, steps, *sample_shape)."""
        return (len(self._t_ref), *self._encoding.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """As the encoding says."""
        return np.dtype(self._encoding.dtype)

    def gather(self, rows: NDArray[np.int64], out: NDArray[Any]) -> None:
        """Put windows into `out` (len(rows), steps, *sample_shape).

        Raises:
            ArchiveError: one cannot be read any more.
        """
        for index, row in enumerate(rows.tolist()):
            if not self._present[row]:
                out[index] = 0
                continue
            recording = self._recordings[row]
            check_state(recording.path, self._states[recording.path])
            stream = recording.streams[self._name]
            # What is known of the window is known: its samples are not judged once more.
            out[index] = read_samples(recording, stream, int(self._t_ref[row]), self._encoding)[0]


def direct_windows(
    recordings: Sequence[Recording],
    plan: WindowPlan,
    encodings: Mapping[str, InputEncoding],
    settings: CacheSettings,
    *,
    progress: Callable[[int, int], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> Reading:
    """The windows of a plan, whose samples stay in the archives; see `cached_windows`.

    on_note: is also told of archives whose chunks make random windows slow.
    """
    judge = functools.partial(
        cached_windows, recordings, plan, encodings, samples=False, progress=progress, on_note=on_note
    )
    try:
        reading = judge(settings)
    except CacheError:
        # What is known of each window is small. It needs no place that lasts: maps outlive their files.
        with tempfile.TemporaryDirectory(prefix="sensorkd-") as folder:
            reading = judge(dataclasses.replace(settings, folder=Path(folder)))
    kept = plan.select(reading.rows)
    of_windows = [recordings[index] for index in kept.recording.tolist()]
    present = reading.windows.presence > 0
    inputs = {
        name: ArchiveSamples(name, encoding, of_windows, kept.t_ref, present[:, column])
        for column, (name, encoding) in enumerate(encodings.items())
    }
    for text in chunk_notes([recordings[index] for index in np.unique(kept.recording)], encodings):
        if on_note is not None:
            on_note(text)
    return dataclasses.replace(reading, windows=dataclasses.replace(reading.windows, inputs=inputs))


def chunk_notes(recordings: Sequence[Recording], encodings: Mapping[str, InputEncoding]) -> list[str]:
    """One note an input whose chunks make random windows slow: the worst file, and how to cut it anew."""
    notes = []
    for name, encoding in encodings.items():
        slow = [
            (cost, recording, recording.streams[name])
            for recording in recordings
            if name in recording.streams
            for cost in [_times_its_bytes(recording.streams[name], encoding)]
            if cost > SLOW
        ]
        if not slow:
            continue
        cost, recording, stream = max(slow, key=lambda item: item[0])
        own = encoding.steps * _sample_bytes(stream)
        span = "" if encoding.whole else f" of {(encoding.span or 0) / 1e9:g} s"
        notes.append(
            f"{name}: a random window{span} ({own:,} bytes) unpacks {own * cost:,.0f} bytes of chunks, "
            f"{cost:,.0f} times as many, in {recording.path}"
            + (f" and {len(slow) - 1} more recordings" if len(slow) > 1 else "")
            + f"; to mend: rewrite with other chunks: {better_chunks(stream)} OLD NEW"
        )
    return notes


def _sample_bytes(stream: Stream) -> int:
    return int(np.prod(stream.sample_shape)) * np.dtype(stream.dtype).itemsize


def _times_its_bytes(stream: Stream, encoding: InputEncoding) -> float:
    """Bytes that a random window unpacks, over its own."""
    if encoding.whole:
        return 1.0
    samples = max(1, round(encoding.steps * stream.rate / encoding.rate))
    try:
        return bytes_touched(stream, samples) / (samples * _sample_bytes(stream))
    except SensorkdError:
        return 1.0  # told where its samples are read
