"""Windows over sensors that are logged in bursts, each with the slow sensors' time before it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from sensorkd.errors import WindowError
from sensorkd.recordings import Recording, Segments
from sensorkd.timeline import SECOND
from sensorkd.windows.plan import plan_windows
from sensorkd.windows.read import read_window, read_windows

BURSTS = 6


@pytest.fixture
def bursts(record: Any, shake: Any, heat: Any) -> Recording:
    """1 s of acceleration every 10 s, temperature at 2 Hz throughout but for the first 15 s."""
    table = Segments(
        t0=np.arange(BURSTS) * 10 * SECOND,
        rate=np.full(BURSTS, 100.0),
        offset=np.arange(BURSTS) * 100,
        count=np.full(BURSTS, 100),
    )
    fast = shake(seconds=BURSTS, segments=table)
    return record({"acceleration": fast, "temperature": heat(seconds=45.0, t0=15 * SECOND)})


def test_every_burst_ends_a_window(bursts: Recording, encodings: Any) -> None:
    plan = plan_windows([bursts], encodings(spans=(1.0, 4.0)), segment_of="acceleration")
    assert (plan.t_ref / SECOND).tolist() == [1, 11, 21, 31, 41, 51]
    assert plan.coverage[:, 0].tolist() == [1.0] * BURSTS
    assert plan.coverage[:, 1].tolist() == [0.0, 0.0, 1.0, 1.0, 1.0, 1.0]


def test_a_window_holds_its_burst_and_what_was_before_it(bursts: Recording, encodings: Any) -> None:
    window = read_window(bursts, 21 * SECOND, encodings(spans=(1.0, 4.0)))
    assert window.inputs["acceleration"][:, 0].tolist() == list(range(200, 300))
    assert window.presence.tolist() == [1.0, 1.0]
    np.testing.assert_allclose(window.inputs["temperature"][:, 0], 20 + 0.01 * np.arange(4, 12), atol=1e-5)


def test_a_burst_shorter_than_the_span_counts_by_its_coverage(bursts: Recording, encodings: Any) -> None:
    plan = plan_windows([bursts], encodings(spans=(2.0, 4.0)), segment_of="acceleration")
    assert plan.coverage[:, 0].tolist() == [0.5] * 4  # the others have too little of both
    assert (plan.t_ref / SECOND).tolist() == [21, 31, 41, 51]


def test_a_stream_may_set_the_time_without_being_an_input(bursts: Recording, encodings: Any) -> None:
    only = {"temperature": encodings(spans=(1.0, 4.0))["temperature"]}
    plan = plan_windows([bursts], only, segment_of="acceleration")
    assert (plan.t_ref / SECOND).tolist() == [21, 31, 41, 51]


def test_adjacent_cycles_are_windows_of_their_own(record: Any, shake: Any, encodings: Any) -> None:
    table = Segments(np.arange(5) * SECOND, np.full(5, 100.0), np.arange(5) * 100, np.full(5, 100))
    cycles = record({"acceleration": shake(seconds=5, segments=table)})
    inputs = {"acceleration": encodings()["acceleration"]}
    plan = plan_windows([cycles], inputs, segment_of="acceleration")
    arrays = read_windows([cycles], plan, inputs)
    assert arrays.inputs["acceleration"][:, :, 0].tolist() == np.arange(500).reshape(5, 100).tolist()


def test_a_recording_without_the_bursts_is_named(bursts: Recording, encodings: Any) -> None:
    blind = dataclasses.replace(bursts, id="blind", streams={"temperature": bursts.streams["temperature"]})
    plan = plan_windows([bursts, blind], encodings(spans=(1.0, 4.0)), segment_of="acceleration")
    assert "no stream 'acceleration', whose segments" in dict(plan.skipped)["blind"]


def test_an_unknown_stream_of_segments_is_told_with_the_nearest(bursts: Recording, encodings: Any) -> None:
    with pytest.raises(WindowError, match=r"'acceleratoin'(.|\n)*did you mean 'acceleration'"):
        plan_windows([bursts], encodings(), segment_of="acceleratoin")


def test_a_hop_and_segments_at_once_make_no_sense(bursts: Recording, encodings: Any) -> None:
    with pytest.raises(WindowError, match="either a hop or segment_of"):
        plan_windows([bursts], encodings(), hop=SECOND, segment_of="acceleration")
