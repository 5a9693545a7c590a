"""Runs without a gap are found from time stamps alone, and clocks that begin anew are laid end to end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorkd.errors import ArchiveError
from sensorkd.recordings import Segments
from sensorkd.recordings.segmenting import check_turns, segments_of_stamps, unwrap
from sensorkd.recordings.stream import check_segments
from sensorkd.timeline import SECOND, sample_times

DAY = 86_400 * SECOND


def found(times: np.ndarray, rate: float | None = None) -> Segments:
    return segments_of_stamps(times, file=Path("line.h5"), inside="/time", rate=rate)


@given(
    st.lists(st.tuples(st.integers(3, 60), st.floats(2.0, 1e4)), min_size=1, max_size=6),
    st.sampled_from([0.1, 1.0, 10.0, 29.97, 1000.0, 25_600.0]),
    st.integers(-(10**15), 10**15),
)
def test_runs_come_back_as_they_were_laid(runs: list[tuple[int, float]], rate: float, start: int) -> None:
    parts, t0, begun = [], start, []
    for count, pause in runs:
        begun.append(t0)
        parts.append(sample_times(t0, rate, np.arange(count)))
        t0 = int(parts[-1][-1]) + round((1 + pause) / rate * SECOND)
    times = np.concatenate(parts)
    segments = found(times)
    assert segments.t0.tolist() == begun
    assert segments.count.tolist() == [count for count, _ in runs]
    assert segments.offset.tolist() == np.cumsum([0, *(count for count, _ in runs)])[:-1].tolist()
    np.testing.assert_allclose(segments.rate, rate, rtol=1e-3)
    check_segments(segments, len(times), file=Path("line.h5"), inside="/time")


def test_stamps_in_whole_seconds_of_a_slower_sensor_hold_no_gap() -> None:
    true = np.arange(1000) / 0.957
    segments = found(np.floor(true).astype(np.int64) * SECOND)
    assert len(segments) == 1
    assert segments.rate[0] == pytest.approx(0.957, rel=2e-3)


def test_a_pause_in_stamps_of_whole_seconds_is_a_gap() -> None:
    true = np.concatenate([np.arange(500) / 0.957, 600 + np.arange(500) / 0.957])
    segments = found(np.floor(true).astype(np.int64) * SECOND)
    assert segments.count.tolist() == [500, 500]
    assert segments.rate.tolist() == [segments.rate[0]] * 2  # one sensor, one rate


def test_a_single_lost_sample_of_a_fine_clock_is_a_gap() -> None:
    times = sample_times(0, 10.0, np.delete(np.arange(100), 40)) + np.arange(99) % 3 * 1000
    assert found(times).count.tolist() == [40, 59]


def test_a_segment_at_another_rate_keeps_its_own() -> None:
    slow = sample_times(0, 10.0, np.arange(1000))
    fast = int(slow[-1]) + SECOND + sample_times(0, 10.4, np.arange(200))
    segments = found(np.concatenate([slow, fast]))
    np.testing.assert_allclose(segments.rate, [10.0, 10.4], rtol=0.01)
    assert abs(segments.rate[1] / 10.4 - 1) < 1e-4


def test_a_single_stamp_needs_a_rate() -> None:
    assert found(np.array([5]), rate=2.0).t0.tolist() == [5]
    with pytest.raises(ArchiveError, match=r"line\.h5 at /time: too few time stamps(.|\n)*name the rate"):
        found(np.array([5]))
    with pytest.raises(ArchiveError, match="found: 0"):
        found(np.array([], dtype=np.int64), rate=2.0)


def test_stamps_that_repeat_or_go_backwards_are_told_with_their_place() -> None:
    with pytest.raises(ArchiveError, match=r"repeat(.|\n)*sample 2 at 1\.000000 s(.|\n)*name a rate"):
        found(np.array([0, 1, 1, 2]) * SECOND)
    with pytest.raises(ArchiveError, match=r"go backwards(.|\n)*sample 3 at 1\.0(.|\n)*`wraps`"):
        found(np.array([0, 1, 2, 1, 2]) * SECOND)


def test_a_rate_that_contradicts_the_stamps_is_told_with_both() -> None:
    times = sample_times(0, 50.0, np.arange(100))
    assert found(times, rate=50.2).rate.tolist() == [50.2]
    with pytest.raises(ArchiveError, match=r"rate 30 Hz(.|\n)*50 Hz, as 100 stamps say"):
        found(times, rate=30.0)


@given(
    st.integers(-5 * DAY, 5 * DAY), st.lists(st.integers(1, DAY // 2 - 1), max_size=60), st.integers(0, DAY)
)
def test_a_time_of_day_is_laid_end_to_end(start: int, steps: list[int], near: int) -> None:
    true = np.cumsum([start, *steps])
    laid = unwrap(true % DAY, DAY, near=near)
    assert np.diff(laid).tolist() == steps
    assert abs(int(laid[0]) - near) <= DAY // 2
    assert (laid[0] - start) % DAY == 0


def test_out_of_order_by_little_is_not_midnight() -> None:
    assert unwrap(np.array([10, 9, 11]), 24).tolist() == [10, 9, 11]


def test_a_known_longest_pause_says_which_way_a_step_went() -> None:
    night = np.array([21, 22, 6, 7])  # hours of day
    assert unwrap(night, 24).tolist() == [21, 22, 30, 31]
    assert unwrap(np.array([6, 19]), 24).tolist() == [6, -5]
    assert unwrap(np.array([6, 19]), 24, longest=14).tolist() == [6, 19]
    assert unwrap(np.array([19, 8]), 24, longest=14).tolist() == [19, 32]


@pytest.mark.parametrize(
    ("step", "told"), [(7, "forwards by 7 s, or back by 17 s"), (-7, "forwards by 17 s, or back by 7 s")]
)
def test_a_step_of_more_than_a_quarter_turn_is_ambiguous(step: int, told: str) -> None:
    laid = np.cumsum([0, 1, 1, step, 1, 1]) * SECOND
    with pytest.raises(ArchiveError, match="ambiguous") as caught:
        check_turns(laid, 24 * SECOND, per_second=SECOND, file=Path("line.h5"), inside="/time")
    assert f"from row 2 to 3 {told}" in str(caught.value)
    assert "whole turns of 24 s more" in str(caught.value)
    assert "6 s" in str(caught.value.expected)
    assert "`longest_gap`" in str(caught.value.mend)


def test_regular_steps_and_late_samples_of_a_clock_that_wraps_are_none() -> None:
    for steps in ([1, 1, 6, 1], [1, -1, 2, 1], [5, 5, 5], []):
        laid = np.cumsum([0, *steps]) * SECOND
        check_turns(laid, 24 * SECOND, per_second=SECOND, file=Path("line.h5"), inside="/time")


def test_a_segment_begins_at_a_break_where_the_stamps_show_none() -> None:
    times = sample_times(0, 10.0, np.arange(100))
    segments = segments_of_stamps(times, file=Path("line.h5"), inside="/time", breaks=[40])
    assert segments.count.tolist() == [40, 60]
    np.testing.assert_allclose(segments.rate, 10.0)


def test_a_clock_that_drifts_is_cut_where_its_stamps_would_be_missed() -> None:
    rate = np.linspace(9.5, 10.5, 4000)  # ten times as bad as a bad crystal
    times = np.rint(np.cumsum(1 / rate) * SECOND).astype(np.int64)
    segments = found(times)
    assert 2 <= len(segments) <= 12
    for row in range(len(segments)):
        first, count = int(segments.offset[row]), int(segments.count[row])
        laid = sample_times(int(segments.t0[row]), float(segments.rate[row]), np.arange(count))
        assert np.abs(laid - times[first : first + count]).max() < 0.25 * SECOND
