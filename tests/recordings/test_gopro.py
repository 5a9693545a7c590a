"""A real recording of video, acceleration and temperature with a stamp a sample; temperature comes twice."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from sensorkd.recordings import Recording, open_recordings
from sensorkd.recordings.clocks import compare_clocks, drift_of

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("SENSORKD_DATA", ROOT.parent / "shared" / "data")) / "gopro" / "karma.h5"

pytestmark = pytest.mark.skipif(not DATA.is_file(), reason="GoPro is not in SENSORKD_DATA")


@pytest.fixture
def karma() -> Recording:
    return open_recordings(DATA, ROOT / "examples" / "layouts" / "gopro.yaml")[0]


def test_a_temperature_that_comes_twice_is_kept_once(karma: Recording) -> None:
    stream = karma.streams["temperature"]
    assert stream.stamps is not None
    assert (stream.stamps.duplicates, stream.stamps.reordered, stream.stamps.jumps) == (13, 0, 0)
    assert (stream.source.count, len(stream.segments)) == (13, 1)
    assert stream.rate == pytest.approx(1 / 1.001)
    with h5py.File(DATA) as file:
        np.testing.assert_array_equal(stream.read(0, 13)[:, 0], file["temperature/value"][::2])
        np.testing.assert_array_equal(stream.read(4, 6)[:, 0], file["temperature/value"][8:12:2])


def test_the_camera_keeps_its_rate_and_the_accelerometer_that_of_each_payload(karma: Recording) -> None:
    video, acceleration = karma.streams["video"], karma.streams["acceleration"]
    assert (len(video.segments), video.sample_shape) == (1, (64, 112, 3))
    assert video.rate == pytest.approx(29.97, rel=1e-4)
    drift = drift_of(video)
    assert drift is not None
    assert abs(drift) < 2.0  # 29.97 is rounded: it is 30000 / 1001
    assert acceleration.stamps is not None
    # The last payload holds 14 samples in 1.001 s: every pause between them is a gap.
    assert (acceleration.stamps.gaps, acceleration.stamps.duplicates) == (13, 0)
    assert acceleration.stamps.worst < 1 / acceleration.rate
    gravity = np.linalg.norm(acceleration.read(0, acceleration.source.count), axis=1).mean()
    assert gravity == pytest.approx(9.8, abs=0.1)


def test_its_streams_begin_together_and_overlap(karma: Recording) -> None:
    pairs = compare_clocks(karma)
    assert [(pair.first, pair.second) for pair in pairs] == [
        ("video", "acceleration"), ("video", "temperature"), ("acceleration", "temperature"),
    ]  # fmt: skip
    assert {pair.offset_start for pair in pairs} == {0.0}
    assert {pair.overlap for pair in pairs} == {1.0}
    assert max(abs(pair.offset_end) for pair in pairs) < 1.0
