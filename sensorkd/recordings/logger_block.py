"""Whether a block is what its stream was announced to be, and has a time that can be one."""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd import timeline
from sensorkd.errors import ArchiveError, nearest
from sensorkd.recordings.logger_plan import LoggerPlan
from sensorkd.recordings.stream import TIME_LIMIT

__all__ = ["checked_block", "closed", "no_room"]

# ns, 1980: no archive in UTC is older, but seconds, ms or us in place of ns are.
EARLIEST = 315_532_800 * timeline.SECOND


def checked_block(
    plan: LoggerPlan, name: str, samples: NDArray[Any], t0: Any, *, begun: bool
) -> NDArray[Any]:
    """A copy of the samples (n, *sample_shape), which the caller may overwrite.

    Args:
        t0: ns, or None. begun: whether blocks came before this one.

    Raises:
        ArchiveError: they are not what was announced.
    """
    if name not in plan.streams:
        known = sorted(plan.streams)
        mend = f"{nearest(name, known)}announce every stream when the logger begins"
        raise _refused(plan, name, "no such stream", name, f"one of {known}", mend)
    told = plan.streams[name]
    samples = np.asarray(samples)
    if samples.dtype != told.dtype or samples.shape[1:] != told.sample_shape or not samples.ndim:
        raise _refused(
            plan,
            name,
            "the block is not what the stream's format says",
            f"shape {samples.shape}, dtype {samples.dtype}",
            f"shape (n, {', '.join(map(str, told.sample_shape))}), dtype {told.dtype}",
            "hand in samples as the sensor gives them; a single channel is samples[:, None]",
        )
    if t0 is None and not begun:
        mend = "say when its first sample was taken"
        raise _refused(plan, name, "the first block of a stream needs a time", "no t0", "ns", mend)
    if t0 is not None:
        _check_time(plan, name, t0)
    return np.array(samples, order="C")


def closed(plan: LoggerPlan) -> ArchiveError:
    """The logger was closed before."""
    return ArchiveError(
        "the logger is closed",
        file=plan.folder,
        found="a call after close()",
        expected="a logger that is open",
        mend="make a new one",
    )


def no_room(plan: LoggerPlan, seconds: float) -> ArchiveError:
    """A block found no room in the queue for so many seconds."""
    return ArchiveError(
        "the writing process does not keep up: this block was not taken",
        file=plan.folder,
        found=f"a queue that was full for {seconds:g} s",
        expected="a disk that is faster than the sensors",
        mend="give a larger queue_bytes or timeout, log less, or write to a faster disk",
    )


def _check_time(plan: LoggerPlan, name: str, t0: Any) -> None:
    try:
        whole = index(t0)
    except TypeError as error:
        found = f"t0 {t0!r} ({type(t0).__name__})"
        mend = "give time.time_ns(), or an int; time.time() * 1e9 is a float and rounds to 256 ns"
        raise _refused(plan, name, "a time is not whole nanoseconds", found, "an int", mend) from error
    if abs(whole) >= TIME_LIMIT:
        mend = "times are nanoseconds, UTC since 1970 or from the start of the recording"
        raise _refused(plan, name, "a time that cannot be counted", f"t0 {t0}", "years 1685 to 2255", mend)
    if plan.clock == "utc" and whole < EARLIEST:
        mend = "give nanoseconds, as time.time_ns() does; for a clock that is not UTC say clock='relative'"
        expected = "ns since 1970, from 1980 on"
        raise _refused(plan, name, "a time that is hardly UTC", f"t0 {t0}", expected, mend)


def _refused(plan: LoggerPlan, name: str, problem: str, found: str, expected: str, mend: str) -> ArchiveError:
    return ArchiveError(
        problem,
        file=plan.folder,
        inside=f"streams/{name}",
        found=found,
        expected=expected,
        mend=mend,
    )
