"""Reads windows: every stream at its own rate, in the run's encoding, with a presence flag an input."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sensorkd.encoding import InputEncoding
from sensorkd.errors import ArchiveError, SensorkdError
from sensorkd.quality import FAULTS
from sensorkd.recordings import Recording
from sensorkd.windows.arrays import WindowArrays
from sensorkd.windows.failures import Failures
from sensorkd.windows.inputs import read_samples, stuck_for_long
from sensorkd.windows.plan import WindowPlan

__all__ = [
    "Window",
    "WindowArrays",
    "blank_columns",
    "read_readable",
    "read_window",
    "read_windows",
    "readable_windows",
    "recording_names",
]

Arrays = dict[str, NDArray[Any]]


class Window(NamedTuple):
    """inputs: name -> (steps, *sample_shape). presence, coverage: (K,). faults: (K, F); see WindowArrays."""

    inputs: Arrays
    presence: NDArray[np.float32]
    coverage: NDArray[np.float32]
    faults: NDArray[np.float32]


def read_window(
    recording: Recording,
    t_ref: int,
    encodings: Mapping[str, InputEncoding],
    *,
    on_error: Callable[[SensorkdError], None] | None = None,
) -> Window:
    """One window: every input's samples, and whether it is present.

    An input is present when enough of its span was logged and enough of that is without fault; an absent
    one is zeros.

    Args:
        on_error: told of an input that cannot be read, which then is absent; None raises.

    Raises:
        ArchiveError: samples cannot be read.
        WindowError: they are not what the encoding can hold.
    """
    count = len(encodings)
    presence, coverage = np.zeros(count, np.float32), np.zeros(count, np.float32)
    window = Window({}, presence, coverage, np.zeros((count, len(FAULTS)), np.float32))
    for index, (name, encoding) in enumerate(encodings.items()):
        window.inputs[name] = encoding.blank()
        if name not in recording.streams:
            continue
        try:
            _fill(window, index, name, recording, t_ref, encoding)
        except SensorkdError as error:
            if on_error is None:
                raise
            on_error(error)
    return window


def _fill(
    window: Window, index: int, name: str, recording: Recording, t_ref: int, encoding: InputEncoding
) -> None:
    """Read one input of a window; what was not read whole leaves no trace."""
    stream = recording.streams[name]
    try:
        samples, covered = read_samples(recording, stream, t_ref, encoding)
        stuck = covered > 0 and stuck_for_long(stream, t_ref, encoding, samples)
    except (OSError, RuntimeError, KeyError) as error:
        # What HDF5 and h5py raise where damage meets them on the way to the samples.
        raise ArchiveError(
            "samples cannot be read: the file is damaged",
            file=recording.path,
            inside=f"{recording.group} {name}",
            found=repr(error),
            expected="a sound HDF5 file",
            mend="restore the file from its source, or leave it out",
        ) from error
    window.coverage[index] = covered
    if not covered:
        return
    found = encoding.assess(samples)
    window.faults[index] = found.faults
    if stuck:
        window.faults[index, FAULTS.index("stuck")] = 1.0
    if encoding.is_present(covered, 0.0 if stuck else found.usable):
        window.inputs[name] = samples
        window.presence[index] = 1.0


def read_windows(
    recordings: Sequence[Recording],
    plan: WindowPlan,
    encodings: Mapping[str, InputEncoding],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> WindowArrays:
    """All windows of a plan, in memory; `progress(done, total)` is called after each.

    Raises:
        SensorkdError: one cannot be read; `read_readable` goes on.
    """
    return _gathered(recordings, plan, encodings, None, progress)[0]


def read_readable(
    recordings: Sequence[Recording],
    plan: WindowPlan,
    encodings: Mapping[str, InputEncoding],
    *,
    failures: Failures,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[WindowArrays, NDArray[np.int64]]:
    """The windows of a plan that can be read, in memory, and their rows in it; `failures` is told of others.

    Where only some inputs of a window cannot be read, they are absent.
    """
    arrays, kept = _gathered(recordings, plan, encodings, failures, progress)
    rows = np.flatnonzero(kept)
    return (arrays if len(rows) == len(plan) else arrays.select(rows)), rows


def _gathered(
    recordings: Sequence[Recording],
    plan: WindowPlan,
    encodings: Mapping[str, InputEncoding],
    failures: Failures | None,
    progress: Callable[[int, int], None] | None,
) -> tuple[WindowArrays, NDArray[np.bool_]]:
    total = len(plan)
    inputs = {
        name: np.zeros((total, *encoding.shape), dtype=encoding.dtype) for name, encoding in encodings.items()
    }
    presence, coverage, faults = blank_columns(total, len(encodings))
    kept = np.zeros(total, np.bool_)
    windows = readable_windows(
        [recordings[index] for index in plan.recording], plan.t_ref, encodings, failures
    )
    for row, (window, readable) in enumerate(windows):
        presence[row], coverage[row], faults[row] = window.presence, window.coverage, window.faults
        kept[row] = readable
        for name, values in window.inputs.items():
            inputs[name][row] = values
        if progress is not None:
            progress(row + 1, total)
    names = recording_names(recordings, plan)
    return WindowArrays(inputs, presence, coverage, faults, plan.id, plan.t_ref, names), kept


def readable_windows(
    recordings: Sequence[Recording],
    t_ref: NDArray[np.int64],
    encodings: Mapping[str, InputEncoding],
    failures: Failures | None,
) -> Iterator[tuple[Window, bool]]:
    """Windows one by one, and whether each is one: one without any input, for some could not be read, is not.

    recordings, t_ref: of each window. failures: told of what cannot be read; None raises.
    """
    for recording, reference in zip(recordings, t_ref.tolist(), strict=True):
        if failures is None:
            yield read_window(recording, reference, encodings), True
            continue
        before = failures.count
        window = read_window(
            recording, reference, encodings, on_error=functools.partial(failures.add, recording)
        )
        yield window, failures.count == before or bool(window.presence.any())


def blank_columns(
    windows: int, inputs: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Presence (W, K), coverage (W, K) and faults (W, K, F) of so many windows, all zeros."""
    shape = (windows, inputs)
    return (
        np.zeros(shape, np.float32),
        np.zeros(shape, np.float32),
        np.zeros((*shape, len(FAULTS)), np.float32),
    )


def recording_names(recordings: Sequence[Recording], plan: WindowPlan) -> NDArray[Any]:
    """(W,) recording ids as objects: a million windows share the names of a thousand recordings."""
    names = np.empty(len(recordings), dtype=object)
    names[:] = [recording.id for recording in recordings]
    return np.asarray(names[plan.recording])
