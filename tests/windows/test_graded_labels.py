"""Labels that are less than certain: of several classes, or not fully to be trusted."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorkd.errors import ConfigError
from sensorkd.recordings import LabelTrack, Recording, open_recordings
from sensorkd.timeline import SECOND
from sensorkd.windows.derived_labels import with_otherwise
from sensorkd.windows.graded_spans import mean_of_spans, most_of_spans
from sensorkd.windows.graded_track import GradedTrack, as_graded
from sensorkd.windows.label_layers import track_of
from sensorkd.windows.label_rows import LabelInterval
from sensorkd.windows.labels import WindowLabels, encode_shares, grade_windows, label_windows
from sensorkd.windows.plan import plan_windows
from sensorkd.windows.table_labels import EventRule, LabelTable, with_label_table, with_label_tables

VOTES = {"ok": "votes_ok", "worn": "votes_worn", "hot": "votes_hot"}
HEADER = "session,t0,t1,votes_ok,votes_worn,votes_hot\n"


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    """Writes a CSV."""

    def write(text: str, name: str = "labels.csv") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def day(write_archive: Any, heat: Any) -> list[Recording]:
    """Ten seconds on a relative clock, of session mon."""
    return open_recordings(write_archive({"temperature": heat()}, recordings=("mon",)))


def held(recording: Recording) -> list[tuple[float, float, str, float, dict[str, float]]]:
    track = recording.tracks["label"]
    assert isinstance(track, GradedTrack)
    rows = zip(track.t0.tolist(), track.t1.tolist(), track.label, track.weight, track.shares, strict=True)
    return [(t0 / SECOND, t1 / SECOND, label, weight, dict(shares)) for t0, t1, label, weight, shares in rows]


def graded(
    recordings: list[Recording], encodings: Any, hop: float = 1.0, rule: Any = "reference"
) -> tuple[WindowLabels, list[float]]:
    """Labels of windows of two seconds, and when they end."""
    kinds = {"temperature": encodings(spans=(1.0, 2.0))["temperature"]}
    plan = plan_windows(recordings, kinds, hop=round(hop * SECOND))
    found = grade_windows(recordings, plan, "label", encodings=kinds, rule=rule)
    return found, (plan.t_ref / SECOND).tolist()


def test_shares_of_a_row_are_told_in_columns_and_may_be_counts(day: Any, table: Any) -> None:
    path = table(HEADER + "mon,0,4,3,1,0\nmon,4,6,,0.5,0.5\n")
    (labelled,), unmatched = with_label_table(day, path, share_of=VOTES)
    assert unmatched == []
    assert held(labelled) == [
        (0.0, 4.0, "ok", 1.0, {"ok": 0.75, "worn": 0.25}),
        (4.0, 6.0, "hot", 1.0, {"hot": 0.5, "worn": 0.5}),
    ]


def test_a_class_settles_equal_shares_and_stands_alone_where_none_are_told(day: Any, table: Any) -> None:
    path = table("session,t0,t1,class,a,b\nmon,0,1,y,1,1\nmon,1,2,z,,\nmon,2,3,,1,3\n")
    (labelled,), _ = with_label_table(day, path, share_of={"x": "a", "y": "b"})
    assert [(row[2], row[4]) for row in held(labelled)] == [
        ("y", {"x": 0.5, "y": 0.5}),
        ("z", {"z": 1.0}),
        ("y", {"x": 0.25, "y": 0.75}),
    ]


def test_a_table_without_any_shares_tells_classes(day: Any, table: Any) -> None:
    """One configuration serves the votes that a run learns from and the plain table it is judged by."""
    (labelled,), _ = with_label_table(day, table("session,class\nmon,ok\n"), share_of=VOTES)
    assert type(labelled.tracks["label"]) is LabelTrack


def test_shares_and_weights_may_have_decimal_commas_between_semicolons(day: Any, table: Any) -> None:
    path = table("session;t0;t1;weight;a;b\nmon;0,5;2.5;0,4;0,75;.25\n")
    (labelled,), _ = with_label_table(day, path, share_of={"x": "a", "y": "b"})
    assert held(labelled) == [(0.5, 2.5, "x", 0.4, {"x": 0.75, "y": 0.25})]


def test_a_parquet_table_tells_shares_and_weights_in_numbers(day: Any, tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "session": ["mon", "mon"],
            "t0": [0.0, 5.0],
            "t1": [5.0, 10.0],
            "class": [None, "worn"],
            "votes_ok": [3, pd.NA],
            "votes_worn": [2.0, np.nan],
            "votes_hot": [0, pd.NA],
            "weight": [0.5, np.nan],
        }
    )
    frame.to_parquet(tmp_path / "labels.parquet", index=False)
    (labelled,), _ = with_label_table(day, tmp_path / "labels.parquet", share_of=VOTES)
    assert held(labelled) == [
        (0.0, 5.0, "ok", 0.5, {"ok": 0.6, "worn": 0.4}),
        (5.0, 10.0, "worn", 1.0, {"worn": 1.0}),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEADER + "mon,0,1,0.5,-0.1,0.6\n", ["line 2, column votes_worn", "is negative", "0 or more"]),
        (HEADER + "mon,0,1,0,0,\n", ["line 2, column votes_ok, votes_worn", "no positive sum"]),
        (HEADER + "mon,0,1,1,half,1\n", ["line 2, column votes_worn", "is not a number", "'half'"]),
        (HEADER + "mon,0,1,nan,1,1\n", ["line 2, column votes_ok", "is not a number"]),
        (HEADER + "mon,0,1,inf,1,1\n", ["line 2, column votes_ok", "is not a number"]),
        (HEADER + "mon,0,1,,,\n", ["line 2", "the class is missing", "or shares"]),
        ("session,votes_ok,votes_wron,class\nmon,1,1,a\n", ["columns", "did you mean 'votes_worn'"]),
        ("session,t0\nmon,1\n", ["columns", "class or shares in ['votes_ok', 'votes_worn', 'votes_hot']"]),
        ("session,votes_ok,class\nmon,1,ok\n", ["lacks a column of shares", "votes_hot", "share_of"]),
        (
            "session,class,votes_ok,votes_worn,votes_hot\nmon,worn,2,1,0\n",
            ["line 2", "not that of its largest share", "expected: ok"],
        ),
        (
            HEADER + "mon,0,5,2,1,0\nmon,4,6,1,2,0\n",
            ["contradict", "line 2 and line 3", "('ok' 0.6667, 'worn' 0.3333) from 0.000 s"],
        ),
        (HEADER + "mon,0,5,2,1,0\nmon,4,6,3,1,0\n", ["contradict", "'ok' 0.75"]),
    ],
)  # fmt: skip
def test_shares_that_are_wrong_are_told(day: Any, table: Any, text: str, words: list[str]) -> None:
    path = table(text)
    with pytest.raises(ConfigError, match="to mend") as caught:
        with_label_table(day, path, share_of=VOTES)
    assert caught.value.file == str(path)
    for word in words:
        assert word in str(caught.value), str(caught.value)


@pytest.mark.parametrize("weight", ["0", "-0.5", "1.01", "1,5", "sure", "nan"])
def test_a_weight_is_above_zero_and_at_most_one(day: Any, table: Any, weight: str) -> None:
    path = table(f'session,class,weight\nmon,a,1\nmon,a,"{weight}"\n')
    with pytest.raises(ConfigError, match=r"weight") as caught:
        with_label_table(day, path)
    assert (caught.value.file, caught.value.inside) == (str(path), "line 3, column weight")


def test_an_identity_named_weight_is_one(day: Any, table: Any) -> None:
    recording = dataclasses.replace(day[0], identity={"machine": "m", "weight": "1,5 kg"})
    labelled, unmatched = with_label_table(
        [recording], table('machine;weight;class\nm;"1,5 kg";a\nm;"2 kg";b\n')
    )
    assert labelled[0].tracks["label"].label == ("a",)
    assert not isinstance(labelled[0].tracks["label"], GradedTrack)
    assert len(unmatched) == 1


def test_certain_labels_make_an_ordinary_track(day: Any, table: Any, encodings: Any) -> None:
    path = table("session,t0,t1,class,weight\nmon,0,5,a,1\nmon,5,,b,\n")
    labelled, _ = with_label_table(day, path)
    assert type(labelled[0].tracks["label"]) is LabelTrack
    found, _ = graded(labelled, encodings)
    assert (found.shares, found.weights) == (None, None)


def test_the_stronger_label_holds_where_two_lie(day: Any, table: Any, encodings: Any) -> None:
    """An operator calls the whole session ok; an expert saw that it was worn for two seconds."""
    coarse = LabelTable(table("session,class\nmon,ok\n", "shift.csv"), weight=0.25)
    exact = LabelTable(table("session,t0,t1,class\nmon,3,5,worn\nmon,8,9,ok\n", "expert.csv"))
    labels: list[Any] = []
    for tables in ([coarse, exact], [exact, coarse]):
        labelled, _ = with_label_tables(day, tables)
        assert [row[:4] for row in held(labelled[0])] == [
            (0.0, 3.0, "ok", 0.25),
            (3.0, 5.0, "worn", 1.0),
            (5.0, 8.0, "ok", 0.25),
            (8.0, 9.0, "ok", 1.0),
            (9.0, 10.0, "ok", 0.25),
        ]
        found, stops = graded(labelled, encodings)
        assert stops == [2, 3, 4, 5, 6, 7, 8, 9, 10]
        assert found.names == ["ok", "ok", "worn", "worn", "ok", "ok", "ok", "ok", "ok"]
        assert found.weights is not None
        assert found.weights.tolist() == [0.25, 0.25, 1, 1, 0.25, 0.25, 0.25, 1, 0.25]
        assert found.shares is None
        labels.append(found.names)
    assert labels[0] == labels[1]


def test_a_majority_is_trusted_as_its_class_is_on_average(day: Any, table: Any, encodings: Any) -> None:
    coarse = LabelTable(table("session,class\nmon,ok\n", "shift.csv"), weight=0.5)
    exact = LabelTable(table("session,t0,t1,class\nmon,0,1.5,ok\nmon,3,4,worn\n", "expert.csv"))
    labelled, _ = with_label_tables(day, [coarse, exact])
    found, stops = graded(labelled, encodings, rule="majority")
    by_stop = dict(zip(stops, zip(found.names, found.weights.tolist(), strict=True), strict=True))  # type: ignore[union-attr]
    assert by_stop[2.0] == ("ok", 0.875)  # 1.5 s of the expert's, 0.5 s of the operator's
    assert by_stop[3.0] == ("ok", 0.625)
    assert by_stop[4.0] == (None, 1.0)  # one second each
    assert by_stop[7.0] == ("ok", 0.5)


def test_rows_of_one_weight_must_agree_also_between_tables(day: Any, table: Any) -> None:
    first = LabelTable(table("session,class\nmon,ok\n", "one.csv"))
    second = LabelTable(table("session,t0,t1,class\nmon,2,3,worn\n", "two.csv"))
    with pytest.raises(ConfigError, match="contradict") as caught:
        with_label_tables(day, [first, second])
    assert str(caught.value.inside).startswith("line 2 and line 2 of ")
    assert "two.csv" in str(caught.value)


def test_rows_of_several_tables_that_fit_nothing_are_told_with_their_table(day: Any, table: Any) -> None:
    first = LabelTable(table("session,class\nmon,ok\n", "one.csv"))
    second = LabelTable(table("session,class\ntue,ok\n", "two.csv"))
    _, unmatched = with_label_tables(day, [first, second])
    assert [row.split(":")[0] for row in unmatched] == ["two.csv line 2"]


def test_events_may_be_weak(day: Any, table: Any) -> None:
    path = table("session,t,class,weight\nmon,3,jam,0.5\nmon,5,leak,\n")
    (labelled,), _ = with_label_table(day, path, events=EventRule(0, 4 * SECOND), weight=0.75)
    assert sorted(row[:4] for row in held(labelled)) == [(3.0, 5.0, "jam", 0.5), (5.0, 9.0, "leak", 0.75)]


def test_what_holds_otherwise_is_trusted_as_its_table(day: Any, table: Any) -> None:
    (labelled,), _ = with_label_table(day, table("session,t0,t1,class\nmon,3,5,jam\n"))
    (certain,) = with_otherwise([labelled], "label", "none")
    assert type(certain.tracks["label"]) is LabelTrack
    (weak,) = with_otherwise([labelled], "label", "none", weight=0.5)
    assert sorted(row[:4] for row in held(weak)) == [
        (0.0, 3.0, "none", 0.5),
        (3.0, 5.0, "jam", 1.0),
        (5.0, 10.0, "none", 0.5),
    ]
    (bare,) = with_otherwise(day, "label", "none", weight=0.5)
    assert held(bare) == [(0.0, 10.0, "none", 0.5, {"none": 1.0})]
    (soft,), _ = with_label_table(day, table(HEADER + "mon,3,5,1,1,0\n"), share_of=VOTES)
    (full,) = with_otherwise([soft], "label", "none")
    assert {row[2]: row[4] for row in held(full)} == {"none": {"none": 1.0}, "ok": {"ok": 0.5, "worn": 0.5}}


def test_the_share_rule_takes_what_each_class_covers_of_the_span(
    day: Any, table: Any, encodings: Any
) -> None:
    labelled, _ = with_label_table(day, table("session,t0,t1,class\nmon,0,3.5,ok\nmon,3.5,5,worn\n"))
    found, stops = graded(labelled, encodings, rule="share")
    assert found.classes == ("ok", "worn")
    assert found.weights is None
    told = {
        stop: (name, row)
        for stop, name, row in zip(stops, found.names, found.shares.tolist(), strict=True)  # type: ignore[union-attr]
    }
    assert told[2.0] == ("ok", [1.0, 0.0])
    assert told[4.0] == ("ok", [0.75, 0.25])
    assert told[5.0] == ("worn", [0.25, 0.75])
    assert told[6.0] == (None, [0.0, 0.0])  # no more than half of it is labelled
    assert told[7.0] == (None, [0.0, 0.0])


def test_of_equal_shares_the_first_by_name_is_the_class(day: Any, table: Any, encodings: Any) -> None:
    labelled, _ = with_label_table(day, table("session,t0,t1,class\nmon,0,3,worn\nmon,3,10,ok\n"))
    found, stops = graded(labelled, encodings, rule="share")
    row = stops.index(4.0)
    assert (found.names[row], found.shares[row].tolist()) == ("ok", [0.5, 0.5])  # type: ignore[index]


def test_soft_rows_are_averaged_over_a_span(day: Any, table: Any, encodings: Any) -> None:
    path = table(HEADER + "mon,0,3,3,1,0\nmon,3,10,1,3,0\n")
    labelled, _ = with_label_table(day, path, share_of=VOTES)
    for rule, expected in [
        ("reference", ("worn", [0, 0.25, 0.75])),
        ("majority", (None, [0, 0, 0])),
        ("share", ("ok", [0, 0.5, 0.5])),
    ]:
        found, stops = graded(labelled, encodings, rule=rule)
        row = stops.index(4.0)
        columns = [found.classes.index(name) if name in found.classes else None for name in VOTES]
        shares = [0.0 if at is None else float(found.shares[row, at]) for at in columns]  # type: ignore[index]
        assert (found.names[row], [shares[2], shares[0], shares[1]]) == expected


def test_names_alone_are_those_of_the_graded_labels(day: Any, table: Any, encodings: Any) -> None:
    labelled, _ = with_label_table(day, table(HEADER + "mon,0,3,3,1,0\nmon,3,9,1,3,0\n"), share_of=VOTES)
    kinds = {"temperature": encodings()["temperature"]}
    plan = plan_windows(labelled, kinds, hop=SECOND)
    names = label_windows(labelled, plan, "label", encodings=kinds)
    assert names == grade_windows(labelled, plan, "label", encodings=kinds).names
    assert names[-1] is None


def test_shares_come_in_the_order_of_the_classes_and_without_those_the_run_does_not_know() -> None:
    shares = np.array([[0.5, 0.25, 0.25], [0, 0, 0], [0, 1, 0]], np.float32)
    found = WindowLabels(["a", None, "b"], ("a", "b", "c"), shares)
    encoded = encode_shares(found, ["b", "a"])
    assert encoded is not None and encoded.dtype == np.float32
    np.testing.assert_allclose(encoded, [[1 / 3, 2 / 3], [0, 0], [1, 0]], rtol=1e-6)
    assert encode_shares(WindowLabels(["a"], ("a",)), ["a"]) is None


RUNS = st.lists(
    st.tuples(st.integers(0, 6), st.integers(1, 9), st.integers(0, 4), st.integers(0, 4), st.integers(1, 4)),
    max_size=10,
)


def looked_up(runs: list[tuple[int, ...]]) -> tuple[GradedTrack, dict[int, tuple[str, np.ndarray, float]]]:
    """A track of classes a and b, and class, shares and weight at every instant."""
    at: dict[int, tuple[str, np.ndarray, float]] = {}
    rows: list[tuple[int, int, str, float, dict[str, float]]] = []
    time = 0
    for pause, length, a, b, quarters in runs:
        time += pause
        if a + b:
            shares = np.array([a, b]) / (a + b)
            label = "a" if a >= b else "b"
            rows.append((time, time + length, label, quarters / 4, {"a": shares[0], "b": shares[1]}))
            at |= dict.fromkeys(range(time, time + length), (label, shares, quarters / 4))
        time += length
    rows.reverse()  # a track may have any order
    track = GradedTrack(
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows], np.int64),
        tuple(row[2] for row in rows),
        np.array([row[3] for row in rows]),
        tuple(row[4] for row in rows),
    )
    return track, at


@given(runs=RUNS, span=st.integers(1, 12))
def test_graded_labels_are_those_found_by_looking_at_every_instant(
    runs: list[tuple[int, ...]], span: int
) -> None:
    track, at = looked_up(runs)
    stops = np.arange(span, sum(run[0] + run[1] for run in runs) + span + 3)
    most = most_of_spans(track, stops - span, stops, ["a", "b"])
    mean = mean_of_spans(track, stops - span, stops, ["a", "b"])
    for row, stop in enumerate(stops.tolist()):
        seen = [at[instant] for instant in range(stop - span, stop) if instant in at]
        for column, name in enumerate("ab"):
            mine = [item for item in seen if item[0] == name]
            if 2 * len(mine) > span:
                assert most.column[row] == column
                np.testing.assert_allclose(most.shares[row], np.mean([item[1] for item in mine], axis=0))
                assert most.weights[row] == pytest.approx(np.mean([item[2] for item in mine]))
        if not any(2 * sum(item[0] == name for item in seen) > span for name in "ab"):
            assert (most.column[row], most.shares[row].tolist(), most.weights[row]) == (-1, [0, 0], 1)
        if 2 * len(seen) > span:
            shares = np.mean([item[1] for item in seen], axis=0)
            np.testing.assert_allclose(mean.shares[row], shares)
            assert mean.weights[row] == pytest.approx(np.mean([item[2] for item in seen]))
            assert mean.shares[row, mean.column[row]] == mean.shares[row].max()
        else:
            assert (mean.column[row], mean.shares[row].tolist(), mean.weights[row]) == (-1, [0, 0], 1)


def test_an_ordinary_track_is_a_graded_one_that_is_certain() -> None:
    track = LabelTrack(np.array([0, 5, 8]), np.array([6, 8, 9]), ("a", "a", "b"))
    certain = as_graded(track)
    assert (certain.t0.tolist(), certain.t1.tolist(), certain.label) == ([0, 8], [8, 9], ("a", "b"))
    assert certain.weight.tolist() == [1, 1]
    assert not certain.soft
    assert not certain.weak
    assert as_graded(certain) is certain


@given(
    st.lists(
        st.tuples(st.integers(0, 20), st.integers(1, 12), st.sampled_from("ab"), st.integers(1, 4)),
        max_size=12,
    )
)
def test_of_all_that_lies_over_an_instant_the_strongest_holds(
    rows: list[tuple[int, int, str, int]],
) -> None:
    intervals = [
        LabelInterval(t0, t0 + length, label, {label: 1.0}, weight / 4, Path("x.csv"), f"line {place}", False)
        for place, (t0, length, label, weight) in enumerate(rows)
    ]
    at: dict[int, tuple[float, set[str]]] = {}
    at_odds = False
    for instant in range(40):
        there = [item for item in intervals if item.t0 <= instant < item.t1]
        for weight in {item.weight for item in there}:
            at_odds |= len({item.label for item in there if item.weight == weight}) > 1
        if there:
            strongest = max(item.weight for item in there)
            at[instant] = strongest, {item.label for item in there if item.weight == strongest}
    if at_odds:
        with pytest.raises(ConfigError, match="contradict"):
            track_of(intervals)
        return
    track = as_graded(track_of(intervals))
    assert track.fault() is None
    found = {
        instant: (weight, {label})
        for t0, t1, label, weight in zip(track.t0, track.t1, track.label, track.weight, strict=True)
        for instant in range(t0, t1)
    }
    assert found == at
    assert sum((track.t1 - track.t0).tolist()) == len(at), "no instant twice"
