"""Samples in payloads lie on the straight line that all payloads tell, not on the jitter of each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sensorkd_adapters.importers.payload_clock import segments_of_payloads

from sensorkd.recordings.stream import Segments
from sensorkd.timeline import SECOND


def laid(counts: list[int], starts: list[float], *, first: list[int] | None = None) -> tuple[Segments, float]:
    count = np.array(counts)
    numbers = np.cumsum(count) - count if first is None else np.array(first)
    begun = np.rint(np.array(starts) * SECOND).astype(np.int64)
    segments, off = segments_of_payloads(numbers, count, begun, begun + SECOND)
    assert segments.count.sum() == count.sum()
    return segments, float(np.abs(off).max())


def test_payloads_without_jitter_are_one_segment_at_the_true_rate() -> None:
    segments, off = laid([200] * 10, [float(n) for n in range(10)])
    assert (segments.t0.tolist(), segments.count.tolist(), off) == ([0], [2000], 0.0)
    assert segments.rate[0] == pytest.approx(200)


def test_a_last_payload_that_is_cut_short_does_not_slow_the_others_down() -> None:
    segments, _ = laid([200] * 10 + [13], [float(n) for n in range(11)])
    assert segments.rate[0] == pytest.approx(200)


@given(
    st.lists(st.floats(-0.03, 0.03), min_size=30, max_size=30),
    st.floats(150.0, 250.0),
    st.integers(0, 99_999),
)
def test_jitter_of_payloads_moves_no_sample_by_more_than_itself(
    jitter: list[float], rate: float, begun: int
) -> None:
    # As cameras do it: whatever has come when the payload is due goes into it.
    edges = [round((n + off) * rate) for n, off in enumerate([*jitter, 0.0])]
    counts = np.diff(edges).tolist()
    segments, _ = laid(counts, [float(n) for n in range(30)], first=[begun + edge for edge in edges[:-1]])
    assert len(segments) == 1
    assert segments.rate[0] == pytest.approx(rate, rel=5e-3)
    first, last = (
        segments.t0[0] / SECOND,
        (segments.t0[0] + (sum(counts) - 1) / segments.rate[0] * 1e9) / SECOND,
    )
    assert first == pytest.approx(edges[0] / rate, abs=0.035)
    assert last == pytest.approx((edges[-1] - 1) / rate, abs=0.035)


def test_a_lost_payload_is_a_gap_on_the_same_line() -> None:
    segments, off = laid([200] * 4, [0.0, 1.0, 3.0, 4.0], first=[0, 200, 600, 800])
    assert segments.count.tolist() == [400, 400]
    assert segments.t0.tolist() == pytest.approx([0, 3 * SECOND], abs=10)
    assert off < 1e-6


@pytest.mark.parametrize("first", [[0, 200, 400, 600], [900, 1100, 0, 200]])
def test_a_pause_of_the_camera_and_a_counter_that_begins_anew_begin_a_line_of_their_own(
    first: list[int],
) -> None:
    segments, off = laid([200] * 4, [0.0, 1.0, 61.0, 62.0], first=first)
    assert segments.count.tolist() == [400, 400]
    assert segments.t0.tolist() == pytest.approx([0, 61 * SECOND], abs=10)
    assert segments.rate.tolist() == pytest.approx([200, 200])
    assert off < 1e-6


def test_a_single_payload_has_the_rate_of_its_duration() -> None:
    segments, _ = laid([198], [5.0], first=[7000])
    assert (segments.t0.tolist(), segments.rate.tolist()) == ([5 * SECOND], [198.0])
