from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sensorkd.checks import Finding
from sensorkd.checks.alignment import check_alignment
from sensorkd.checks.clocks import check_clocks
from sensorkd.recordings import Recording, Segments
from sensorkd.recordings.stream import StampReport
from sensorkd.timeline import SECOND

Found = Callable[..., dict[str, list[Finding]]]
Record = Callable[..., Recording]
QUIET = StampReport(duplicates=0, reordered=0, jitter=0.0, worst=0.0, jumps=0, gaps=0)


def with_stream(recording: Recording, name: str, **changes: Any) -> Recording:
    stream = dataclasses.replace(recording.streams[name], **changes)
    return dataclasses.replace(recording, streams={**recording.streams, name: stream})


def bursts(starts: list[float], rate: float = 100.0, count: int = 100) -> Segments:
    number = len(starts)
    return Segments(
        t0=np.array([round(start * SECOND) for start in starts]),
        rate=np.full(number, rate),
        offset=np.arange(number) * count,
        count=np.full(number, count),
    )


@pytest.mark.parametrize(("nominal", "told"), [(100.0, False), (100.5, False), (130.0, True), (None, False)])
def test_a_claimed_rate_is_compared_with_the_true_one(
    record: Record, shake: Any, nominal: float | None, told: bool
) -> None:
    recording = with_stream(record({"shake": shake()}), "shake", nominal_rate=nominal)
    findings = list(check_clocks(recording))
    assert [item.check for item in findings] == ["nominal-rate"] * told
    if told:
        assert "100 Hz in truth, -23.1 %" in findings[0].found
        assert findings[0].expected == "130 Hz, as the file claims"


@pytest.mark.parametrize(
    ("changes", "check", "words"),
    [
        ({"duplicates": 3}, "repeated-stamps", "3 repeated samples, beside 1,000 in order"),
        ({"reordered": 5}, "unsorted-stamps", "5 late samples"),
        ({"jumps": 1}, "clock-jumps", "1 jump,"),
        ({"jitter": 0.003, "worst": 0.02}, "jitter", "3 ms (one deviation), 20 ms at worst"),
    ],
)
def test_what_the_stamps_are_like_is_told(
    record: Record, shake: Any, changes: dict[str, Any], check: str, words: str
) -> None:
    stamps = dataclasses.replace(QUIET, **changes)
    (finding,) = check_clocks(with_stream(record({"shake": shake()}), "shake", stamps=stamps))
    assert finding.check == check
    assert words in finding.found


def test_a_little_jitter_is_no_finding(record: Record, shake: Any) -> None:
    stamps = dataclasses.replace(QUIET, jitter=0.002, worst=0.004)
    assert not list(check_clocks(with_stream(record({"shake": shake()}), "shake", stamps=stamps)))


def test_stamps_of_a_real_file_that_repeat_and_overtake_are_told(
    tmp_path: Path, layout_file: Any, found: Found
) -> None:
    stamps = np.arange(200) / 50.0
    stamps[[20, 21]] = stamps[[21, 20]]
    data = np.random.default_rng(0).normal(0, 1, (200, 3)).astype(np.float32)
    stamps, data = np.insert(stamps, 100, stamps[100]), np.insert(data, 100, data[100], axis=0)
    with h5py.File(tmp_path / "lab.h5", "w") as file:
        file["data"], file["times"] = data, stamps
    layout = layout_file({"identity": {"machine": "m"}}, rate=None, times={"dataset": "times"})
    findings = found(tmp_path / "lab.h5", layout=layout)
    assert findings["repeated-stamps"][0].value == 1
    assert findings["unsorted-stamps"][0].value >= 1
    assert "clock-jumps" not in findings


def test_bursts_are_no_gaps_but_one_that_is_missing_is(record: Record, shake: Any) -> None:
    regular = shake(segments=bursts([0, 10, 20, 30, 40, 50, 60, 70, 80, 90]))
    assert not list(check_clocks(record({"shake": regular}, name="a.h5")))
    lost = shake(segments=bursts([0, 10, 20, 30, 60, 70, 80, 90, 100, 110]))
    (finding,) = check_clocks(record({"shake": lost}, name="b.h5"))
    assert finding.check == "gaps"
    assert "1 pause" in finding.found and "the longest 29 s from 31.000 s" in finding.found
    assert finding.expected == "pauses of 9 s"


def test_a_single_pause_is_a_gap(record: Record, shake: Any) -> None:
    (finding,) = check_clocks(record({"shake": shake(segments=bursts([0, 1, 2.5]))}))
    assert finding.found == "1 pause, 14.3 % of the time, the longest 0.5 s from 2.000 s"


def test_a_stream_that_starts_late_is_told_and_does_not_drift(record: Record, shake: Any, heat: Any) -> None:
    recording = record({"shake": shake(seconds=120.0), "heat": heat(seconds=60.0, t0=60 * SECOND)})
    (finding,) = check_alignment(recording)
    assert finding.check == "clock-offset"
    assert "begins -60.000 s and ends +0.000 s against heat" in finding.found


def test_a_stream_in_bursts_may_end_a_pause_earlier(record: Record, shake: Any, heat: Any) -> None:
    regular = shake(segments=bursts([0, 10, 20, 30, 40, 50, 60, 70, 80, 90]))
    assert not list(check_alignment(record({"shake": regular, "heat": heat(seconds=100.0)})))


@pytest.mark.parametrize(
    ("start", "strange"),
    [(0, True), (86_400, True), (1_700_000_000, False), (4_000_000_000, True)],
)
def test_a_utc_clock_that_was_never_set_or_runs_ahead_is_told(
    record: Record, shake: Any, start: int, strange: bool
) -> None:
    recording = record({"shake": shake(t0=start * SECOND)}, clock="utc")
    findings = list(check_alignment(recording))
    assert [item.check for item in findings] == ["strange-time"] * strange
    if start == 86_400:
        assert "1970-01-02T00:00:00.000Z" in findings[0].found


def test_a_stream_too_short_for_a_window_is_named_when_asked(record: Record, shake: Any) -> None:
    recording = record({"shake": shake()})
    assert not list(check_alignment(recording))
    assert not list(check_alignment(recording, window=10.0))
    (finding,) = check_alignment(recording, window=12.0)
    assert (finding.check, finding.found, finding.expected) == (
        "short",
        "10 s",
        "at least 12 s without a gap",
    )


def test_a_window_must_lie_within_a_segment_of_its_stream(record: Record, shake: Any, heat: Any) -> None:
    recording = with_stream(
        record({"shake": shake(), "heat": heat()}), "shake", segments=bursts([0, 2, 4, 6, 8])
    )
    assert not [item for item in check_alignment(recording, window=1.0) if item.check == "short"]
    (finding,) = (item for item in check_alignment(recording, window=2.0) if item.check == "short")
    assert finding.place.stream == "shake"
    assert finding.found == "1 s, the longest of 5 segments"


def test_a_stream_cut_into_segments_that_adjoin_is_told(record: Record, shake: Any) -> None:
    recording = record({"shake": shake(20.0)})
    torn = with_stream(recording, "shake", segments=bursts([float(number) for number in range(20)]))
    (finding,) = check_clocks(torn)
    assert (finding.check, finding.importance) == ("torn-stream", "hint")
    assert finding.found == "20 segments, of 1 s on the median; 19 adjoin the next"
    few = with_stream(recording, "shake", segments=bursts([float(number) for number in range(5)]))
    assert not list(check_clocks(few))
    # Bursts of a tenth of a second with a pause behind each, as FEMTO's.
    apart = with_stream(recording, "shake", segments=bursts([2.0 * number for number in range(20)]))
    assert not list(check_clocks(apart))
