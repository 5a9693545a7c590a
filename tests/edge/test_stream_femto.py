"""A real bearing, streamed as its sensors sent it, has the windows of its archive."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sensorkd.edge.windower import Windower
from sensorkd.recordings import Stream
from sensorkd.runs import load_config
from sensorkd.runs.data import plan_run, read_for
from sensorkd.timeline import sample_times
from tests.edge.streams import assert_same, describe

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("SENSORKD_DATA", ROOT.parent / "shared" / "data")) / "femto"
# Bursts of a tenth of a second every ten seconds, and a thermometer with a pause.
BEARING = DATA / "Bearing3_1.h5"

pytestmark = pytest.mark.skipif(not BEARING.is_file(), reason="FEMTO is not in SENSORKD_DATA")


def sent(name: str, stream: Stream, at_once: int) -> Iterator[tuple[int, str, int, int, int]]:
    """(when a chunk is complete, name, its first sample's time, first and last + 1 in the stream)."""
    segments = stream.segments
    columns = (segments.t0, segments.rate, segments.offset, segments.count)
    for t0, rate, offset, count in zip(*(column.tolist() for column in columns), strict=True):
        for first in range(0, count, at_once):
            stop = min(first + at_once, count)
            begin, end = sample_times(t0, rate, np.array([first, stop - 1])).tolist()
            yield end, name, begin, offset + first, offset + stop


def test_streamed_it_has_the_windows_of_its_archive() -> None:
    config = load_config(ROOT / "examples" / "configs" / "femto.yaml", [f"data=[{BEARING}]", "split.test=[]"])
    planned = plan_run(config)
    (recording,), inputs = planned.recordings, planned.encodings
    windower = Windower(describe(inputs, segment_of="acceleration"))
    chunks = [
        chunk
        for name, at_once in {"acceleration": 2560, "temperature": 10}.items()
        for chunk in sent(name, recording.streams[name], at_once)
    ]
    closed: list[Any] = []
    for _, name, begin, first, stop in sorted(chunks):
        stream, encoding = recording.streams[name], inputs[name]
        samples = stream.read(first, stop)
        # Both hold g as it was logged; scale makes m/s2 of it.
        assert (stream.dtype, encoding.dtype) == ("float32", "float32")
        windows, problem = windower.push(name, samples, begin)
        assert problem is None
        closed += windows
    closed += windower.flush()
    read = read_for(config, planned.recordings, planned.plan, inputs).windows
    assert len(closed) == len(read.t_ref) == 515
    assert 0 < sum("temperature" in window.missing for window in closed) < 515
    assert_same(closed, read)
