from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from sensorkd.recordings import Layout, Segments, open_recordings
from sensorkd.recordings.summary import describe, summarise
from sensorkd.timeline import SECOND


def test_a_recording_is_described_without_its_samples(record: Any, shake: Any, heat: Any) -> None:
    gaps = Segments(
        np.array([0, 4 * SECOND]), np.array([100.0, 100.0]), np.array([0, 300]), np.array([300, 200])
    )
    labels = {
        "state": [(0, 2 * SECOND, "idle"), (2 * SECOND, 5 * SECOND, "run"), (5 * SECOND, 6 * SECOND, "idle")]
    }
    recording = record({"acceleration": shake(5.0, segments=gaps), "temperature": heat()}, labels=labels)
    told = describe(recording)
    first = told.streams[0]
    assert (first.segments, first.longest_gap, first.seconds, first.samples) == (2, 1.0, 6.0, 500)
    assert first.logged == 5.0
    assert (first.chunks, first.compression) == ((400, 2), "gzip")
    assert told.labels == {"state": {"idle": 3.0, "run": 3.0}}
    assert json.loads(json.dumps(told.to_json()))["streams"][1]["unit"] == "degC"
    text = "\n".join(told.lines())
    for word in (
        "press.h5::monday",
        "machine=press 4",
        "6.000 s from 0.000, 2 segments, longest gap 1 s, 5.000 s logged",
        "100 Hz",
        "[degC]",
        "idle 3 s",
    ):
        assert word in text


def test_what_was_wrong_with_the_stamps_is_told(tmp_path: Path) -> None:
    path = tmp_path / "line.h5"
    rows = np.concatenate([np.arange(500), [499], np.arange(500, 800), np.arange(700, 900)])
    rows[[20, 21]] = [21, 20]
    jitter = np.where(np.arange(len(rows)) < 800, 0.02, 0.03) * (-1.0) ** rows
    with h5py.File(path, "w") as file:
        # What was logged again after the clock was set back is another signal.
        file["data"] = rows + 0.5 * (np.arange(len(rows)) > 800)
        file["t"] = rows + jitter
    stream = {
        "modality": "temperature", "samples": "data", "axes": ["time"], "unit": "degC",
        "times": {"dataset": "t", "set_back": "cut"}, "nominal_rate": 1.001,
    }  # fmt: skip
    tree = {"schema": "layout-1.0", "name": "lab", "clock": "relative", "streams": {"s": stream}}
    told = describe(open_recordings(path, Layout.model_validate(tree))[0])
    text = "\n".join(told.lines())
    for word in (
        "Hz (nominal 1.001)",
        "jitter 2",
        "ms, at worst ",
        "1 came twice and dropped",
        "1 sorted into place",
        "1 where the clock was set",
        "100 left out because the clock was set back",
    ):
        assert word in text, text
    assert json.loads(json.dumps(told.to_json()))["streams"][0]["stamps"]["duplicates"] == 1


def test_many_recordings_are_counted_by_stream_rate_and_class(
    write_archive: Any, shake: Any, heat: Any
) -> None:
    week = ("mon", "tue", "wed")
    path = write_archive({"acceleration": shake()}, recordings=week, labels={"state": [(0, 10, "run")]})
    other = write_archive({"acceleration": shake(rate=50.0), "temperature": heat()}, name="b.h5")
    text = "\n".join(summarise([describe(item) for item in open_recordings([path, other])]))
    for word in (
        "4 recordings",
        "machine: 1 (press 4)",
        "session: 4",
        "acceleration: in 4 of 4, 50 to 100, median 100 Hz",
        "temperature: in 1 of 4, 2 Hz",
        "label state (recordings): run 3",
    ):
        assert word in text, text


def test_hours_are_those_that_were_logged_not_those_between(record: Any, shake: Any) -> None:
    far = Segments(
        np.array([0, 1_700_000_000 * SECOND]), np.full(2, 100.0), np.array([0, 18_000]), np.full(2, 18_000)
    )
    text = "\n".join(summarise([describe(record({"acceleration": shake(360.0, segments=far)}))]))
    assert "acceleration: in 1 of 1, 100 Hz, 0.1 h" in text
