"""Stamps in any order come out in one order of time, what was dropped is counted; or an error says where."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorkd.errors import ArchiveError
from sensorkd.recordings.stamp_order import LATEST, StampOrder, Stamps, order_of_stamps
from sensorkd.timeline import SECOND


def order(times: list[float], values: list[int] | None = None, *, cut: bool = False) -> StampOrder:
    told = np.arange(len(times)) if values is None else np.array(values)
    stamps = Stamps(np.rint(np.array(times) * SECOND).astype(np.int64), Path("a.h5"), "/t")
    return order_of_stamps(stamps, lambda first, second: told[first] == told[second], cut=cut)


def test_stamps_that_rise_need_no_order() -> None:
    assert order([0.0, 1.0, 5.0, 5.5]) == StampOrder()
    assert order([3.0]) == StampOrder()
    assert order([]) == StampOrder()


@settings(max_examples=40)
@given(st.integers(2, 300), st.integers(0, LATEST - 1), st.randoms(use_true_random=False))
def test_any_shuffle_within_the_tolerance_is_undone(count: int, late: int, random: object) -> None:
    # Each sample comes up to `late` periods after its time.
    delay = [index + random.uniform(0, late) for index in range(count)]  # type: ignore[attr-defined]
    came = np.argsort(delay, kind="stable")
    found = order([float(index) for index in came])
    laid = came if found.order is None else came[found.order]
    assert laid.tolist() == list(range(count))
    behind = np.maximum.accumulate(came) > came
    assert (found.reordered, found.duplicates, found.breaks) == (int(behind.sum()), 0, ())


@given(st.lists(st.integers(1, 4), min_size=2, max_size=60))
def test_repeats_are_dropped_however_many(times: list[int]) -> None:
    rows = np.repeat(np.arange(len(times)), times)
    found = order(rows.astype(float).tolist(), rows.tolist())
    kept = rows if found.order is None else rows[found.order]
    assert kept.tolist() == list(range(len(times)))
    assert found.duplicates == sum(times) - len(times)


@given(st.integers(20, 200), st.integers(80, 400), st.integers(1, 1000))
def test_after_a_cut_every_stamp_is_held_once_and_only_what_comes_twice_is_gone(
    before: int, after: int, back: int
) -> None:
    times = np.concatenate([np.arange(before), before - back - 0.3 + np.arange(after)])
    found = order(times.tolist(), cut=True)
    assert found.order is not None
    laid = times[found.order]
    assert (np.diff(laid) > 0.9).all()
    assert found.cut == before + after - len(laid)
    # All that was logged after is there, and all of before that came to an end by then or began later.
    kept = set(found.order.tolist())
    assert kept >= set(range(before, before + after))
    apart = times[before - 1] + 1 <= times[before] or times[-1] + 1 <= times[0]
    earlier = [row for row in range(before) if apart or times[row] <= times[before] - 1]
    assert kept == {*earlier, *range(before, before + after)}
    assert len(found.breaks) == (1 if earlier else 0)


def test_a_clock_set_back_into_a_gap_is_told_by_what_follows_the_gap() -> None:
    before = np.delete(np.arange(200.0), np.s_[180:190])
    found = order([*before, *(180 + np.arange(100.0))], [*range(190), *range(500, 600)], cut=True)
    assert (found.breaks, found.cut, found.reordered) == ((180,), 10, 0)


def test_a_clock_set_back_twice_has_three_parts() -> None:
    times = [*range(100), *(50.5 + np.arange(100)), *(120.25 + np.arange(100))]
    found = order(times, cut=True)
    assert found.breaks == (50, 119)
    assert found.cut == 50 + 31


@pytest.mark.parametrize(
    ("times", "told"),
    [
        ([*range(100), 3.5, *range(100, 200)], r"too late(.|\n)*sample 100 at 3\.5"),
        ([*range(100), 3.5], r"too late(.|\n)*sample 100 at 3\.5"),
        ([0, 1, 2, 3, 2.9, 4, 5], r"set back(.|\n)*sample 4 at 2\.9(.|\n)*after sample 3"),
        ([0, 1, 2, 2, 3], r"differ(.|\n)*sample 2 and sample 3 at 2\.0"),
        ([5, 5, 5, 5], r"differ(.|\n)*sample 0 and sample 1 at 5\.0(.|\n)*and 2 more"),
    ],
)
def test_what_no_order_can_be_made_of_is_told_with_its_rows(times: list[float], told: str) -> None:
    with pytest.raises(ArchiveError, match=told) as caught:
        order(times)
    assert (caught.value.file, caught.value.inside) == ("a.h5", "/t")
    assert caught.value.expected
    assert caught.value.mend


def test_a_clock_that_is_set_all_the_time_is_none() -> None:
    saw = np.concatenate([np.arange(80) + 0.001 * part for part in range(200)])
    with pytest.raises(ArchiveError, match="more than 100 times"):
        order(saw.tolist(), cut=True)
