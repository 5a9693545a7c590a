"""When windows close, what they miss, and that nothing grows."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sensorkd.edge.windower import Windower
from sensorkd.errors import BundleError
from sensorkd.timeline import SECOND
from tests.edge.streams import describe, encoding

HOP = 1.0


def windower(*, hop=HOP, segment_of=None, late=0.5, **options):
    inputs = {"fast": encoding(100.0, lateness=late), "slow": encoding(4.0, lateness=late)}
    return Windower(describe(inputs, hop=hop, segment_of=segment_of), **options)


def some(count, value=None):
    rng = np.random.default_rng(count)
    values = rng.integers(-9, 9, (count, 2)) if value is None else np.full((count, 2), value)
    return values.astype(np.int16)


def push(windows, name, begin, stop, **samples):
    """Seconds [begin, stop) of a sensor, whole."""
    rate = windows.sensors[name].ring.rate
    count = round((stop - begin) * rate)
    closed, problem = windows.push(name, some(count, **samples), round(begin * SECOND))
    assert problem is None
    return [window.t_ref / SECOND for window in closed]


def test_a_window_closes_with_the_last_sample_it_needs():
    windows = windower(late=1.5)
    assert push(windows, "fast", 0, 2) == []
    # As long as a sensor may come that began earlier, so may the grid.
    assert push(windows, "slow", 0, 2) == []
    assert push(windows, "fast", 2, 2.6) == [1.0, 2.0]
    assert push(windows, "slow", 2, 3) == []
    assert push(windows, "fast", 2.6, 2.99) == []
    assert push(windows, "fast", 2.99, 3) == [3.0]


def test_a_dead_sensor_delays_windows_by_its_lateness_and_never_stalls_them():
    windows = windower()
    times = []
    for tenth in range(0, 100):
        times += [(time, tenth / 10 + 0.1) for time in push(windows, "fast", tenth / 10, tenth / 10 + 0.1)]
    assert [time for time, _ in times] == [float(second) for second in range(1, 10)]
    assert all(0.5 <= now - time <= 0.6 + 1e-9 for time, now in times)
    (last,) = windows.end()
    assert last.missing == {"slow": "silent"}
    assert last.presence.tolist() == [1, 0]
    assert not last.inputs["slow"].any()


def test_a_clock_closes_windows_where_no_sample_does():
    windows = windower()
    push(windows, "fast", 0, 1)
    assert windows.advance(round(1.4 * SECOND)) == []
    assert [window.t_ref for window in windows.advance(round(1.5 * SECOND))] == [SECOND]


def test_what_is_missing_is_said_with_its_reason():
    windows = windower(late=9.0)
    push(windows, "slow", 0, 6)
    push(windows, "fast", 0, 1.0)
    closed = windows.push("fast", some(20), round(1.5 * SECOND))[0]
    closed += windows.push("fast", some(100, value=32767), 3 * SECOND)[0]
    closed += windows.end()
    missing = {window.t_ref // SECOND: window.missing for window in closed}
    assert missing == {
        1: {},
        2: {"fast": "only 20% arrived"},
        3: {"fast": "silent"},
        4: {"fast": "saturated"},
        5: {"fast": "silent"},
        6: {"fast": "silent"},
    }


def test_however_long_all_were_silent_the_grid_goes_on_and_takes_no_time():
    windows, year = windower(), 365 * 86_400
    push(windows, "fast", 0, 2)
    assert push(windows, "slow", 0, 2) == [2.0]
    assert push(windows, "slow", year, year + 0.5) == []
    assert push(windows, "fast", year, year + 1) == []
    assert push(windows, "slow", year + 0.5, year + 2) == [year + 1.0]


def test_samples_for_a_closed_window_are_dropped_and_counted():
    windows = windower()
    push(windows, "fast", 0, 4)
    assert push(windows, "slow", 0, 4) == [4.0]
    told = windows.sensors["slow"].told
    assert (told["late"], told["accepted"]) == (12, 4)


def test_memory_is_bounded_by_span_lateness_and_hop():
    windows = windower()
    for second in range(0, 400):
        push(windows, "fast", second, second + 1)
        if second < 100:
            push(windows, "slow", second, second + 1)
        assert len(windows.sensors["fast"].ring) < 500
        assert len(windows.sensors["slow"].ring) < 50


@pytest.mark.parametrize("alive", ["fast", "slow"])
def test_memory_is_bounded_where_bursts_never_come_or_never_end(alive):
    windows = windower(hop=None, segment_of="slow")
    for second in range(400):
        push(windows, alive, second, second + 1)
        assert len(windows.sensors["fast"].ring) < 500
        assert len(windows.sensors["slow"].ring) < 50


def test_a_burst_is_judged_when_it_can_no_longer_go_on():
    windows = windower(hop=None, segment_of="slow")
    push(windows, "fast", 0, 2)
    assert push(windows, "slow", 1, 2) == []
    # Its next sample was due at 2 s, may be stamped half a period later, and come half a second late.
    assert push(windows, "fast", 2, 2.6) == []
    assert push(windows, "fast", 2.6, 2.8) == [2.0]
    assert push(windows, "slow", 2, 2.5) == []
    assert windows.sensors["slow"].told["late"] > 0


def test_ten_minutes_at_once_hold_no_more_than_in_seconds():
    windows = windower()
    push(windows, "fast", 0, 600)
    assert len(windows.sensors["fast"].ring) < 500


def test_stamps_of_each_sample_in_any_order_are_as_good_as_those_of_chunks():
    one, other = windower(), windower()
    rng = np.random.default_rng(5)
    samples, order = some(300), rng.permutation(300)
    times = np.arange(300) * 10_000_000 + rng.integers(-1_000_000, 1_000_000, 300)
    first = one.push("fast", samples, 0)[0] + one.end()
    second = other.push("fast", samples[order], times[order])[0] + other.end()
    assert [window.presence.tolist() for window in first] == [window.presence.tolist() for window in second]
    assert len(second) == 3
    for window, one_more in zip(first, second, strict=True):
        # Stamps that jitter may tell one sample more or less to be before the window's end.
        wanted, found = window.inputs["fast"], one_more.inputs["fast"]
        assert np.array_equal(wanted[1:-1], found[1:-1]) or np.array_equal(wanted[1:], found[:-1])


def test_a_sensor_that_is_off_by_less_than_a_hundredth_is_whole():
    windows, found = windower(), []
    for chunk in range(100):
        begun = round(chunk / 1.007 * SECOND)
        found += windows.push("fast", some(100), begun)[0]
    assert len(found) > 90
    assert all(window.coverage[0] > 0.97 for window in found)


def test_a_sensor_of_another_rate_is_resampled_as_from_an_archive():
    windows = windower(rates={"fast": 50.0})
    closed = windows.push("fast", some(100), 0)[0] + windows.end()
    assert [window.presence[0] for window in closed] == [1, 1]
    assert closed[0].inputs["fast"].shape == (100, 2)


def test_whole_recordings_are_judged_at_their_end_mark():
    inputs = {"fast": encoding(100.0, None), "slow": encoding(4.0, None)}
    windows = Windower(describe(inputs))
    assert windows.begin("first") == []
    for second in range(5):
        assert push(windows, "fast", second, second + 1) == []
    (window,) = windows.begin("second")
    assert (window.recording, window.t_ref, window.missing) == ("first", 5 * SECOND, {"slow": "silent"})
    assert window.inputs["fast"].shape == (12, 2)
    assert windows.end() == []


def test_a_clock_that_was_set_back_begins_anew_and_one_wrong_stamp_makes_no_device_deaf():
    windows, far = windower(), 10**9
    push(windows, "fast", 100, 103)
    push(windows, "slow", 100, 103)
    push(windows, "fast", far, far + 0.5)  # one wrong stamp, far in the future
    times = []
    for second in range(103, 120):
        times += push(windows, "fast", second, second + 1)
        times += push(windows, "slow", second, second + 1)
    assert windows.set_back == 1
    assert times[-1] > 115
    assert windows.sensors["fast"].told["late"] <= 300


def test_a_sensor_that_lags_behind_alone_sets_no_clock_back():
    windows = windower()
    for second in range(300, 400):
        push(windows, "fast", second, second + 1)
        push(windows, "slow", second - 200, second - 199)
    assert windows.set_back == 0


@pytest.mark.parametrize(
    ("name", "samples", "time", "told"),
    [
        ("fats", some(3), 0, "fast"),
        ("fast", some(3).astype(np.int32), 0, "int16"),
        ("fast", some(3)[:, :1], 0, "(n, 2)"),
        ("fast", np.int16(3), 0, "(n, 2)"),
        ("fast", some(3), 0.5, "nanoseconds"),
        ("fast", some(3), np.arange(2), "nanoseconds"),
        ("fast", some(3), 2**63 - 1, "nanoseconds"),
        ("fast", some(3), None, "nanoseconds"),
    ],
)
def test_other_samples_are_refused_with_what_was_found_and_expected(name, samples, time, told):
    windows = windower()
    with pytest.raises(BundleError) as caught:
        windows.push(name, samples, time)
    assert told in str(caught.value)
    assert "found" in str(caught.value)
    assert not any(len(sensor.ring) for sensor in windows.sensors.values())
    if name == "fast":
        assert windows.sensors["fast"].told["refused"] == 1


def test_contradicting_samples_are_named():
    windows = windower()
    push(windows, "fast", 0, 0.1)
    _, problem = windows.push("fast", some(10, value=5), 0)
    assert "contradict" in str(problem)
    assert "first at 0 ns" in str(problem)
    assert windows.sensors["fast"].told["conflicting"] > 0


@pytest.mark.parametrize(
    "options", [{"rates": {"fast": 0.0}}, {"lateness": {"fast": -1.0}}, {"rates": {"x": 1.0}}]
)
def test_rates_and_lateness_that_cannot_be_are_refused(options):
    with pytest.raises(BundleError):
        windower(**options)


def test_after_a_restart_the_grid_goes_on_and_no_window_is_judged_twice():
    windows = windower(late=2.5)
    push(windows, "fast", 0.3, 3.3)
    push(windows, "slow", 0.3, 3.3)
    closed = [window.t_ref / SECOND for window in windows.advance(4 * SECOND)]
    assert closed == pytest.approx([1.3, 2.3, 3.3])
    later = windower(late=2.5)
    later.restore(json.loads(json.dumps(windows.state())))
    assert push(later, "fast", 2.3, 5.3) == []
    assert later.sensors["fast"].told["late"] == 100
    assert push(later, "slow", 2.3, 5.3) == pytest.approx([4.3, 5.3])


def test_what_is_sent_again_after_a_restart_sets_no_clock_back():
    """A broker that sends the last minutes of one sensor again must not have them judged twice."""
    windows = windower(late=2.5)
    for second in range(600):
        push(windows, "fast", second, second + 1)
        push(windows, "slow", second, second + 1)
    later = windower(late=2.5)
    later.restore(windows.state())
    for second in (480, 490, 500, 510):
        assert push(later, "fast", second, second + 1) == []
    assert later.set_back == 0
    assert later.clock == windows.clock


def test_a_whole_recording_too_long_is_refused_before_any_of_it_is_taken(monkeypatch):
    monkeypatch.setattr("sensorkd.edge.sensor.WHOLE_BYTES", 100_000)
    windows = Windower(describe({"fast": encoding(100.0, None)}))
    windows.begin("part")
    # Each stamp is off, so that each sample is a piece of its own, which takes more than the sample.
    times = np.arange(300, dtype=np.int64) * SECOND
    with pytest.raises(BundleError, match="too long to be held"):
        windows.push("fast", some(300), times)
    assert len(windows.sensors["fast"].ring) == 0
    with pytest.raises(BundleError, match="too long to be held"):
        for first in range(0, 300, 10):
            windows.push("fast", some(10), times[first : first + 10])
    assert windows.sensors["fast"].ring.bytes <= 100_000


def test_a_clock_that_was_told_wrong_once_makes_no_sensor_late_for_ever():
    windows = windower()
    for second in range(100, 110):
        push(windows, "fast", second, second + 1)
        push(windows, "slow", second, second + 1)
    windows.advance(10**6 * SECOND)
    closed = []
    for second in range(110, 130):
        for name in ("fast", "slow"):
            chunk = some(round(windows.sensors[name].ring.rate))
            closed += windows.push(name, chunk, second * SECOND)[0]
    assert all(not window.missing for window in closed[-8:])
    assert closed[-1].t_ref > 125 * SECOND


def test_a_clock_that_was_set_back_is_found_though_another_sensor_died_then():
    windows, times = windower(), []
    push(windows, "fast", 50_000, 50_010)
    push(windows, "slow", 50_000, 50_010)
    for second in range(100, 300):
        times += push(windows, "slow", second, second + 1)
    assert windows.set_back == 1
    assert times[-1] > 290
