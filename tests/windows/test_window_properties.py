"""Windows over any clocks, against a slow reference in fractions that shares nothing with the code.

The samples of a made-up stream tell their own index, and so the time at which each was taken.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sensorkd.encoding import InputEncoding
from sensorkd.errors import WindowError
from sensorkd.recordings import Recording, Segments, Stream
from sensorkd.recordings.stream import SampleSource
from sensorkd.timeline import SECOND
from sensorkd.windows.plan import WindowPlan, plan_windows
from sensorkd.windows.read import read_window

# Of a sample's period: floats decide ties so close to an edge either way.
EDGE = Fraction(1, 10**6)
MOST_WINDOWS = 40


@dataclass(frozen=True)
class Numbers(SampleSource):
    """Samples that are their own index; no file is read."""

    def read(self, start: int, stop: int) -> NDArray[Any]:
        assert 0 <= start <= stop <= self.shape[0], "read beyond the array"
        return np.arange(start, stop, dtype=np.float64)[:, None]


@dataclass(frozen=True)
class Run:
    """A segment as it was made: first sample at t0 ns, index in the array, number of samples."""

    t0: int
    offset: int
    count: int


@dataclass(frozen=True)
class Clock:
    """A stream as it was made, and what is asked of it. Times in ns, to the nearest one."""

    rate: float
    runs: tuple[Run, ...]
    span: int
    min_coverage: float

    @property
    def steps(self) -> int:
        """Whole periods in the span."""
        return max(1, math.floor(Fraction(self.span + 1, SECOND) * Fraction(self.rate)))

    def after(self, count: int) -> int:
        return round(Fraction(count) / Fraction(self.rate) * SECOND)

    def time(self, run: Run, index: int) -> int:
        return run.t0 + self.after(index)

    @property
    def start(self) -> int:
        return self.runs[0].t0

    @property
    def end(self) -> int:
        return self.time(self.runs[-1], self.runs[-1].count)

    def run_before(self, t_ref: int) -> Run | None:
        """The last run that begins before t_ref."""
        begun = [run for run in self.runs if run.t0 < t_ref]
        return begun[-1] if begun else None

    def newest(self, run: Run, t_ref: int) -> int:
        """Ticks of the run's clock, drawn on beyond its samples, before t_ref."""
        tick = math.ceil(Fraction(t_ref - run.t0, SECOND) * Fraction(self.rate)) + 2
        while self.time(run, tick - 1) >= t_ref:
            tick -= 1
        return tick

    def covered(self, t_ref: int) -> int:
        """Of the last `steps` ticks before t_ref, how many are samples."""
        run = self.run_before(t_ref)
        if run is None:
            return 0
        end = self.newest(run, t_ref)
        return sum(0 <= tick < run.count for tick in range(end - self.steps, end))


def stream_of(name: str, clock: Clock) -> Stream:
    table = Segments(
        np.array([run.t0 for run in clock.runs], dtype=np.int64),
        np.full(len(clock.runs), clock.rate),
        np.array([run.offset for run in clock.runs], dtype=np.int64),
        np.array([run.count for run in clock.runs], dtype=np.int64),
    )
    total = max(run.offset + run.count for run in clock.runs)
    source = Numbers(Path("none.h5"), f"/{name}", ("time", "channel"), (total, 1))
    return Stream(name, "acceleration", "m/s2", table, source, np.dtype("float64"))


def recording_of(clocks: dict[str, Clock]) -> Recording:
    streams = {name: stream_of(name, clock) for name, clock in clocks.items()}
    return Recording("a.h5::m", Path("none.h5"), "/m", "relative", {}, streams)


def encoding_of(clock: Clock, **changes: Any) -> InputEncoding:
    told: dict[str, Any] = {
        "modality": "acceleration", "dtype": "float64", "unit": "m/s2", "scale": 1.0, "offset": 0.0,
        "sample_shape": (1,), "channels": (), "steps": clock.steps, "rate": clock.rate, "span": clock.span,
        "valid_range": (-1e15, 1e15), "resampling": "linear", "min_coverage": clock.min_coverage,
    }  # fmt: skip
    return InputEncoding(**{**told, **changes})


RATES = st.one_of(
    st.floats(0.1, 50_000.0),
    st.sampled_from([0.1, 1 / 3, 1.0, 7.0, 29.97, 30_000 / 1001, 50.0, 1024.0, 25_600.0, 44_100.0, 50_000.0]),
)


@st.composite
def a_clock(draw: Any, begin: int, most_runs: int = 4) -> Clock:
    """Runs with gaps or end to end, in an array that holds other things between them."""
    rate = draw(RATES)
    period = SECOND / rate
    t0, offset, runs = begin + draw(st.integers(0, round(50 * period))), 0, []
    for _ in range(draw(st.integers(1, most_runs))):
        offset += draw(st.integers(0, 9))
        count = draw(st.integers(1, 90))
        runs.append(Run(t0, offset, count))
        length = round(Fraction(count) / Fraction(rate) * SECOND)
        t0 += length + draw(st.one_of(st.just(0), st.integers(1, round(40 * period) + 1)))
        offset += count
    span = draw(st.integers(1, 60)) * period + draw(st.floats(0.0, 1.0)) * period
    return Clock(rate, tuple(runs), max(1, round(span)), draw(st.sampled_from([0.05, 0.5, 0.8, 1.0])))


@st.composite
def some_clocks(draw: Any) -> dict[str, Clock]:
    begin = draw(st.integers(-(10**15), 2 * 10**18))
    return {name: draw(a_clock(begin)) for name in "abc"[: draw(st.integers(1, 3))]}


def planned(recording: Recording, encodings: Any, **how: Any) -> WindowPlan | None:
    try:
        return plan_windows([recording], encodings, **how)
    except WindowError as error:
        assert "no recording holds a window" in str(error)
        return None


def check_plan(
    clocks: dict[str, Clock], references: list[int], required: list[str], plan: WindowPlan | None
) -> None:
    """The plan holds just the references that are covered, with the exact share each."""
    expected = {}
    for t_ref in references:
        shares = {name: Fraction(clock.covered(t_ref), clock.steps) for name, clock in clocks.items()}
        there = {name for name, clock in clocks.items() if float(shares[name]) >= clock.min_coverage - 1e-9}
        if there and there >= set(required):
            expected[t_ref] = [float(share) for share in shares.values()]
    if plan is None:
        assert not expected
        return
    assert plan.t_ref.tolist() == list(expected)
    np.testing.assert_allclose(plan.coverage, np.array(list(expected.values())), rtol=1e-6)
    assert len(np.unique(plan.id)) == len(plan)


def check_windows(
    clocks: dict[str, Clock], recording: Recording, encodings: Any, plan: WindowPlan | None
) -> None:
    """Every sample of every window is one of its own span, of one run, and the covered ones in order."""
    for t_ref in [] if plan is None else plan.t_ref.tolist():
        window = read_window(recording, t_ref, encodings)
        for column, (name, clock) in enumerate(clocks.items()):
            run, covered = clock.run_before(t_ref), clock.covered(t_ref)
            if not window.presence[column]:
                assert Fraction(covered, clock.steps) < Fraction(clock.min_coverage)
                continue
            assert run is not None
            found = [int(value) - run.offset for value in window.inputs[name][:, 0]]
            assert all(0 <= index < run.count for index in found), "a sample of another run"
            assert all(clock.time(run, index) < t_ref for index in found), "a sample of the future"
            end = clock.newest(run, t_ref)
            # Where a tick was logged, its sample stands; elsewhere, one of the same run.
            for tick, index in zip(range(end - clock.steps, end), found, strict=True):
                assert index == tick or not 0 <= tick < run.count
            if 2 * covered > clock.steps:
                first = min(clock.time(run, index) for index in found)
                assert first >= t_ref - clock.span - 1, "a sample from before the span"


@settings(max_examples=150)
@given(some_clocks(), st.data())
def test_windows_by_a_hop_hold_the_samples_of_their_spans(clocks: dict[str, Clock], data: Any) -> None:
    end = max(clock.end for clock in clocks.values())
    first = min(clock.start + clock.span for clock in clocks.values())
    shortest = max(1, (end - first) // MOST_WINDOWS)
    hop = data.draw(st.integers(shortest, 4 * shortest + 1), label="hop")
    required = data.draw(st.lists(st.sampled_from(sorted(clocks)), unique=True), label="required")
    recording = recording_of(clocks)
    encodings = {name: encoding_of(clock) for name, clock in clocks.items()}
    plan = planned(recording, encodings, hop=hop, required=required)
    check_plan(clocks, list(range(first, end + 1, hop)), required, plan)
    check_windows(clocks, recording, encodings, plan)


@settings(max_examples=100)
@given(some_clocks(), st.data())
def test_windows_of_bursts_end_with_them_and_hold_what_was_before(
    clocks: dict[str, Clock], data: Any
) -> None:
    bursts = data.draw(st.sampled_from(sorted(clocks)), label="bursts")
    recording = recording_of(clocks)
    encodings = {name: encoding_of(clock) for name, clock in clocks.items()}
    plan = planned(recording, encodings, segment_of=bursts)
    ends = [clocks[bursts].time(run, run.count) for run in clocks[bursts].runs]
    check_plan(clocks, ends, [], plan)
    check_windows(clocks, recording, encodings, plan)


@settings(max_examples=100)
@given(some_clocks(), st.integers(1, 40))
def test_a_whole_recording_is_its_slices_each_by_the_sample_at_its_middle(
    clocks: dict[str, Clock], steps: int
) -> None:
    recording = recording_of(clocks)
    encodings = {
        name: encoding_of(clock, steps=steps, span=None, resampling="nearest", min_coverage=0.05)
        for name, clock in clocks.items()
    }
    start = min(clock.start for clock in clocks.values())
    end = max(clock.end for clock in clocks.values())
    plan = planned(recording, encodings)
    logged = {
        name: Fraction(sum(clock.after(run.count) for run in clock.runs), end - start)
        for name, clock in clocks.items()
    }
    if plan is None:
        assert max(logged.values()) < Fraction(1, 20) + EDGE
        return
    assert plan.t_ref.tolist() == [end]
    np.testing.assert_allclose(
        plan.coverage[0], [float(min(1, share)) for share in logged.values()], rtol=1e-6
    )
    window = read_window(recording, end, encodings)
    for column, (name, clock) in enumerate(clocks.items()):
        for step, value in enumerate(window.inputs[name][:, 0] if window.presence[column] else []):
            middle = start + (step + Fraction(1, 2)) * Fraction(end - start, steps)
            assert int(value) in at_middle(clock, middle)


def at_middle(clock: Clock, middle: Fraction) -> set[int]:
    """The sample whose period holds an instant, or that is nearest to it in the run begun last."""
    period, allowed = Fraction(SECOND) / Fraction(clock.rate), set()
    for instant in (middle - 1, middle, middle + 1):  # floats are good to a nanosecond
        run = [clock.runs[0], *(run for run in clock.runs if run.t0 <= instant)][-1]
        for edge in (-EDGE, EDGE):
            held = math.floor((instant - run.t0) / period + edge)
            allowed.add(run.offset + min(max(held, 0), run.count - 1))
    return allowed


@settings(max_examples=150)
@given(st.integers(-(10**15), 2 * 10**18), st.data())
def test_windows_at_another_rate_hold_instants_of_their_span_in_one_run(begin: int, data: Any) -> None:
    clock: Clock = data.draw(a_clock(begin))
    ratio = data.draw(st.floats(0.05, 20.0).filter(lambda ratio: abs(1 / ratio - 1) > 0.011), label="ratio")
    rate = clock.rate * ratio
    steps = max(1, math.floor(Fraction(clock.span, SECOND) * Fraction(rate)))
    encodings = {"a": encoding_of(clock, rate=rate, steps=steps, min_coverage=0.5)}
    recording = recording_of({"a": clock})
    ends = [clock.time(run, run.count) for run in clock.runs]
    plan = planned(recording, encodings, segment_of="a")
    stride = Fraction(clock.rate / rate)
    for t_ref in ends:
        run = clock.run_before(t_ref)
        assert run is not None
        end = clock.newest(run, t_ref)
        wanted = [end - back * stride for back in range(steps, 0, -1)]
        surely, maybe = (
            sum(-edge <= tick < run.count + edge for tick in wanted) / steps for edge in (-EDGE, EDGE)
        )
        row = None if plan is None else np.flatnonzero(plan.t_ref == t_ref)
        if row is None or not len(row):
            assert surely < 0.5
            continue
        assert plan is not None
        assert surely - 1e-6 <= plan.coverage[row[0], 0] <= maybe + 1e-6
        values = read_window(recording, t_ref, encodings).inputs["a"][:, 0] - run.offset
        assert 0 <= values.min() <= values.max() <= run.count - 1
        for tick, value in zip(wanted, values.tolist(), strict=True):
            # Between two samples; within the period of the newest, that one; before the first, mirrored.
            newest = min(end, run.count) - 1
            if 0 <= tick <= newest:
                assert math.isclose(value, tick, abs_tol=1e-6 * max(1, newest))
            assert clock.time(run, math.ceil(value - 1e-6)) < t_ref


@given(st.lists(st.integers(-(2**62), 2**62), min_size=2, max_size=300, unique=True))
def test_ids_of_different_times_are_different(times: list[int]) -> None:
    from sensorkd.windows.plan import _ids

    made = [_ids(name, np.array(times), b"plan").tolist() for name in ("a.h5::m", "b.h5::m")]
    assert len(set(itertools.chain(*made))) == 2 * len(times)
