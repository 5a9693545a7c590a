"""When the samples of a mapped stream were taken: from a rate and a start, from stamps, or from a counter."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sensorkd import timeline
from sensorkd.errors import ArchiveError
from sensorkd.recordings.attributes import attribute
from sensorkd.recordings.guard import GuardedFile
from sensorkd.recordings.layout import Attribute, Layout, StampDataset, StreamLayout
from sensorkd.recordings.segmenting import check_turns, unwrap
from sensorkd.recordings.stamped import Laid, lay_counted, lay_rows, lay_stamped
from sensorkd.recordings.stamps import stamps_in_ns, ticks_in_ns, ticks_of
from sensorkd.recordings.storage import unwritten_ranges
from sensorkd.recordings.stream import SampleSource, Segments

__all__ = ["lay_in_time", "wraps"]

Int64 = NDArray[np.int64]


class _Times(NamedTuple):
    """Times (n,) in ns, and the path inside the file they are from."""

    t0: Int64
    inside: str


def wraps(told: StreamLayout) -> bool:
    """Whether a stream's clock begins anew now and then."""
    return any(isinstance(item, StampDataset) and item.wraps is not None for item in (told.start, told.times))


def lay_in_time(
    file: GuardedFile,
    group: str,
    told: StreamLayout,
    source: SampleSource,
    rate: float | None,
    *,
    layout: Layout,
    near: int | None,
) -> Laid:
    """Where the runs of samples lie in time; `near`: where a clock that wraps shall begin.

    Raises:
        ArchiveError: the stamps are not what the layout says, or lay the samples nowhere.
    """
    times = _times(file, group, told, source, layout=layout, near=near)
    where = told.times or told.start
    cut = isinstance(where, StampDataset) and where.set_back == "cut"
    if told.times is not None:
        return lay_stamped(source, times.t0, inside=times.inside, rate=rate, cut=cut)
    assert rate is not None  # the layout demands a rate where there are no `times`
    if source.axes[0] == "segment":
        return lay_rows(source, times.t0, rate, inside=times.inside, cut=cut)
    if told.counter is not None:
        numbers = _numbers(file, f"{group.rstrip('/')}/{told.counter.dataset}", source, told.counter.wraps)
        return lay_counted(source, numbers.t0, rate, start=int(times.t0[0]), inside=numbers.inside)
    return Laid(Segments.uniform(t0=int(times.t0[0]), rate=rate, count=source.count), source)


def _times(
    file: GuardedFile,
    group: str,
    told: StreamLayout,
    source: SampleSource,
    *,
    layout: Layout,
    near: int | None,
) -> _Times:
    """One stamp a sample, a segment, or a stream."""
    where = told.times or told.start
    if isinstance(where, StampDataset):
        inside = f"{group.rstrip('/')}/{where.dataset}"
        if told.times is not None:
            stamps = _stamps(file, inside, "one time stamp a sample is needed", source.count)
        elif source.axes[0] == "segment":
            stamps = _stamps(file, inside, "one start time a segment is needed", source.shape[0])
        else:
            stamps = _first_stamp(file, inside)
        return _Times(_in_ns(stamps, where, layout, near, file, inside), inside)
    inside, stamps = source.dataset, where or 0.0
    if isinstance(where, Attribute):
        stamps = attribute(file, group, where, of=inside, what="start")
        inside += f" attribute {where.attribute}"
    zone = layout.timezone
    t0 = stamps_in_ns(stamps, unit="s", clock=layout.clock, timezone=zone, file=file.path, inside=inside)
    return _Times(t0, inside)


def _in_ns(
    stamps: Any, where: StampDataset, layout: Layout, near: int | None, file: GuardedFile, inside: str
) -> Int64:
    """Stamps as a dataset holds them, laid end to end where their clock wraps."""
    if where.ticks_per_second is None:
        times = stamps_in_ns(
            stamps,
            unit=where.unit,
            clock=layout.clock,
            timezone=layout.timezone,
            file=file.path,
            inside=inside,
        )
        if where.wraps_ns is None:
            return times
        longest = None if where.longest_gap is None else round(where.longest_gap * timeline.SECOND)
        laid = unwrap(times, where.wraps_ns, near=near, longest=longest)
        if longest is None:
            check_turns(laid, where.wraps_ns, per_second=timeline.SECOND, file=file.path, inside=inside)
        return laid
    ticks = ticks_of(stamps, file=file.path, inside=inside)
    if where.wraps is not None:
        # In ticks: a turn need not be a whole number of nanoseconds.
        per_second, turn = where.ticks_per_second, round(where.wraps)
        longest = None if where.longest_gap is None else round(where.longest_gap * per_second)
        beside = None if near is None else round(near / timeline.SECOND * per_second)
        ticks = unwrap(ticks, turn, near=beside, longest=longest)
        if longest is None:
            check_turns(ticks, turn, per_second=per_second, file=file.path, inside=inside)
    return ticks_in_ns(ticks, where.ticks_per_second)


def _numbers(file: GuardedFile, inside: str, source: SampleSource, turn: int | None) -> _Times:
    """The numbers of a counter of samples, laid end to end."""
    stored = _stamps(file, inside, "one number a sample is needed", source.count)
    numbers = ticks_of(stored, file=file.path, inside=inside)
    if turn is not None:
        numbers = unwrap(numbers, turn)
        check_turns(numbers, turn, per_second=None, file=file.path, inside=inside)
    return _Times(numbers, inside)


def _stamps(file: GuardedFile, inside: str, needed: str, count: int) -> Any:
    dataset = file.dataset(inside)
    if dataset.shape != (count,):
        raise _no_stamps(needed, file, inside, f"shape {dataset.shape}", f"shape ({count},)")
    for first, last in unwritten_ranges(dataset, 0)[:1]:
        found = f"nothing at [{first}:{last}]: it would read as zeros"
        raise _no_stamps(f"{needed}, and some were never written", file, inside, found, "all of them")
    return dataset[()]


def _first_stamp(file: GuardedFile, inside: str) -> Any:
    dataset = file.dataset(inside)
    if dataset.shape is None or 0 in dataset.shape:
        raise _no_stamps("there is no start time", file, inside, f"shape {dataset.shape}", "one value")
    return dataset[(0,) * dataset.ndim]


def _no_stamps(problem: str, file: GuardedFile, inside: str, found: str, expected: str) -> ArchiveError:
    return ArchiveError(
        problem,
        file=file.path,
        inside=inside,
        found=found,
        expected=expected,
        mend="correct `start`, `times` or `counter` in the layout, or restore the file",
    )
