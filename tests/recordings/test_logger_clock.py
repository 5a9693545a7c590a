"""Stamps that jitter, crystals that are off, clocks that are set: nothing real is lost, and windows fit."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sensorkd.recordings import LoggerEvent, RecordingLogger, StreamFormat, open_recordings
from sensorkd.recordings.logger_line import StampLine
from sensorkd.timeline import SECOND

BEGIN = 1_700_000_000 * SECOND
FAST = StreamFormat("acceleration", "g", np.dtype("i4"), (1,), 25_600.0)
SLOW = StreamFormat("acceleration", "g", np.dtype("i4"), (1,), 1000.0)


def told(number: int, count: int) -> np.ndarray[Any, Any]:
    """Block `number` of samples that tell their own index."""
    return np.arange(number * count, (number + 1) * count, dtype=np.int32)[:, None]


def log(
    folder: Path, stamps: Iterable[int], told_format: StreamFormat = SLOW, count: int = 100, **options: Any
) -> tuple[Any, list[LoggerEvent]]:
    """Log a block for each stamp, ns after BEGIN; account of the stream, and events that are not of files."""
    events: list[LoggerEvent] = []
    with RecordingLogger(
        folder, clock="utc", identity={"machine": "m"}, streams={"s": told_format},
        reserve_bytes=0, on_event=events.append, **options,
    ) as logger:  # fmt: skip
        for number, stamp in enumerate(stamps):
            logger.append("s", told(number, count), t0=BEGIN + stamp)
    return logger.report().streams["s"], [event for event in events if event.stream]


def one_segment(folder: Path) -> Any:
    (recording,) = open_recordings(folder)
    stream = recording.streams["s"]
    np.testing.assert_array_equal(stream.read(0, stream.source.count)[:, 0], np.arange(stream.source.count))
    assert len(stream.segments) == 1
    return stream


@pytest.mark.parametrize("ppm", [20.0, -20.0, 50.0, -50.0, 300.0])
def test_a_crystal_that_is_off_gives_one_segment_of_its_true_rate(tmp_path: Path, ppm: float) -> None:
    rate = 25_600.0 * (1 + ppm * 1e-6)
    stamps = [round(number * 2560 / rate * 1e9) for number in range(600)]
    account, events = log(tmp_path, stamps, FAST, 2560)
    stream = one_segment(tmp_path)
    assert stream.rate == pytest.approx(rate, rel=1e-6)
    assert (stream.start - BEGIN, stream.end - BEGIN) == pytest.approx(
        (0, 60 / (1 + ppm * 1e-6) * 1e9), abs=1e5
    )
    assert (account.taken, account.gaps, account.late, events) == (600 * 2560, 0, 0, [])


def test_regular_stamps_give_exactly_the_nominal_rate(tmp_path: Path) -> None:
    log(tmp_path, [number * 100_000_000 // 1000 * 1000 for number in range(100)], FAST, 2560)
    stream = one_segment(tmp_path)
    assert (stream.rate, stream.start) == (25_600.0, BEGIN)


@pytest.mark.parametrize("sd", [0.001, 0.003])
@pytest.mark.parametrize(("told_format", "count"), [(SLOW, 100), (FAST, 2560)])
def test_stamps_that_jitter_cost_no_sample_and_no_segment(
    tmp_path: Path, sd: float, told_format: StreamFormat, count: int
) -> None:
    rng = np.random.default_rng(1)
    stamps = [number * 100_000_000 + int(rng.normal(0, sd * 1e9)) for number in range(600)]
    account, events = log(tmp_path, stamps, told_format, count)
    stream = one_segment(tmp_path)
    assert stream.rate == pytest.approx(told_format.rate, rel=2e-5)
    assert abs(stream.start - BEGIN) < 2e9 * sd
    assert (account.taken, account.late, account.gaps, events) == (600 * count, 0, 0, [])
    assert account.jitter == pytest.approx(sd, rel=0.15) and account.jittered > 300
    assert account.worst < 6 * sd


@pytest.mark.parametrize("count", [100, 10])
def test_a_lost_block_is_a_gap_all_the_same(tmp_path: Path, count: int) -> None:
    rng = np.random.default_rng(1)
    sd = 0.03 * count / 1000
    numbers = [number for number in range(300) if number != 200]
    account, events = log(
        tmp_path,
        [number * count * 1_000_000 + int(rng.normal(0, sd * 1e9)) for number in numbers],
        count=count,
    )
    assert [(event.kind, round(event.samples / count)) for event in events] == [("gap", 1)]
    (recording,) = open_recordings(tmp_path)
    assert recording.streams["s"].segments.count.tolist() == [200 * count, 99 * count]
    assert account.taken == 299 * count


def test_a_rate_that_changes_begins_a_segment_where_one_line_cannot_hold(tmp_path: Path) -> None:
    stamps = np.cumsum([0, *[100_000_000] * 599, *[100_200_000] * 1200]).tolist()  # 2000 ppm, after 60 s
    account, events = log(tmp_path, stamps)
    (recording,) = open_recordings(tmp_path)
    segments = recording.streams["s"].segments
    assert (account.taken, account.gaps, events) == (180_000, 0, [])
    assert 2 <= len(segments) <= 4
    times = np.concatenate(
        [t0 + np.arange(0, count, 100) / rate * 1e9 for t0, rate, count in
         zip(segments.t0 - BEGIN, segments.rate, segments.count, strict=True)]
    )  # fmt: skip
    assert np.abs(times - stamps).max() < 2 * 0.02 * 1e9


@pytest.mark.parametrize(("first", "shift"), [(20, -5 * SECOND), (20, -SECOND // 20), (20, -86_400 * SECOND)])
def test_a_clock_that_is_set_back_begins_a_new_file_and_loses_nothing(
    tmp_path: Path, first: int, shift: int
) -> None:
    stamps = [number * 100_000_000 + (shift if number >= first else 0) for number in range(60)]
    account, events = log(tmp_path, stamps)
    assert [(event.kind, event.samples) for event in events] == [("clock_set", 300)]
    assert (account.taken, account.flushed, account.late, account.aside, account.clock_sets) == (
        6000, 6000, 0, 0, 1,
    )  # fmt: skip
    streams = [recording.streams["s"] for recording in open_recordings(tmp_path)]
    found = sorted(stream.read(0, stream.source.count)[:, 0].tolist() for stream in streams)
    assert found == [[*range(2000)], [*range(2000, 6000)]]
    assert {stream.start for stream in streams} == {BEGIN, BEGIN + 2 * SECOND + shift}


def test_one_stamp_of_tomorrow_costs_no_sample(tmp_path: Path) -> None:
    stamps = [number * 100_000_000 + (86_400 * SECOND if number == 10 else 0) for number in range(60)]
    account, events = log(tmp_path, stamps)
    assert [event.kind for event in events] == ["gap", "clock_set"]
    assert (account.taken, account.late) == (6000, 0)
    counts = [recording.streams["s"].segments.count.tolist() for recording in open_recordings(tmp_path)]
    assert counts == [[1000, 100], [4900]]


def test_what_was_put_aside_of_all_streams_goes_into_the_new_file(tmp_path: Path) -> None:
    with RecordingLogger(
        tmp_path, clock="utc", identity={"machine": "m"}, streams={"a": SLOW, "b": SLOW}, reserve_bytes=0
    ) as logger:
        for number in range(20):
            for name in ("b", "a"):
                at = number * 100_000_000 - (SECOND if number >= 10 else 0)
                logger.append(name, told(number, 100), t0=BEGIN + at)
    report = logger.report()
    assert [stream.taken for stream in report.streams.values()] == [2000, 2000]
    assert sum(stream.clock_sets for stream in report.streams.values()) == 1
    for recording in open_recordings(tmp_path):
        assert [stream.source.count for stream in recording.streams.values()] == [1000, 1000]


def test_late_blocks_are_dropped_and_told_when_the_next_is_on_time(tmp_path: Path) -> None:
    order = [0, 1, 2, 6, 3, 4, 7, 8]
    account, events = log(tmp_path, [number * 100_000_000 for number in order])
    assert [(event.kind, (event.t0 - BEGIN) // 100_000_000) for event in events] == [
        ("gap", 3), ("late", 3), ("late", 4)
    ]  # fmt: skip
    assert (account.taken, account.late, account.aside) == (600, 200, 0)


def test_a_short_block_that_was_overtaken_is_not_taken_for_jitter(tmp_path: Path) -> None:
    account, events = log(tmp_path, [number * 10_000_000 for number in [0, 2, 1, 3]], count=10)
    assert [event.kind for event in events] == ["gap", "late"]
    assert (account.taken, account.late) == (30, 10)


def test_what_is_aside_is_in_the_report(tmp_path: Path) -> None:
    with RecordingLogger(
        tmp_path, clock="utc", identity={"machine": "m"}, streams={"s": SLOW}, reserve_bytes=0
    ) as logger:
        logger.append("s", told(0, 100), t0=BEGIN + SECOND)
        assert logger.append("s", told(1, 100), t0=BEGIN) == 0
        assert logger.report().streams["s"].aside == 100
        assert logger.append("s", told(1, 100), t0=BEGIN) == 0  # once more
        assert logger.append("s", told(2, 100)) == 0
        assert logger.append("s", told(3, 100)) == 100
    account = logger.report().streams["s"]
    assert (account.taken, account.repeated, account.aside, account.late) == (400, 100, 0, 0)


def test_an_owner_that_raises_over_an_event_loses_neither_block_nor_event(tmp_path: Path) -> None:
    heard: list[str] = []

    def complain(event: LoggerEvent) -> None:
        heard.append(event.kind)
        raise ValueError(event.kind)

    logger = RecordingLogger(
        tmp_path, clock="utc", identity={"machine": "m"}, streams={"s": SLOW}, reserve_bytes=0,
        on_event=complain,
    )  # fmt: skip
    logger.append("s", told(0, 100), t0=BEGIN)
    with pytest.raises(ValueError, match="gap"):
        logger.append("s", told(1, 100), t0=BEGIN + SECOND)
    assert logger.report().streams["s"].taken == 200
    assert logger.append("s", told(2, 100), t0=BEGIN + SECOND + 100_000_000) == 100
    with pytest.raises(ValueError, match="sealed"):
        logger.close()
    assert heard == ["gap", "sealed"]
    (recording,) = open_recordings(tmp_path)
    assert recording.streams["s"].segments.count.tolist() == [100, 200]


def test_a_program_that_never_closes_ends_and_everything_is_sealed(tmp_path: Path) -> None:
    script = f"""
        import numpy as np
        from sensorkd.recordings import RecordingLogger
        from tests.recordings.test_logger_clock import BEGIN, SLOW, told
        if __name__ == "__main__":
            logger = RecordingLogger(
                {str(tmp_path)!r}, clock="utc", identity={{"machine": "m"}}, streams={{"s": SLOW}},
                reserve_bytes=0, rotate_seconds=None,
            )
            for number in range(2500):
                logger.append("s", told(number, 4000), t0=BEGIN + number * 4 * 10**9)
    """
    path = tmp_path / "program.py"
    path.write_text(textwrap.dedent(script))
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, str(path)], check=True, timeout=60, env=env)
    assert not list(tmp_path.glob("*.part"))
    assert one_segment(tmp_path).source.count == 10_000_000


def test_the_line_through_a_day_of_stamps_is_kept_with_few(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    line = StampLine(1000.0, 0.02)
    line.begin(BEGIN)
    begun = time.perf_counter()
    for number in range(1, 5000):
        stamp = BEGIN + number * 17 * SECOND - number * 850_000 + int(rng.normal(0, 3e6))  # 50 ppm fast
        assert line.add(number * 17_000, stamp) < 0.04
    assert time.perf_counter() - begun < 10
    assert line.rate == pytest.approx(1000 / (1 - 5e-5), rel=1e-7)
