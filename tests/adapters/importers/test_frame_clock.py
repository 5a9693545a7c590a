"""Frames of any rate are runs that stay close to their stamps and follow each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sensorkd_adapters.importers.frame_clock import segments_of_frames

from sensorkd.errors import ArchiveError
from sensorkd.recordings.stream import Segments, check_segments

FILE = Path("a.mp4")


def run(steps: list[float]) -> tuple[Segments, float, NDArray[np.int64]]:
    """Segments of frames that follow each other by these steps in ms."""
    stamps = np.rint(np.concatenate([[0], np.cumsum(steps)]) * 1e6).astype(np.int64)
    segments, worst = segments_of_frames(stamps, file=FILE)
    check_segments(segments, len(stamps), file=FILE, inside="frames")
    assert segments.count.sum() == len(stamps)
    return segments, worst, stamps


@pytest.mark.parametrize(
    ("steps", "rates"),
    [
        ([1001 / 30] * 99, [29.97]),
        ([33, 33, 34] * 33, [30.0]),
        ([40.0] * 99 + [5000.0] + [40.0] * 99, [25.0, 25.0]),
        ([1000 / 30] * 20 + [1000 / 24] * 20, [30.0, 24.0]),
        ([100.0] * 30 + [1000 / 60] * 300, [10.0, 60.0]),  # a screen that begins to move
    ],
)
def test_what_cameras_do_gives_the_fewest_runs(steps: list[float], rates: list[float]) -> None:
    segments, worst, _ = run(steps)
    assert segments.rate.tolist() == pytest.approx(rates, rel=0.01)
    assert worst < 0.001


def test_a_dropped_frame_is_a_gap() -> None:
    segments, _, _ = run([1000 / 30] * 10 + [2000 / 30] + [1000 / 30 + 0.001] * 10)
    assert segments.count.tolist() == [11, 11]
    assert segments.t0[1] - segments.ends[0] == pytest.approx(1e9 / 30, abs=1e6)


@given(st.lists(st.sampled_from([5.0, 16.7, 33.3, 33.4, 40.0, 66.7, 100.0, 900.0]), min_size=2, max_size=120))
def test_no_frame_is_off_its_stamp_by_more_than_a_period_of_its_run(steps: list[float]) -> None:
    segments, worst, stamps = run(steps)
    longest = 0.0
    for t0, rate, offset, count in zip(
        segments.t0, segments.rate, segments.offset, segments.count, strict=True
    ):
        off = np.abs(stamps[offset : offset + count] - t0 - np.arange(count) / rate * 1e9).max()
        longest = max(longest, float(off))
        assert off <= 1e9 / rate + 1 or count == 1
    assert longest / 1e9 <= worst + 1e-6


def test_a_single_frame_needs_a_claimed_rate() -> None:
    segments, worst = segments_of_frames(np.array([7]), file=FILE, rate=25.0)
    assert (segments.t0.tolist(), segments.rate.tolist(), worst) == ([7], [25.0], 0.0)
    with pytest.raises(ArchiveError, match="too few time stamps"):
        segments_of_frames(np.array([7]), file=FILE)
