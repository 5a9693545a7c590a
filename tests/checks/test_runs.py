from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sensorkd.checks.runs import EqualRuns


def counted(values: list[float], cuts: list[int], shortest: int) -> tuple[int, int, int]:
    runs = EqualRuns(shortest)
    edges = sorted({0, len(values), *(cut % (len(values) + 1) for cut in cuts)})
    for start, stop in pairwise(edges):
        runs.add(100 + start, np.array(values[start:stop], dtype=np.float32)[:, None])
    runs.end()
    return runs.total, runs.longest, runs.longest_at


def by_hand(values: list[float], shortest: int) -> tuple[int, int, int]:
    runs: list[tuple[int, int]] = []
    for index, value in enumerate(values):
        if index and value == values[index - 1]:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((100 + index, 1))
    at, longest = max(runs, key=lambda run: (run[1], -run[0]))
    return sum(length for _, length in runs if length >= shortest), longest, at


@given(
    st.lists(st.sampled_from([0.0, 1.0, float("nan")]), min_size=1, max_size=40),
    st.lists(st.integers(0, 1000), max_size=6),
    st.integers(1, 8),
)
def test_however_the_samples_are_cut_into_blocks_the_runs_are_the_same(
    values: list[float], cuts: list[int], shortest: int
) -> None:
    assert counted(values, cuts, shortest) == by_hand(values, shortest)


def test_frames_are_equal_when_all_their_pixels_are() -> None:
    frames = np.zeros((5, 2, 3, 1), np.uint8)
    frames[3, 1, 2, 0] = 1
    runs = EqualRuns(2)
    runs.add(0, frames)
    runs.end()
    assert (runs.total, runs.longest, runs.longest_at) == (3, 3, 0)
