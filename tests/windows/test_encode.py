from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sensorkd.errors import WindowError
from sensorkd.recordings import open_recordings
from sensorkd.timeline import SECOND
from sensorkd.windows.encode import InputRequest, fix_encodings

SPAN = {"acceleration": InputRequest(span=SECOND)}


def test_the_encoding_is_that_of_the_streams_in_the_unit_of_the_modality(record: Any, shake: Any) -> None:
    recording = record({"acceleration": shake(unit="g", scale=0.001)})
    encoding = fix_encodings([recording], SPAN)["acceleration"]
    assert (encoding.dtype, encoding.unit, encoding.steps, encoding.rate) == ("int16", "m/s2", 100, 100.0)
    assert encoding.scale == pytest.approx(0.00980665)
    assert (encoding.sample_shape, encoding.channels, encoding.span) == ((2,), ("x", "y"), SECOND)


def test_the_usual_gain_wins(record: Any, shake: Any) -> None:
    gains = [0.02, 0.01, 0.01]
    recordings = [record({"acceleration": shake(scale=g)}, name=f"{n}.h5") for n, g in enumerate(gains)]
    assert fix_encodings(recordings, SPAN)["acceleration"].scale == 0.01


def test_the_rate_is_one_that_a_stream_has(record: Any, shake: Any) -> None:
    recordings = [record({"acceleration": shake(rate=rate)}, name=f"{rate}.h5") for rate in (50.0, 100.0)]
    assert fix_encodings(recordings, SPAN)["acceleration"].rate == 50.0


def test_a_whole_recording_needs_steps_and_a_span_none(record: Any, shake: Any) -> None:
    recording = record({"acceleration": shake()})
    whole = fix_encodings([recording], {"acceleration": InputRequest(steps=16)})["acceleration"]
    assert (whole.steps, whole.whole) == (16, True)
    for request, told in (
        (InputRequest(), "steps: N"),
        (InputRequest(span=SECOND, steps=3), "both span and steps"),
    ):
        with pytest.raises(WindowError, match=told) as caught:
            fix_encodings([recording], {"acceleration": request})
        assert caught.value.inside == "inputs.acceleration"


def test_a_stream_that_nobody_has_is_told_with_the_nearest(record: Any, shake: Any) -> None:
    with pytest.raises(WindowError, match="did you mean 'acceleration'"):
        fix_encodings([record({"acceleration": shake()})], {"accelaration": InputRequest(span=SECOND)})


def test_streams_that_differ_in_shape_are_told_with_both_places(record: Any, shake: Any) -> None:
    two = record({"acceleration": shake()}, name="two.h5")
    three = record({"acceleration": shake(samples=np.zeros((50, 3), np.int16), channels=())}, name="three.h5")
    with pytest.raises(WindowError, match=r"differ between recordings(.|\n)*two\.h5::monday"):
        fix_encodings([two, two, three], SPAN)


def test_a_unit_that_the_modality_does_not_know_is_told_with_its_place(record: Any, shake: Any) -> None:
    recording = record({"acceleration": shake(unit="furlong/s2")})
    with pytest.raises(WindowError, match=r"'furlong/s2'(.|\n)*'m/s2'(.|\n)*to mend") as caught:
        fix_encodings([recording], SPAN)
    assert (caught.value.file, caught.value.inside) == (str(recording.path), "/monday acceleration")


def test_a_big_endian_stream_is_encoded_in_native_order(write_archive: Any, shake: Any) -> None:
    path = write_archive({"acceleration": shake(samples=shake()["samples"].astype(">i2"))})
    (recording,) = open_recordings(path)
    encoding = fix_encodings([recording], SPAN)["acceleration"]
    raw = recording.streams["acceleration"].read(0, 100)
    assert raw.dtype == np.dtype(">i2")
    made = encoding.encode(raw, scale=0.01, offset=0.0)
    assert made.dtype == np.dtype("int16")
    np.testing.assert_array_equal(made, raw)
