from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorkd.errors import ArchiveError
from sensorkd.recordings import LabelTrack
from sensorkd.recordings.stream import Axis, SampleSource, Segments, check_axes, check_rate, check_segments
from sensorkd.timeline import SECOND, duration, sample_times

FILE = Path("a.h5")


def table(*rows: tuple[int, float, int, int]) -> Segments:
    t0, rate, offset, count = zip(*rows, strict=True)
    return Segments(np.array(t0), np.array(rate, float), np.array(offset), np.array(count))


@given(
    st.lists(
        st.tuples(st.integers(-(10**18), 10**18), st.floats(0.01, 5e4), st.integers(1, 10**6)), min_size=1
    )
)
def test_each_segment_ends_one_period_after_its_last_sample(rows: list[tuple[int, float, int]]) -> None:
    segments = table(*((t0, rate, 0, count) for t0, rate, count in rows))
    assert segments.ends.tolist() == [t0 + duration(rate, count) for t0, rate, count in rows]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([(0, 10.0, 0, 0)], "segment 0: offset 0, count 0"),
        ([(0, 10.0, 0, 10), (SECOND, 10.0, -1, 5)], "segment 1: offset -1"),
        ([(0, 10.0, 95, 6)], "100 samples in all"),
        ([(0, 10.0, 2**62, 2**62)], "beyond"),
        ([(0, 10.0, 1, 2**63 - 1)], "beyond"),
        ([(0, 0.0, 0, 10)], "rate"),
        ([(0, float("inf"), 0, 10)], "rate"),
        ([(0, 1e-30, 0, 10)], "rate"),
        ([(0, 1e-8, 0, 100)], "years"),
        ([(2**63 - 10, 10.0, 0, 10)], "years"),
        ([(0, 10.0, 0, 10), (SECOND - 60_000_000, 10.0, 10, 10)], "segment 1: t0 940000000"),
        ([(SECOND, 10.0, 0, 10), (0, 10.0, 10, 10)], "overlap"),
    ],
)
def test_segments_that_cannot_be_are_refused_by_row(rows: list[Any], told: str) -> None:
    with pytest.raises(ArchiveError, match="to mend") as caught:
        check_segments(table(*rows), 100, file=FILE, inside="/s")
    assert told in str(caught.value)
    assert (caught.value.file, caught.value.inside) == ("a.h5", "/s")


def test_segments_may_touch_jitter_by_less_than_half_a_sample_and_share_the_array_in_any_order() -> None:
    good = table((0, 10.0, 50, 10), (SECOND, 10.0, 0, 10), (2 * SECOND - 49_000_000, 10.0, 20, 10))
    check_segments(good, 100, file=FILE, inside="/s")


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf"), 2e9, 1e-10])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ArchiveError, match="to mend") as caught:
        check_rate(rate, file=FILE, inside="/s")
    assert f"{rate} Hz" in str(caught.value)


@pytest.mark.parametrize(
    ("axes", "shape", "told"),
    [
        (("time", "channel"), (5,), "2 axes are named for an array of 1"),
        (("channel",), (5,), "'time'"),
        (("time", "time"), (5, 5), "once"),
        (("time", "height"), (5, 5), "go together"),
        (("time", "segment"), (5, 5), "first axis"),
        ((), (), "'time'"),
        (("time",), (5,), None),
        (("segment", "channel", "time"), (5, 5, 5), None),
        (("channel", "height", "width", "time"), (1, 2, 3, 4), None),
    ],
)
def test_axes_that_make_no_sense_are_told(
    axes: tuple[str, ...], shape: tuple[int, ...], told: str | None
) -> None:
    problem = check_axes(axes, shape)
    assert problem is None if told is None else problem is not None and told in problem


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(1, 12), st.sampled_from([1.0, 8.0])), min_size=1, max_size=5
    ),
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), max_size=6),
)
def test_segments_without_ranges_hold_all_other_samples_at_the_same_times(
    rows: list[tuple[int, int, float]], cuts: list[tuple[int, int]]
) -> None:
    offset = t0 = 0
    made = []
    for skipped, count, rate in rows:
        offset += skipped
        made.append((t0, rate, offset, count))
        offset, t0 = offset + count, t0 + (count + 3) * SECOND
    ranges, place = [], -3
    for pause, length in cuts:
        ranges.append((max(0, place + pause), place + pause + length))
        place += pause + length
    ranges = [(first, last) for first, last in ranges if last > first]

    def held(segments: Segments) -> dict[int, int]:
        return {
            int(segments.offset[row]) + k: int(sample_times(segments.t0[row], segments.rate[row], k))
            for row in range(len(segments))
            for k in range(int(segments.count[row]))
        }

    gone = {index for first, last in ranges for index in range(first, last)}
    left = table(*made).without(ranges)
    assert held(left) == {index: t for index, t in held(table(*made)).items() if index not in gone}
    assert (left.count > 0).all()


def test_the_time_of_samples_is_told_a_run_each() -> None:
    segments = table((0, 10.0, 50, 10), (SECOND * 5, 10.0, 0, 10))
    assert segments.spans(5, 55) == [(0, SECOND // 2), (SECOND * 11 // 2, 6 * SECOND)]
    assert segments.spans(10, 50) == []


LAYOUTS: list[tuple[Axis, ...]] = [
    ("time",),
    ("time", "channel"),
    ("channel", "time"),
    ("time", "height", "width"),
    ("time", "channel", "height", "width"),
    ("height", "width", "channel", "time"),
    ("segment", "time"),
    ("segment", "time", "channel"),
    ("segment", "channel", "time"),
    ("segment", "height", "time", "width"),
]


@pytest.mark.parametrize("axes", LAYOUTS)
def test_any_order_of_axes_is_read_as_time_first_channel_last(tmp_path: Path, axes: tuple[Axis, ...]) -> None:
    sizes = {"segment": 4, "time": 6, "height": 2, "width": 5, "channel": 3}
    shape = tuple(sizes[axis] for axis in axes)
    array = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["data"] = array
    source = SampleSource(path, "/data", axes, shape)
    # Reference: all of it, put in order by einsum, segments laid end to end.
    letters = {"segment": "s", "time": "t", "height": "h", "width": "w", "channel": "c"}
    order = "".join(letters[axis] for axis in letters if axis in axes)
    whole = np.einsum(f"{''.join(letters[axis] for axis in axes)}->{order}", array)
    whole = whole.reshape(source.count, *source.sample_shape)
    for start, stop in (
        (0, source.count),
        (0, 1),
        (2, 5),
        (source.count - 1, source.count),
        (3, 3),
        (5, min(13, source.count)),
    ):
        np.testing.assert_array_equal(source.read(start, stop), whole[start:stop], err_msg=f"{start}:{stop}")


def track(*rows: tuple[int, int, str]) -> LabelTrack:
    return LabelTrack(
        np.array([r[0] for r in rows]), np.array([r[1] for r in rows]), tuple(r[2] for r in rows)
    )


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 10), st.sampled_from("ab")), max_size=8))
def test_a_track_is_at_fault_just_when_two_classes_hold_at_once(rows: list[tuple[int, int, str]]) -> None:
    made = track(*((t0, t0 + length, label) for t0, length, label in rows))
    held = [{label for t0, length, label in rows if t0 <= time < t0 + length} for time in range(41)]
    assert (made.fault() is not None) == any(len(classes) > 1 for classes in held)


def test_an_interval_without_length_is_a_fault() -> None:
    fault = track((0, 5, "a"), (7, 7, "b")).fault()
    assert fault is not None
    assert fault[1] == (1,)
