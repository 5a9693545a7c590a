"""Faults 27 to 37: stamps, rates and clocks. Every one is made in a real file, and the message is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sensorkd.encoding import InputEncoding
from sensorkd.errors import ArchiveError, WindowError
from sensorkd.recordings import Layout, Recording, Stream, open_recordings
from sensorkd.recordings.clocks import compare_clocks
from sensorkd.timeline import SECOND
from sensorkd.windows.plan import plan_windows
from sensorkd.windows.read import read_window

Refused = Callable[..., Any]
Logged = Callable[..., Recording]
Write = Callable[..., None]


def layout(top: dict[str, Any], **stream: Any) -> Layout:
    """One stream `s` in dataset `data`, with a stamp a sample in `t` unless said."""
    told = {"modality": "acceleration", "samples": "data", "axes": ["time"], "unit": "m/s2", **stream}
    if not {"rate", "times"} & set(told):
        told["times"] = {"dataset": "t"}
    tree = {"schema": "layout-1.0", "name": "lab", "clock": "relative", "streams": {"s": told}, **top}
    return Layout.model_validate(tree)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "line.h5"


@pytest.fixture
def write(path: Path) -> Write:
    """Writes a stamp `t` a sample; the samples tell their own row unless given."""

    def write(stamps: Any, samples: Any = None) -> None:
        path.unlink(missing_ok=True)
        with h5py.File(path, "w") as file:
            file["data"] = np.arange(len(stamps), dtype=np.int32) if samples is None else samples
            file["t"] = np.asarray(stamps)

    return write


@pytest.fixture
def logged(path: Path, write: Write) -> Logged:
    """Writes stamps and samples and opens them; keyword arguments go into the stream's layout."""

    def build(stamps: Any, samples: Any = None, **stream: Any) -> Recording:
        write(stamps, samples)
        return open_recordings(path, layout({}, **stream))[0]

    return build


def inputs(span: float, rate: float, name: str = "s") -> dict[str, InputEncoding]:
    encoding = InputEncoding(
        "acceleration", "int32", "m/s2", 1.0, 0.0, (1,), (), round(span * rate), rate, round(span * SECOND),
        (-1e9, 1e9), "linear",
    )  # fmt: skip
    return {name: encoding}


def values(stream: Stream) -> list[int]:
    return [int(value) for value in stream.read(0, stream.source.count)[:, 0]]


def test_fault_27_no_window_spans_a_dropout(logged: Logged) -> None:
    times = np.delete(np.arange(400) / 10.0, np.s_[150:190])
    recording = logged(times)
    stream = recording.streams["s"]
    assert stream.segments.count.tolist() == [150, 210]
    assert stream.stamps is not None
    assert stream.stamps.gaps == 1
    encodings = inputs(2.0, 10.0)
    plan = plan_windows([recording], encodings, hop=SECOND // 2)
    for t_ref, coverage in zip(plan.t_ref.tolist(), plan.coverage[:, 0].tolist(), strict=True):
        if coverage == 1.0:
            window = read_window(recording, t_ref, encodings).inputs["s"][:, 0]
            assert np.diff(window).tolist() == [1] * 19
            assert not window[0] < 150 <= window[-1]


def test_fault_28_exact_duplicates_are_dropped_and_counted(logged: Logged) -> None:
    rows = np.repeat(np.arange(100), 2)
    stream = logged(rows / 10.0, rows.astype(np.float32)).streams["s"]
    assert stream.stamps is not None
    assert stream.stamps.duplicates == 100
    assert len(stream.segments) == 1
    assert stream.rate == pytest.approx(10.0)
    assert values(stream) == list(range(100))


def test_fault_28_a_batch_that_was_sent_again_is_dropped_and_counted(logged: Logged) -> None:
    rows = np.concatenate([np.arange(500), np.arange(200, 300), np.arange(500, 600)])  # 300 periods late
    stream = logged(rows / 10.0, rows).streams["s"]
    assert stream.stamps is not None
    assert (stream.stamps.duplicates, stream.stamps.reordered, len(stream.segments)) == (100, 0, 1)
    assert values(stream) == list(range(600))


def test_fault_28_a_segment_that_was_logged_twice_is_dropped(logged: Logged) -> None:
    bursts = np.arange(6 * 8, dtype=np.int32).reshape(6, 8)[[0, 1, 1, 2, 3, 5, 4]]
    told = {"axes": ["segment", "time"], "rate": 100.0, "start": {"dataset": "t"}}
    stream = logged(np.array([0, 1, 1, 2, 3, 5, 4]), bursts, **told).streams["s"]
    assert stream.stamps is not None
    assert (stream.stamps.duplicates, stream.stamps.reordered) == (1, 1)
    assert (stream.segments.t0 // SECOND).tolist() == [0, 1, 2, 3, 4, 5]
    firsts = [int(stream.read(row, row + 1)[0, 0]) for row in stream.segments.offset.tolist()]
    assert firsts == [0, 8, 16, 24, 32, 40]


def test_fault_28_a_missing_value_equals_itself(logged: Logged) -> None:
    stream = logged([0, 1, 1, 2], np.array([1.0, np.nan, np.nan, 2.0])).streams["s"]
    assert stream.stamps is not None
    assert stream.stamps.duplicates == 1


def test_fault_29_conflicting_duplicates_name_both(write: Write, path: Path, refused: Refused) -> None:
    rows = np.concatenate([np.arange(50), [49], np.arange(50, 100)])
    samples = rows.copy()
    samples[50] = 7
    write(rows / 10.0, samples)
    with refused(path, "one time stamp and differ", "sample 49 and sample 50 at 4.900000 s", inside="/t"):
        open_recordings(path, layout({}))


def test_fault_29_only_rows_in_conflict_are_read(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    honest = h5py.Dataset.__getitem__

    def watched(self: h5py.Dataset, key: Any, *options: Any) -> Any:
        found = honest(self, key, *options)
        if self.name == "/data":
            read.append(len(found))
        return found

    monkeypatch.setattr(h5py.Dataset, "__getitem__", watched)
    rows = np.insert(np.arange(100_000), 70_000, 70_000)
    logged(rows / 10.0, rows)
    assert 1 <= sum(read) <= 4


@pytest.mark.parametrize("late", [1, 5, 60])
def test_fault_30_a_late_sample_is_sorted_into_place(logged: Logged, late: int) -> None:
    rows = np.insert(np.delete(np.arange(300), 100), 100 + late, 100)
    stream = logged(rows / 10.0, rows).streams["s"]
    assert stream.stamps is not None
    assert (stream.stamps.reordered, len(stream.segments)) == (1, 1)
    assert values(stream) == list(range(300))
    assert [int(value) for value in stream.read(95, 110)[:, 0]] == list(range(95, 110))


def test_fault_30_packets_that_overtake_each_other_are_sorted(logged: Logged) -> None:
    packets = np.arange(640).reshape(-1, 32)
    rows = packets[[0, 2, 1, 3, 5, 4, *range(6, 20)]].ravel()
    stream = logged(rows / 1000.0, rows).streams["s"]
    assert stream.stamps is not None
    assert (stream.stamps.reordered, stream.stamps.gaps) == (64, 0)
    assert values(stream) == list(range(640))


def test_fault_30_a_sample_that_is_too_late_is_told_with_its_index(
    write: Write, path: Path, refused: Refused
) -> None:
    rows = np.insert(np.delete(np.arange(400), 100), 200, 100)
    write(rows / 10.0, rows)
    with refused(path, "too late", "sample 200 at 10.000000 s", "64 periods: 6.4", inside="/t"):
        open_recordings(path, layout({}))


SET_BACK = np.concatenate([np.arange(500) / 10.0, 30.04 + np.arange(300) / 10.0])


def test_fault_31_a_clock_set_back_over_times_already_logged_is_told_with_index_and_cure(
    logged: Logged, path: Path, refused: Refused
) -> None:
    with pytest.raises(ArchiveError):
        logged(SET_BACK)
    words = (
        "the clock was set back",
        "sample 500 at 30.040000 s after sample 499 at 49.9",
        "`set_back: cut`",
    )
    with refused(path, *words, inside="/t"):
        open_recordings(path, layout({}))


def test_fault_31_a_clock_set_back_begins_a_new_segment_and_what_comes_twice_is_cut(logged: Logged) -> None:
    recording = logged(SET_BACK, times={"dataset": "t", "set_back": "cut"})
    stream = recording.streams["s"]
    assert stream.stamps is not None
    assert (stream.stamps.jumps, stream.stamps.cut, stream.stamps.gaps) == (1, 200, 0)
    assert stream.segments.count.tolist() == [300, 300]
    assert values(stream) == [*range(300), *range(500, 800)]
    encodings = inputs(1.0, 10.0)
    plan = plan_windows([recording], encodings, hop=SECOND // 5)
    for t_ref in plan.t_ref[plan.coverage[:, 0] == 1.0].tolist():
        assert np.ptp(read_window(recording, t_ref, encodings).inputs["s"]) == 9


def test_fault_31_a_step_of_ntp_by_a_few_periods_is_no_late_sample(logged: Logged, path: Path) -> None:
    times = np.concatenate([np.arange(500), 496.7 + np.arange(500)]) / 1000.0
    with pytest.raises(ArchiveError, match=r"the clock was set back(.|\n)*sample 500"):
        logged(times)
    stream = open_recordings(path, layout({}, times={"dataset": "t", "set_back": "cut"}))[0].streams["s"]
    assert stream.stamps is not None
    assert (stream.stamps.jumps, stream.stamps.cut, stream.stamps.reordered) == (1, 4, 0)


def test_fault_31_a_clock_set_back_by_so_much_that_nothing_overlaps_needs_no_cure(logged: Logged) -> None:
    stream = logged(np.concatenate([1e6 + np.arange(100), np.arange(200)])).streams["s"]
    assert stream.stamps is not None
    assert (stream.stamps.jumps, stream.stamps.cut) == (1, 0)
    assert stream.segments.count.tolist() == [200, 100]
    assert stream.segments.t0.tolist() == [0, 10**6 * SECOND]
    assert values(stream) == [*range(100, 300), *range(100)]


@pytest.mark.parametrize(
    ("start", "told"),
    [
        ("2024-01-15T12:00:00", "`timezone:`"),
        ("2024-10-27T02:30:00", "the clocks were changed"),
        ("2024-03-31T02:30:00", "the clocks were changed"),
    ],
)
def test_fault_32_naive_local_time_is_refused(path: Path, refused: Refused, start: str, told: str) -> None:
    with h5py.File(path, "w") as file:
        file["data"] = np.arange(100)
        file["data"].attrs["began"] = start
    top = {"clock": "utc"} | ({} if "timezone" in told else {"timezone": "Europe/Berlin"})
    with refused(path, "start time cannot be used", start, told):
        open_recordings(path, layout(top, rate=10.0, start={"attribute": "began"}))


@pytest.mark.parametrize("bits", [16, 32])
def test_fault_33_a_counter_that_wraps_is_unwrapped(logged: Logged, bits: int) -> None:
    ticks = (2**bits - 5000 + 33 * np.arange(6000)) % 2**bits
    times = {"dataset": "t", "ticks_per_second": 32768, "wraps": 2**bits}
    stream = logged(ticks.astype(f"u{bits // 8}"), times=times).streams["s"]
    assert len(stream.segments) == 1
    assert stream.rate == pytest.approx(32768 / 33, rel=1e-6)
    assert stream.end - stream.start == pytest.approx(6000 * 33 / 32768 * SECOND, abs=1000)


@pytest.mark.parametrize("pause", [0.3, 0.5, 0.9])
def test_fault_33_a_pause_of_much_of_a_turn_is_ambiguous(
    write: Write, path: Path, refused: Refused, pause: float
) -> None:
    millis = np.concatenate([np.arange(3000), round(pause * 65536) + 3000 + np.arange(3000)])
    times = {"dataset": "t", "unit": "ms", "wraps": 65536}
    write((millis % 65536).astype(np.uint16))
    with refused(path, "ambiguous", "row 2999 to 3000", "16.384 s", "`longest_gap`", inside="/t"):
        open_recordings(path, layout({}, times=times))
    if pause < 0.8:
        known = open_recordings(path, layout({}, times={**times, "longest_gap": 52.0}))[0].streams["s"]
        gap = known.segments.t0[1] - known.segments.ends[0]
        assert gap == pytest.approx(pause * 65.536 * SECOND, abs=2e6)


def test_fault_33_a_counter_of_samples_shows_which_were_lost(path: Path) -> None:
    numbers = np.delete(np.arange(70_000), np.s_[65_000:66_000])
    with h5py.File(path, "w") as file:
        file["data"] = numbers
        file["seq"] = (numbers % 65_536).astype(np.uint16)
    told = layout({}, rate=1000.0, start=5.0, counter={"dataset": "seq", "wraps": 65_536})
    stream = open_recordings(path, told)[0].streams["s"]
    assert stream.segments.t0.tolist() == [5 * SECOND, 71 * SECOND]
    assert stream.segments.count.tolist() == [65_000, 4000]
    assert stream.stamps is not None
    assert stream.stamps.gaps == 1
    with h5py.File(path, "r+") as file:
        file["seq"][40_000:] -= 30_000
    with pytest.raises(ArchiveError, match=r"ambiguous(.|\n)*row 39999 to 40000(.|\n)*16384 samples"):
        open_recordings(path, told)


def test_fault_33_a_counter_of_samples_that_was_reset_is_told(path: Path, refused: Refused) -> None:
    with h5py.File(path, "w") as file:
        file["data"] = np.arange(1000)
        file["seq"] = np.concatenate([np.arange(600), np.arange(400)])
    with refused(
        path, "sample 600 at 0 counts after sample 599 at 599 counts", "split the file", inside="/seq"
    ):
        open_recordings(path, layout({}, rate=1000.0, counter={"dataset": "seq"}))


def test_fault_33_numbers_that_come_twice_or_late_are_put_right(path: Path) -> None:
    numbers = np.insert(np.arange(500), 300, 299)
    numbers[[100, 101]] = [101, 100]
    with h5py.File(path, "w") as file:
        file["data"], file["seq"] = numbers, numbers
    stream = open_recordings(path, layout({}, rate=10.0, counter={"dataset": "seq"}))[0].streams["s"]
    assert stream.stamps is not None
    assert (stream.stamps.duplicates, stream.stamps.reordered, stream.stamps.gaps) == (1, 1, 0)
    assert values(stream) == list(range(500))


@pytest.mark.parametrize("rate", [0.0, -50.0, np.nan])
def test_fault_34_a_rate_that_is_none_is_told(path: Path, refused: Refused, rate: float) -> None:
    with h5py.File(path, "w") as file:
        file["data"] = np.arange(100)
        file["data"].attrs["hz"] = rate
    with refused(path, "rate", str(rate)):
        open_recordings(path, layout({}, rate={"attribute": "hz"}))


def test_fault_34_a_rate_unlike_its_stamps_is_told_with_both(
    write: Write, path: Path, refused: Refused
) -> None:
    told = layout({}, times={"dataset": "t"}, rate=30.0)
    write(np.arange(200) / 19.0)
    with refused(path, "rate 30 Hz", "19 Hz, as 200 stamps say, within 1 %", inside="/t"):
        open_recordings(path, told)


def test_fault_34_a_nominal_rate_is_compared_and_never_used(logged: Logged) -> None:
    stream = logged(np.arange(200) / 19.0, nominal_rate=30.0).streams["s"]
    assert (stream.nominal_rate, stream.rate) == (30.0, pytest.approx(19.0))


def two(path: Path, first: Any, second: Any, **top: Any) -> Recording:
    """A recording of streams `a` and `b`, each of (number of samples, rest of its layout)."""
    streams = {}
    with h5py.File(path, "w") as file:
        for name, (count, told) in (("a", first), ("b", second)):
            file[name] = np.zeros(count)
            stream = {"modality": "acceleration", "samples": name, "axes": ["time"], "unit": "g", **told}
            if "times" in told:
                file[f"{name}_t"] = told["times"]
                stream["times"] = {"dataset": f"{name}_t"}
            streams[name] = stream
    tree = {"schema": "layout-1.0", "name": "lab", "clock": "relative", "streams": streams, **top}
    return open_recordings(path, Layout.model_validate(tree))[0]


def test_fault_35_a_drift_between_modalities_is_measured(path: Path) -> None:
    (pair,) = compare_clocks(two(path, (360_000, {"rate": 100.0}), (360_360, {"rate": 100.0})))
    assert (pair.first, pair.second, pair.offset_start, pair.overlap) == ("a", "b", 0.0, 1.0)
    assert pair.offset_end == pytest.approx(3.6)
    assert pair.drift == pytest.approx(1000.0)


def test_fault_35_the_crystals_of_stamped_streams_are_compared(path: Path) -> None:
    true = {"times": np.arange(10_000) / 100.0, "nominal_rate": 100.0}
    fast = {"times": np.arange(10_000) / 100.05, "nominal_rate": 100.0}
    (pair,) = compare_clocks(two(path, (10_000, true), (10_000, fast)))
    assert pair.drift == pytest.approx(500.0, rel=1e-3)


def test_fault_36_no_overlap_gives_both_ranges(path: Path) -> None:
    apart = two(path, (100, {"rate": 10.0}), (100, {"rate": 10.0, "start": 7200.0}))
    (pair,) = compare_clocks(apart)
    assert (pair.overlap, pair.drift) == (0.0, None)
    assert pair.ranges() == "a from 0.000 s to 10.000 s; b from 7200.000 s to 7210.000 s"
    encodings = inputs(1.0, 10.0, "a") | inputs(1.0, 10.0, "b")
    with pytest.raises(WindowError, match="to mend") as caught:
        plan_windows([apart], encodings, hop=SECOND, required=["a", "b"])
    assert "a from 0.000 s to 10.000 s, b from 7200.000 s to 7210.000 s" in str(caught.value)


def test_fault_37_an_archive_shorter_than_a_window_is_named_and_the_others_go_on(
    logged: Logged, path: Path
) -> None:
    long = logged(np.arange(100) / 10.0)
    path.rename(path.with_name("long.h5"))
    short = logged(np.arange(5) / 10.0)
    plan = plan_windows([long, short], inputs(1.0, 10.0), hop=SECOND)
    assert set(plan.recording.tolist()) == {0}
    assert plan.skipped == (("line.h5::", "its 0.5 s are shorter than a window"),)
