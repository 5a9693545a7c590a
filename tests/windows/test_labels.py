from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorkd.errors import ConfigError, WindowError
from sensorkd.recordings import LabelTrack, Recording, open_recordings
from sensorkd.timeline import SECOND
from sensorkd.windows.labels import UNLABELLED, encode_labels, label_windows, labels_of_spans
from sensorkd.windows.plan import plan_windows
from sensorkd.windows.table_labels import EventRule, with_label_table

# 2024-03-01T06:00:00Z
MORNING = 1_709_272_800 * SECOND


@pytest.fixture
def table(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a CSV."""

    def write(text: str) -> Path:
        path = tmp_path / "labels.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def week(write_archive: Any, heat: Any) -> list[Recording]:
    """Two recordings of ten seconds on relative clocks."""
    return open_recordings(write_archive({"temperature": heat()}, recordings=("mon", "tue")))


def held(recording: Recording, target: str = "label") -> list[tuple[float, float, str]]:
    track = recording.tracks[target]
    return [
        (t0 / SECOND, t1 / SECOND, label)
        for t0, t1, label in zip(track.t0.tolist(), track.t1.tolist(), track.label, strict=True)
    ]


def test_a_row_without_times_labels_the_whole_recording(week: list[Recording], table: Any) -> None:
    labelled, unmatched = with_label_table(week, table("recording,class\npress.h5::mon,good\n"))
    assert held(labelled[0]) == [(0.0, 10.0, "good")]
    assert (labelled[1].tracks, unmatched) == ({}, [])
    assert week[0].tracks == {}


def test_times_are_seconds_on_a_relative_clock(week: list[Recording], table: Any) -> None:
    text = "session,t0,t1,class\nmon,0,2.5,idle\nmon,2.5,,run\ntue,,4e0,idle\n"
    labelled, _ = with_label_table(week, table(text))
    assert held(labelled[0]) == [(0.0, 2.5, "idle"), (2.5, 10.0, "run")]
    assert held(labelled[1]) == [(0.0, 4.0, "idle")]


def test_times_are_utc_stamps_on_a_utc_clock(record: Any, heat: Any, table: Any) -> None:
    recording = record({"temperature": heat(t0=MORNING)}, clock="utc")
    text = "machine,t0,t1,class\npress 4,2024-03-01T06:00:01Z,2024-03-01T07:00:02.5+01:00,run\n"
    (labelled,), _ = with_label_table([recording], table(text))
    assert labelled.tracks["label"].t0.tolist() == [MORNING + SECOND]
    assert labelled.tracks["label"].t1.tolist() == [MORNING + 2_500_000_000]


def test_an_identity_labels_every_recording_that_has_it_and_all_must_agree(
    week: list[Recording], table: Any
) -> None:
    labelled, unmatched = with_label_table(week, table("machine,class\npress 4,good\n"))
    assert [held(item)[0][2] for item in labelled] == ["good", "good"]
    labelled, unmatched = with_label_table(
        week, table("machine,session,class\npress 4,tue,bad\npress 5,mon,bad\n")
    )
    assert [bool(item.tracks) for item in labelled] == [False, True]
    assert len(unmatched) == 1


def test_several_targets_live_side_by_side(week: list[Recording], table: Any) -> None:
    text = "session,target,class\nmon,state,run\nmon,wear,new\nmon,,plain\n"
    labelled, _ = with_label_table(week, table(text))
    assert {name: held(labelled[0], name)[0][2] for name in labelled[0].tracks} == {
        "state": "run",
        "wear": "new",
        "label": "plain",
    }


def test_rows_that_fit_nothing_are_listed_by_their_line_in_the_file(
    week: list[Recording], table: Any
) -> None:
    text = "# made by hand\n\nsession,t0,t1,class\nmon,0,1,a\n# a remark\nwed,0,1,b\nmon,50,60,c\nmon,99,,d\n"
    _, unmatched = with_label_table(week, table(text))
    assert [row.split(":")[0] for row in unmatched] == ["line 6", "line 7", "line 8"]
    assert "'wed'" in unmatched[0]


def test_a_hash_inside_a_name_is_part_of_it(write_archive: Any, heat: Any, table: Any) -> None:
    recordings = open_recordings(write_archive({"temperature": heat()}, name="press#4.h5"))
    labelled, unmatched = with_label_table(
        recordings, table('recording,class\n"press#4.h5::monday","wear #2, deep"\n')
    )
    assert (held(labelled[0])[0][2], unmatched) == ("wear #2, deep", [])


def test_a_byte_order_mark_and_spaces_do_no_harm(week: list[Recording], table: Any) -> None:
    labelled, unmatched = with_label_table(week, table("\ufeffsession , class\r\n mon, good \r\n"))
    assert (held(labelled[0])[0][2], unmatched) == ("good", [])


def test_a_table_replaces_the_track_of_the_file_and_keeps_the_others(
    record: Any, heat: Any, table: Any
) -> None:
    tracks = {"state": [(0, SECOND, "old")], "wear": [(0, SECOND, "new")]}
    recording = record({"temperature": heat()}, labels=tracks)
    (labelled,), _ = with_label_table([recording], table("session,target,class\nmonday,state,fresh\n"))
    assert held(labelled, "state") == [(0.0, 10.0, "fresh")]
    assert held(labelled, "wear") == [(0.0, 1.0, "new")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("session,clas\nmon,a\n", ["columns", "'clas'", "did you mean 'class'"]),
        ("class\na\n", ["columns", "'recording'", "'machine'"]),
        ("session,class,colour\nmon,a,red\n", ["columns", "'colour'"]),
        ("session,class,class\nmon,a,b\n", ["columns"]),
        ("session|class\nmon|a\n", ["columns", "session|class"]),
        ("session,class\nmon,a\nmon\n", ["line 3", "1 cells", "double quotes"]),
        ("session,class\nmon,\n", ["line 2", "class is missing"]),
        ("session,t0,class\nmon,soon,a\n", ["line 2", "t0 is not a time", "seconds"]),
        ("session,t0,class\nmon,inf,a\n", ["line 2", "t0 is not a time"]),
        ("session,t0,class\nmon,nan,a\n", ["line 2", "t0 is not a time"]),
        ("session,t0,t1,class\nmon,5,4,a\n", ["line 2", "ends before it begins"]),
        (
            "session,t0,t1,class\nmon,0,5,a\n\nmon,4,9,b\n",
            ["contradict", "line 2 and line 4", "'a'", "'b'"],
        ),
    ],
)  # fmt: skip
def test_a_table_that_is_wrong_is_told(
    week: list[Recording], table: Any, text: str, words: list[str]
) -> None:
    path = table(text)
    with pytest.raises(ConfigError, match="to mend") as caught:
        with_label_table(week, path)
    assert caught.value.file == str(path)
    for word in words:
        assert word in str(caught.value), str(caught.value)


@pytest.mark.parametrize(
    "text", ["1.3.2024 06:00", "03/04/2024", "12", "2024-03-01", "9999-01-01Z", "9999-01-01T00:00:00Z"]
)
def test_a_date_that_can_be_read_two_ways_is_refused(record: Any, heat: Any, table: Any, text: str) -> None:
    recording = record({"temperature": heat(t0=MORNING)}, clock="utc")
    with pytest.raises(ConfigError, match="2024-03-01T06:00:00Z"):
        with_label_table([recording], table(f"session,t0,class\nmonday,{text},a\n"))


def test_a_table_that_cannot_be_read_is_told(week: list[Recording], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such label table"):
        with_label_table(week, tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read"):
        with_label_table(week, tmp_path / "binary.csv")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(ConfigError, match="pyarrow"):
        with_label_table(week, tmp_path / "broken.parquet")


def test_a_parquet_table_is_read_with_its_types(week: list[Recording], tmp_path: Path) -> None:
    frame = pd.DataFrame({"session": ["mon", "tue"], "t0": [1.5, np.nan], "class": ["a", "b"]})
    frame.to_parquet(tmp_path / "labels.parquet", index=False)
    labelled, _ = with_label_table(week, tmp_path / "labels.parquet")
    assert held(labelled[0]) == [(1.5, 10.0, "a")]
    assert held(labelled[1]) == [(0.0, 10.0, "b")]


def test_times_of_a_parquet_table_keep_their_zone(record: Any, heat: Any, tmp_path: Path) -> None:
    recording = record({"temperature": heat(t0=MORNING)}, clock="utc")
    begin = pd.Timestamp("2024-03-01T07:00:01.25", tz="Europe/Berlin")
    frame = pd.DataFrame({"machine": ["press 4"], "t0": [begin], "class": ["run"]})
    frame.to_parquet(tmp_path / "labels.parquet", index=False)
    (labelled,), unmatched = with_label_table([recording], tmp_path / "labels.parquet")
    assert labelled.tracks["label"].t0.tolist() == [MORNING + 1_250_000_000]
    assert unmatched == []


def test_a_recording_without_streams_takes_no_label(week: list[Recording], table: Any) -> None:
    bare = Recording("bare", Path("bare.h5"), "/", "relative", {"session": "mon"}, {})
    labelled, unmatched = with_label_table([bare], table("session,class\nmon,a\n"))
    assert labelled[0].tracks == {}
    assert len(unmatched) == 1


STATES = [(0, 4 * SECOND, "idle"), (4 * SECOND, 9 * SECOND, "run")]


def test_the_reference_rule_takes_what_holds_at_the_last_instant(
    record: Any, shake: Any, encodings: Any
) -> None:
    recording = record({"acceleration": shake()}, labels={"state": STATES})
    plan = plan_windows([recording], encodings(), hop=SECOND)
    labels = label_windows([recording], plan, "state", encodings=encodings())
    assert labels == ["idle"] * 4 + ["run"] * 5 + [None]


def test_the_majority_rule_takes_what_holds_for_most_of_the_longest_span(
    record: Any, shake: Any, encodings: Any
) -> None:
    recording = record({"acceleration": shake()}, labels={"state": STATES})
    plan = plan_windows([recording], encodings(), hop=SECOND)
    labels = label_windows([recording], plan, "state", encodings=encodings(), rule="majority")
    # The longest span is 4 s: none before 3 s, a tie at 6 s, and 3 s of it still at 10 s.
    assert labels == [None, None, "idle", "idle", "idle", None, "run", "run", "run", "run"]


def test_a_whole_window_takes_the_label_of_most_of_the_recording(
    record: Any, shake: Any, encodings: Any
) -> None:
    recording = record(
        {"acceleration": shake()}, labels={"state": [(0, 6 * SECOND, "a"), (6 * SECOND, 10 * SECOND, "b")]}
    )
    whole = encodings(steps=10)
    plan = plan_windows([recording], whole)
    assert label_windows([recording], plan, "state", encodings=whole, rule="majority") == ["a"]
    assert label_windows([recording], plan, "state", encodings=whole) == ["b"]


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(1, 9), st.sampled_from("ab?")), max_size=12),
    st.integers(1, 12),
)
def test_labels_are_those_found_by_looking_at_every_instant(
    runs: list[tuple[int, int, str]], span: int
) -> None:
    held: dict[int, str] = {}
    intervals, time = [], 0
    for pause, length, label in runs:
        time += pause
        if label != "?":
            intervals.append((time, time + length, label))
            held |= dict.fromkeys(range(time, time + length), label)
        time += length
    intervals += intervals[:2]  # a row told twice changes nothing
    track = LabelTrack(
        np.array([item[0] for item in intervals], np.int64),
        np.array([item[1] for item in intervals], np.int64),
        tuple(item[2] for item in intervals),
    )
    stops = np.arange(span, time + span + 3)
    expected: list[str | None] = []
    for stop in stops.tolist():
        votes = Counter(held[instant] for instant in range(stop - span, stop) if instant in held)
        best = votes.most_common(1)
        expected.append(best[0][0] if best and 2 * best[0][1] > span else None)
    assert labels_of_spans(track, stops - span, stops) == expected


def test_a_recording_without_the_track_is_unlabelled(record: Any, shake: Any, encodings: Any) -> None:
    recordings = [
        record({"acceleration": shake()}, name="a.h5", labels={"state": STATES}),
        record({"acceleration": shake()}, name="b.h5"),
    ]
    plan = plan_windows(recordings, encodings(), hop=5 * SECOND)
    assert label_windows(recordings, plan, "state", encodings=encodings()) == ["idle", "run", None, None]


def test_an_unknown_target_is_told_with_the_nearest(record: Any, shake: Any, encodings: Any) -> None:
    recording = record({"acceleration": shake()}, labels={"state": STATES})
    plan = plan_windows([recording], encodings(), hop=SECOND)
    with pytest.raises(WindowError, match=r"'stat'(.|\n)*did you mean 'state'"):
        label_windows([recording], plan, "stat", encodings=encodings())


def test_labels_become_the_numbers_of_their_classes() -> None:
    encoded = encode_labels(["run", None, "idle"], ["idle", "run"])
    assert encoded.tolist() == [1, UNLABELLED, 0]
    assert encoded.dtype == np.int64


def test_a_label_that_is_no_class_is_told() -> None:
    with pytest.raises(WindowError, match=r"'rnu'(.|\n)*'idle', 'run'(.|\n)*to mend"):
        encode_labels(["run", "rnu"], ["idle", "run"])


EVENTS = EventRule(delay=-2 * SECOND, holds=4 * SECOND)


def test_an_event_labels_the_time_around_it(week: Any, table: Any) -> None:
    text = "session,t,class\nmon,3,jam\nmon,9,jam\ntue,1,leak\n"
    labelled, unmatched = with_label_table(week, table(text), events=EVENTS)
    assert held(labelled[0]) == [(1.0, 5.0, "jam"), (7.0, 11.0, "jam")]
    assert held(labelled[1]) == [(-1.0, 3.0, "leak")]
    assert unmatched == []


def test_a_later_event_ends_what_an_earlier_one_began(week: Any, table: Any) -> None:
    text = "session,t,class\nmon,5,jam\nmon,3,leak\n"
    labelled, _ = with_label_table(week, table(text), events=EVENTS)
    assert held(labelled[0]) == [(1.0, 3.0, "leak"), (3.0, 7.0, "jam")]


def test_an_event_told_twice_is_still_ended_by_the_next(week: Any, table: Any) -> None:
    text = "session,t,class\nmon,3,leak\nmon,3,leak\nmon,5,jam\n"
    labelled, _ = with_label_table(week, table(text), events=EVENTS)
    assert set(held(labelled[0])) == {(1.0, 3.0, "leak"), (3.0, 7.0, "jam")}


def test_two_events_of_one_instant_must_agree(week: Any, table: Any) -> None:
    with pytest.raises(ConfigError, match=r"line 2 and line 3(.|\n)*contradict(.|\n)*'leak' from 1\.000 s"):
        with_label_table(week, table("session,t,class\nmon,3,leak\nmon,3,jam\n"), events=EVENTS)


def test_an_event_without_a_rule_or_beside_an_interval_is_told(week: Any, table: Any) -> None:
    with pytest.raises(ConfigError, match=r"labels\.events"):
        with_label_table(week, table("session,t,class\nmon,3,jam\n"))
    with pytest.raises(ConfigError, match=r"line 2(.|\n)*an instant and an interval"):
        with_label_table(week, table("session,t,t0,class\nmon,3,1,jam\n"), events=EVENTS)


def test_local_times_need_a_time_zone(record: Any, heat: Any, table: Any) -> None:
    recording = record({"temperature": heat(t0=MORNING)}, clock="utc")
    path = table("machine,t0,t1,class\npress 4,2024-03-01 07:00:01,2024-03-01 07:00:03,run\n")
    (labelled,), _ = with_label_table([recording], path, timezone="Europe/Berlin")
    assert labelled.tracks["label"].t0.tolist() == [MORNING + SECOND]
    with pytest.raises(ConfigError, match=r"line 2(.|\n)*with its offset from UTC, or `labels.timezone`"):
        with_label_table([recording], path)


@pytest.mark.parametrize("mark", [";", "\t"])
def test_a_table_may_be_parted_by_semicolons_or_tabs(week: Any, table: Any, mark: str) -> None:
    text = (
        "session;t0;t1;class\nmon;0,5;2.5;idle\n"
        if mark == ";"
        else "session\tt0\tt1\tclass\nmon\t0.5\t2.5\tidle\n"
    )
    labelled, _ = with_label_table(week, table(text))
    assert held(labelled[0]) == [(0.5, 2.5, "idle")]


def test_targets_have_intervals_of_their_own(week: Any, table: Any) -> None:
    text = "session,target,t0,t1,class\nmon,state,0,5,run\nmon,wear,0,,low\nmon,state,5,8,idle\n"
    labelled, _ = with_label_table(week, table(text))
    assert held(labelled[0], "state") == [(0.0, 5.0, "run"), (5.0, 8.0, "idle")]
    assert held(labelled[0], "wear") == [(0.0, 10.0, "low")]
    assert labelled[1].tracks == {}
