"""What is gathered block by block is what `quality.assess` says of the samples in one piece."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sensorkd.checks.tally import StreamTally
from sensorkd.quality import FAULTS, Limits, assess

LIMITS = Limits(scale=0.5, offset=1.0, valid_range=(-20.0, 20.0), stuck_run=3)


def gathered(samples: NDArray[Any], block: int, limits: Limits = LIMITS) -> StreamTally:
    tally = StreamTally(limits, samples.shape[1:], samples.dtype)
    for start in range(0, len(samples), block):
        tally.add(start, samples[start : start + block])
    tally.end()
    return tally


def shares(samples: NDArray[Any], limits: Limits) -> dict[str, float]:
    return dict(zip(FAULTS, assess(samples, limits).faults.tolist(), strict=True))


SIGNALS = {
    np.float32: [0.0, 1.0, 2.0, 100.0, -np.inf, np.nan],
    np.int16: [0, 1, 2, 300, -32768, 32767],
    np.uint16: [0, 1, 2, 300, 65535],
}


@pytest.mark.parametrize("dtype", SIGNALS)
@given(st.data())
def test_signals_have_the_faults_that_windows_would_have(dtype: Any, data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.tuples(*[st.sampled_from(SIGNALS[dtype])] * 2), min_size=1, max_size=30))
    samples = np.array(rows, dtype=dtype)
    tally, told = gathered(samples, data.draw(st.integers(1, 9))), shares(samples, LIMITS)
    count = len(samples)

    def worst(name: str) -> float:
        return max(getattr(channel, name).count for channel in tally.channels) / count

    assert worst("not_finite") == pytest.approx(told["not finite"])
    assert worst("out_of_range") == pytest.approx(told["out of range"])
    assert worst("saturated") == pytest.approx(told["saturated"])
    assert max(runs.total for runs in tally.runs) / count == pytest.approx(told["stuck"])


@given(st.lists(st.integers(0, 3), min_size=1, max_size=20), st.integers(1, 7))
def test_frames_have_the_faults_that_windows_would_have(kinds: list[int], block: int) -> None:
    frames = np.zeros((len(kinds), 2, 2, 1), np.uint8)
    frames[:, 0, 0, 0] = kinds  # kind 0 is blank
    tally, told = gathered(frames, block), shares(frames, LIMITS)
    assert tally.blank.count / len(kinds) == pytest.approx(told["blank"])
    assert tally.runs[0].total / len(kinds) == pytest.approx(told["frozen"])


def test_the_first_and_the_furthest_are_remembered_over_blocks() -> None:
    samples = np.array([[1.0], [50.0], [np.nan], [-90.0], [60.0], [2.0]], np.float32)
    channel = gathered(samples, 2).channels[0]
    assert (channel.out_of_range.first, channel.out_of_range.count) == (1, 3)
    assert channel.out_of_range.extreme == -44.0  # -90 * 0.5 + 1
    assert (channel.not_finite.first, channel.not_finite.count) == (2, 1)
    assert (channel.low, channel.high) == (-44.0, 31.0)


def test_a_fault_in_a_picture_is_at_its_frame() -> None:
    frames = np.zeros((6, 4, 4, 1), np.float32)
    frames[4, 2, 2, 0] = np.nan
    assert gathered(frames, 5).channels[0].not_finite.first == 4


def test_mean_and_deviation_are_physical_and_pass_over_what_is_no_number() -> None:
    channel = gathered(np.array([[2.0], [np.nan], [6.0]], np.float64), 2).channels[0]
    assert (channel.mean, channel.deviation) == (3.0, 1.0)


def test_the_hash_depends_on_samples_and_not_on_blocks() -> None:
    samples = np.arange(20, dtype=np.int16).reshape(10, 2)
    assert gathered(samples, 3).digest == gathered(samples, 7).digest
    changed = samples.copy()
    changed[9, 1] += 1
    assert gathered(samples, 3).digest != gathered(changed, 3).digest
