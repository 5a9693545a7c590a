"""Whatever a network does to chunks, windows are those of an archive of the accepted samples."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sensorkd import quality
from sensorkd.errors import WindowError
from sensorkd.timeline import SECOND, sample_times
from tests.edge.streams import Chunk, Listener, archive_of, assert_same, describe, encoding, read_back

# Times in whole nanoseconds, and not.
RATES = (20.0, 8.0, 12.5, 3.0)
Sending = tuple[dict[str, Any], list[Chunk]]


@pytest.fixture(autouse=True, scope="module")
def _few_samples_prove_that_a_sensor_is_stuck() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quality, "FEWEST_SAMPLES", 6)
        yield


@st.composite
def sendings(
    draw: st.DrawFn, span: float | None, *, bursts: bool = False
) -> tuple[dict[str, Any], list[Chunk]]:
    """Up to three sensors, and their chunks in the order in which they arrive."""
    inputs, arrivals = {}, []
    begin = draw(st.sampled_from([0, 1_700_000_000 * SECOND]))
    for name in ("one", "two", "three")[: draw(st.integers(1, 3))]:
        rate = draw(st.sampled_from(RATES))
        lateness = draw(st.sampled_from([0.0, 0.3, 2.0]))
        stuck_after = draw(st.sampled_from([None, 0.4, 3.0]))
        item = encoding(
            rate,
            span,
            lateness=lateness,
            min_coverage=draw(st.sampled_from([0.2, 0.8, 1.0])),
            stuck_after=stuck_after,
        )
        inputs[name] = item
        arrivals += draw(chunks(name, rate, begin, bursts=bursts))
    arrivals.sort(key=lambda arrival: arrival[0])
    return inputs, [chunk for _, chunk in arrivals]


@st.composite
def chunks(draw: st.DrawFn, name: str, rate: float, begin: int, *, bursts: bool) -> list[tuple[float, Chunk]]:
    """(when it arrives, chunk) of one sensor: some late, some twice, some never."""
    t0 = begin + draw(st.integers(0, 2 * SECOND))
    total = draw(st.integers(1, round(8 * rate)))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    samples = rng.integers(-9, 9, (total, 2)).astype(np.int16)
    if draw(st.booleans()):
        samples[draw(st.integers(0, total - 1)) :] = 7  # it sticks
    sizes = draw(st.lists(st.integers(1, 24), min_size=1, max_size=6))
    first, found = 0, []
    for size in itertools.cycle(sizes):
        if first >= total:
            return found
        chunk = Chunk(name, t0, rate, first, samples[first : first + size])
        first += size
        fate = draw(st.sampled_from(["well", "well", "well", "lost", "twice", "again in parts", "late"]))
        if fate == "lost" or (bursts and draw(st.integers(0, 3)) == 0):
            continue
        sent = (chunk.time + len(chunk.samples) / rate * SECOND) / SECOND
        delay = draw(st.sampled_from([0.0, 0.1, 0.4])) if fate != "late" else draw(st.floats(0.0, 4.0))
        found.append((sent + delay, chunk))
        if fate == "twice":
            found.append((sent + delay + draw(st.floats(0.0, 3.0)), chunk))
        if fate == "again in parts":
            half = len(chunk.samples) // 2
            later = Chunk(name, t0, rate, chunk.first + half, chunk.samples[half:])
            found.append((sent + draw(st.floats(0.0, 1.0)), later))
    return found


def check(inputs: dict[str, Any], arriving: list[Chunk], **how: Any) -> None:
    description = describe(inputs, **how)
    windower, closed = Listener(description), []
    for chunk in arriving:
        excused = too_late(windower, chunk)
        before = windower.sensors[chunk.name].counters.late
        windows, problem = windower.push(chunk.name, chunk.samples, chunk.time)
        assert problem is None
        assert windower.sensors[chunk.name].counters.late - before <= excused
        closed += windows
        assert_nothing_is_overdue(windower)
    sent = sum(len(chunk.samples) for chunk in arriving)
    counters = [sensor.counters for sensor in windower.sensors.values()]
    assert sent == sum(item.accepted + item.duplicate + item.late for item in counters)
    assert sum(map(len, windower.taken.values())) == sum(item.accepted for item in counters)
    closed += windower.end()
    if not any(windower.taken.values()):
        assert not closed
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "accepted.h5"
        archive_of(path, windower.taken, inputs)
        try:
            read = read_back(path, description)
        except WindowError:
            assert not closed
        else:
            assert_same(closed, read)


def too_late(windower: Listener, chunk: Chunk) -> int:
    """How many samples of a chunk may be dropped: they come later than their lateness, or once more."""
    if windower.clock is None:
        return 0
    latest = windower.clock - windower.sensors[chunk.name].lateness
    times = sample_times(chunk.t0, chunk.rate, chunk.first + np.arange(len(chunk.samples))).tolist()
    return sum(time < latest or time in windower.taken[chunk.name] for time in times)


def assert_nothing_is_overdue(windower: Listener) -> None:
    """Whatever is missing, no window waits longer than the lateness."""
    upcoming, clock = windower.references.upcoming(), windower.clock
    if upcoming is not None and clock is not None:
        latest = max(sensor.lateness + 2 * sensor.ring.period for sensor in windower.sensors.values())
        assert upcoming > clock - latest


SETTINGS = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@SETTINGS
@given(sendings(1.0), st.sampled_from([0.25, 1.0, 2.5]))
def test_windows_by_hop(sent: Sending, hop: float) -> None:
    check(*sent, hop=hop)


@SETTINGS
@given(sendings(1.0, bursts=True))
def test_windows_at_the_ends_of_bursts(sent: Sending) -> None:
    check(*sent, segment_of="one")


@SETTINGS
@given(sendings(None))
def test_whole_recordings(sent: Sending) -> None:
    check(*sent)
