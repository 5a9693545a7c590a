from __future__ import annotations

from typing import Any

import pytest

from sensorkd.recordings.clocks import compare_clocks
from sensorkd.timeline import SECOND


def test_offsets_and_overlap_are_told_for_every_pair(record: Any, shake: Any, heat: Any) -> None:
    recording = record(
        {
            "acceleration": shake(10.0),
            "temperature": heat(10.0, t0=4 * SECOND),
            "wall": heat(2.0, t0=30 * SECOND),
        }
    )
    pairs = {(pair.first, pair.second): pair for pair in compare_clocks(recording)}
    assert len(pairs) == 3
    late = pairs["acceleration", "temperature"]
    assert (late.offset_start, late.offset_end, late.overlap) == (4.0, 4.0, 0.6)
    assert late.drift is None  # they did not begin together, so their lengths tell nothing
    apart = pairs["temperature", "wall"]
    assert apart.overlap == 0.0
    assert apart.ranges() == "temperature from 4.000 s to 14.000 s; wall from 30.000 s to 32.000 s"


def test_constant_rates_that_part_are_drift(record: Any, shake: Any) -> None:
    streams = {"a": shake(100.0), "b": {**shake(100.0), "rate": 100.02}}
    (pair,) = compare_clocks(record(streams))
    assert pair.drift == pytest.approx(-200.0, rel=1e-3)
    assert pair.offset_end == pytest.approx(-0.02, rel=1e-3)


def test_a_single_stream_has_no_pair(record: Any, shake: Any) -> None:
    assert compare_clocks(record({"acceleration": shake()})) == []
