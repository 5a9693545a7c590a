"""Alarms against faults: what is true, false, premature or not judged, how late, and at what rate."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorkd.alarms import AlarmRule, AlarmState
from sensorkd.errors import ConfigError, WindowError
from sensorkd.evaluation.alarm_curve import MAX_POINTS, AlarmCurve, alarm_curve, at_budget
from sensorkd.evaluation.alarm_metrics import AlarmMetrics, alarm_metrics
from sensorkd.evaluation.alarm_windows import MAX_HOPS, ScoredWindows
from sensorkd.timeline import SECOND

CLASSES = ("ok", "worn", "hot")
RULE = AlarmRule(("ok",), 0.5)
HOUR, DAY = 3600, 86_400
NAN = math.nan


def drawn(*recordings: tuple[str, str], hop: float = 10.0, clock: Any = "relative") -> ScoredWindows:
    """Windows from pictures. Truth: `.` ok, `w` worn, `h` hot, `?` unknown. Score: # 0.9, . 0.1, x NaN."""
    truth = [".wh".find(mark) for picture, _ in recordings for mark in picture]
    scores = [{"#": 0.9, ".": 0.1, "x": NAN}[mark] for _, picture in recordings for mark in picture]
    place = [index for picture, _ in recordings for index in range(len(picture))]
    names = [f"r{number}" for number, (picture, _) in enumerate(recordings) for _ in picture]
    t_ref = (np.array(place) * hop * SECOND).astype(np.int64)
    return ScoredWindows(np.array(names), t_ref, np.array(scores), np.array(truth), CLASSES, clock)


def counts(metrics: AlarmMetrics) -> dict[str, int]:
    kinds = ("true", "false", "premature", "unjudged")
    found = {kind: getattr(metrics, f"{kind}_alarms") for kind in kinds}
    return {kind: count for kind, count in found.items() if count}


def judged(*recordings: tuple[str, str], **options: Any) -> AlarmMetrics:
    return alarm_metrics(drawn(*recordings), RULE, **options)


# --- worked by hand ---


def test_a_shift_worked_by_hand() -> None:
    metrics = judged(
        ("..wwww....hh..", ".#..##...#...."),
        ("...wwww", "...####"),
    )
    assert counts(metrics) == {"true": 2, "false": 2}
    assert metrics.precision == 0.5
    assert metrics.recall == pytest.approx(2 / 3)
    assert [episode.delay for episode in metrics.episodes] == [20.0, None, 0.0]
    assert (metrics.delay(50), metrics.delay(90)) == (10.0, pytest.approx(18.0))
    assert [(e.recording, e.start, e.stop, e.faults) for e in metrics.missed] == [
        ("r0", 100 * SECOND, 110 * SECOND, ("hot",))
    ]
    # Eleven normal windows of ten seconds, two of them in alarm.
    assert (metrics.observed, metrics.normal, metrics.normal_in_alarm) == (210.0, 110.0, 20.0)
    assert metrics.false_per_day == pytest.approx(2 / (110 / DAY))
    assert metrics.normal_share == pytest.approx(2 / 11)


@pytest.mark.parametrize(
    ("truth", "alarm", "expected"),
    [
        ("..ww..", "..##..", {"true": 1}),
        ("..ww..", "#.....", {"false": 1}),
        ("..ww..", "...###", {"true": 1}),  # what holds on after the fault began within it
        ("..ww..", "....#.", {"false": 1}),  # raised after the fault has gone
        ("..wwww", "..#.#.", {"true": 2}),  # raised twice, both rightly
        ("ww..ww", "######", {"true": 1}),
        ("...www", "..####", {"true": 1}),  # a window early: labels are no finer than that
        (".....ww", ".######", {"false": 1, "premature": 1}),
        ("???...", ".#....", {"unjudged": 1}),
        ("???...", ".###..", {"false": 1}),
        ("???ww.", "####..", {"true": 1}),  # early, but nobody knows whether all was well then
        ("w??w..", ".##...", {"true": 1}),  # unknown windows between two faults belong to them
        ("w??...", ".##...", {"unjudged": 1}),
    ],
)
def test_an_alarm_is_judged_by_where_it_lies(truth: str, alarm: str, expected: dict[str, int]) -> None:
    assert counts(judged((truth, alarm))) == expected


def test_a_premature_alarm_is_false_though_the_fault_counts_as_found() -> None:
    metrics = judged(("." * 10 + "www", "#" * 13))
    assert counts(metrics) == {"false": 1, "premature": 1}
    assert (metrics.precision, metrics.recall, metrics.delay(50)) == (0.0, 1.0, 0.0)
    assert metrics.episodes[0].standing
    assert metrics.normal_share == 1.0
    assert "false, since over 30.0 s before the fault: 1 of them" in metrics.lines()


def test_how_early_a_warning_may_be_is_the_users_to_say() -> None:
    windows = drawn(("." * 10 + "www", "#" * 13))
    assert counts(alarm_metrics(windows, RULE, early=100.0)) == {"true": 1}
    assert counts(alarm_metrics(windows, RULE, early=99.9)) == {"false": 1, "premature": 1}
    assert alarm_metrics(windows, RULE).early == MAX_HOPS * 10.0


def test_an_alarm_that_is_active_already_finds_a_fault_without_delay() -> None:
    first, second = judged(("ww..ww", ".####.")).episodes
    assert (first.delay, first.standing) == (10.0, False)
    assert (second.delay, second.standing) == (0.0, True)


def test_an_alarm_does_not_run_on_into_another_recording() -> None:
    metrics = judged(("..ww", "...#"), ("ww..", "x..."))
    assert [episode.delay for episode in metrics.episodes] == [10.0, None]
    assert counts(judged((".", "#"), (".", "#"))) == {"false": 2}


@pytest.mark.parametrize(
    ("truth", "spans"),
    [
        ("..ww..", [(2, 3)]),
        ("w.w", [(0, 0), (2, 2)]),
        ("wwhh", [(0, 3)]),  # from one fault to another: one episode
        ("w??w", [(0, 3)]),
        ("?w?.", [(1, 1)]),
        ("w?.?w", [(0, 0), (4, 4)]),
        ("???", []),
        ("...", []),
    ],
)
def test_episodes_are_runs_that_unknown_windows_neither_begin_nor_end(
    truth: str, spans: list[tuple[int, int]]
) -> None:
    episodes = judged((truth, "." * len(truth))).episodes
    assert [(e.start // (10 * SECOND), e.stop // (10 * SECOND)) for e in episodes] == spans


def test_an_episode_names_the_faults_it_went_through() -> None:
    assert judged(("hh?ww", ".....")).episodes[0].faults == ("worn", "hot")


# --- time ---


def timed(seconds: list[float], *, recording: list[int] | None = None, scores: Any = None) -> AlarmMetrics:
    t_ref = np.array(np.array(seconds) * SECOND, np.int64)
    count = len(t_ref)
    windows = ScoredWindows(
        np.array(recording or [0] * count),
        t_ref,
        np.zeros(count) if scores is None else np.array(scores),
        np.zeros(count, np.int64),
        CLASSES,
    )
    return alarm_metrics(windows, RULE)


def test_a_gap_is_not_observed_time() -> None:
    # The median hop is 10 s: 10 for the first, 10, 10, 30 for the one after the gap, 10.
    assert timed([0, 10, 20, 5000, 5010]).observed == 70.0


def test_a_few_missing_windows_are_observed_time() -> None:
    assert timed([0, 10, 20, 40, 50]).observed == 60.0


def test_every_recording_has_a_first_window_that_stands_for_a_hop() -> None:
    assert timed([0, 10, 20, 0, 10], recording=[0, 0, 0, 1, 1]).observed == 50.0


def test_a_window_that_could_not_be_judged_was_not_observed() -> None:
    metrics = timed([0, 10, 20, 30], scores=[0.0, NAN, NAN, 0.0])
    assert (metrics.observed, metrics.unscored) == (20.0, 2)


def test_recordings_of_one_window_tell_no_time() -> None:
    metrics = timed([5, 5, 5], recording=[0, 1, 2], scores=[0.9, 0.0, 0.0])
    assert (metrics.observed, metrics.false_alarms) == (0.0, 1)
    assert metrics.false_per_day is metrics.false_per_day_upper is metrics.normal_share is None


def test_an_hour_without_a_false_alarm_cannot_show_one_a_day() -> None:
    metrics = timed(list(np.arange(360) * 10.0))
    assert metrics.normal == HOUR
    assert metrics.false_per_day == 0.0
    # The exact limit for none is -ln(0.05) in the time observed.
    assert metrics.false_per_day_upper == pytest.approx(-math.log(0.05) * 24)
    assert "with 95 % confidence below 71.9 a day" in "\n".join(metrics.lines())


@pytest.mark.parametrize("alarms", [0, 1, 4])
def test_at_the_upper_limit_so_few_alarms_have_a_chance_of_one_in_twenty(alarms: int) -> None:
    count = DAY // 10
    scores = np.zeros(count)
    scores[np.arange(alarms) * 50] = 0.9
    metrics = timed(list(np.arange(count) * 10.0), scores=scores)
    assert metrics.false_per_day == alarms
    mean = metrics.false_per_day_upper
    assert mean is not None
    chance = sum(math.exp(-mean) * mean**k / math.factorial(k) for k in range(alarms + 1))
    assert chance == pytest.approx(0.05)


# --- nothing to judge by ---


def test_without_faults_recall_and_delay_are_unknown() -> None:
    metrics = judged(("....", ".#.."))
    assert metrics.recall is metrics.delay(50) is None
    assert metrics.precision == 0.0
    assert "no fault in the truth: recall and delay are unknown" in metrics.lines()


def test_without_normal_time_the_false_alarm_rate_is_unknown() -> None:
    metrics = judged(("wwww", ".#.."))
    assert (metrics.recall, metrics.precision) == (1.0, 1.0)
    assert metrics.false_per_day is metrics.false_per_day_upper is metrics.normal_share is None
    assert "no normal time was observed: the rate of false alarms is unknown" in metrics.lines()


def test_without_alarms_precision_is_unknown() -> None:
    metrics = judged(("..ww", "...."))
    assert (metrics.precision, metrics.recall, metrics.delay(50)) == (None, 0.0, None)
    assert "alarms: 0, of which 0 true, 0 false (precision is unknown)" in metrics.lines()


def test_unknown_truth_alone_judges_nothing() -> None:
    metrics = judged(("????", ".##."))
    assert (metrics.precision, metrics.recall, metrics.false_per_day) == (None, None, None)
    assert "not judged, since the truth is unknown there: 1 more" in metrics.lines()


@pytest.mark.parametrize(
    "pictures", [("....", "...."), ("wwww", "...."), ("????", "xxxx"), (".", "#"), ("..ww", "#..#")]
)
def test_json_holds_none_where_nothing_is_known_and_never_nan(pictures: tuple[str, str]) -> None:
    windows = drawn(pictures)
    tree, curve = alarm_metrics(windows, RULE).to_json(), alarm_curve(windows, RULE)
    assert json.loads(json.dumps(tree, allow_nan=False)) == tree
    assert json.loads(json.dumps(curve.to_json(), allow_nan=False)) == curve.to_json()
    assert len(curve.lines()) == len(curve.points) + 1


def test_numbers_will_do_for_recordings() -> None:
    windows = drawn(("ww", ".."), ("ww", ".."))
    numbered = ScoredWindows(np.array([7, 7, 9, 9]), windows.t_ref, windows.scores, windows.truth, CLASSES)
    tree = alarm_metrics(numbered, RULE).to_json()
    assert [episode["recording"] for episode in tree["episodes"]] == [7, 9]
    assert json.loads(json.dumps(tree)) == tree


def test_missed_faults_are_listed_by_recording_and_time() -> None:
    lines = judged(("..ww..", "......"), ("hh", "..")).lines()
    assert "missed: worn in r0, 20.000 s to 30.000 s" in lines
    assert "missed: hot in r1, 0.000 s to 10.000 s" in lines


def test_missed_faults_have_a_date_where_the_clock_has_one() -> None:
    windows = drawn(("ww", ".."), clock="utc")
    assert (
        "missed: worn in r0, 1970-01-01T00:00:00Z to 1970-01-01T00:00:10Z"
        in alarm_metrics(windows, RULE).lines()
    )


def test_of_many_missed_faults_the_first_are_listed() -> None:
    lines = judged(("w." * 30, ".." * 30)).lines()
    assert sum(line.startswith("missed: worn") for line in lines) == 10
    assert "missed: 20 more" in lines


# --- what cannot be judged ---


def test_two_windows_at_one_time_are_refused() -> None:
    with pytest.raises(WindowError, match=r"two windows at one time(?s:.*)r0 at 10.000 s(?s:.*)archive once"):
        alarm_metrics(
            ScoredWindows(
                np.array(["r0"] * 3), np.array([0, 10, 10]) * SECOND, np.zeros(3), np.zeros(3, int), CLASSES
            ),
            RULE,
        )


def test_a_rule_for_other_classes_is_refused() -> None:
    with pytest.raises(ConfigError, match="'fine' is none of the classes"):
        alarm_metrics(drawn(("..", "..")), AlarmRule(("fine",), 0.5))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"t_ref": np.zeros(3, np.int64)}, r"columns of \[2, 3, 2, 2\] windows"),
        ({"truth": np.array([0, 3])}, r"truth must lie in \[-1, 3\)"),
        ({"truth": np.array([0, -2])}, r"truth must lie in \[-1, 3\)"),
        ({"scores": np.array([0.0, 1.1])}, r"scores must lie in \[0, 1\]"),
    ],
)
def test_columns_that_do_not_fit_are_refused(changes: dict[str, Any], problem: str) -> None:
    columns = {
        "recording": np.zeros(2, int),
        "t_ref": np.arange(2),
        "scores": np.zeros(2),
        "truth": np.zeros(2, int),
    }
    with pytest.raises(ValueError, match=problem):
        ScoredWindows(**{**columns, **changes}, classes=CLASSES)


def test_no_windows_cannot_be_judged() -> None:
    with pytest.raises(ValueError, match="one at least"):
        drawn()


# --- against loops ---


@st.composite
def windows_of(draw: st.DrawFn) -> ScoredWindows:
    rows = []
    for recording in range(draw(st.integers(1, 3))):
        steps = draw(st.lists(st.sampled_from([10, 10, 10, 25, 400]), min_size=1, max_size=25))
        truth = draw(st.lists(st.sampled_from([0, 0, 1, 2, -1]), min_size=len(steps), max_size=len(steps)))
        levels = st.sampled_from([0.0, 0.2, 0.5, 0.8, 1.0, NAN])
        scores = draw(st.lists(levels, min_size=len(steps), max_size=len(steps)))
        times = np.cumsum(steps) + draw(st.integers(-50, 50))
        rows += [
            (recording, int(time) * SECOND, score, kind)
            for time, score, kind in zip(times, scores, truth, strict=True)
        ]
    rows = draw(st.permutations(rows))
    recording, t_ref, scores, truth = (np.array(column) for column in zip(*rows, strict=True))
    return ScoredWindows(recording, t_ref, scores, truth, CLASSES)


RULES = st.builds(
    lambda threshold, count, more, clear: AlarmRule(("ok",), threshold, count, count + more, clear),
    st.sampled_from([0.2, 0.5, 0.8, 1.0]),
    st.integers(1, 3),
    st.integers(0, 2),
    st.integers(1, 3),
)


def slow_runs(flags: list[bool]) -> list[list[int]]:
    runs: list[list[int]] = []
    for place, flag in enumerate(flags):
        if flag and place and flags[place - 1]:
            runs[-1].append(place)
        elif flag:
            runs.append([place])
    return runs


def slow_metrics(windows: ScoredWindows, rule: AlarmRule, early: float | None) -> dict[str, Any]:
    """Everything with loops, one recording after the other."""
    rows = zip(windows.recording, windows.t_ref, windows.scores, windows.truth, strict=True)
    table: dict[int, list[tuple[int, float, int]]] = {}
    for recording, t, score, truth in sorted(rows, key=lambda row: row[:2]):
        table.setdefault(int(recording), []).append((int(t), float(score), int(truth)))
    hops = [b[0] - a[0] for lines in table.values() for a, b in itertools.pairwise(lines)]
    hop = int(np.median(hops)) if hops else 0
    early_ns = 3 * hop if early is None else early * SECOND
    total: dict[str, Any] = {"true": 0, "false": 0, "premature": 0, "unjudged": 0}
    total |= {"observed": 0, "normal": 0, "normal_in_alarm": 0, "episodes": []}
    for recording, lines in table.items():
        state = AlarmState(rule)
        active = [state.push(score) for _, score, _ in lines]
        for place, (t, score, truth) in enumerate(lines):
            if not math.isnan(score):
                stands = min(t - lines[place - 1][0], 3 * hop) if place else hop
                total["observed"] += stands
                total["normal"] += stands if truth == 0 else 0
                total["normal_in_alarm"] += stands if truth == 0 and active[place] else 0
        known = [place for place, (_, _, truth) in enumerate(lines) if truth >= 0]
        faults = [
            range(known[run[0]], known[run[-1]] + 1)
            for run in slow_runs([lines[place][2] > 0 for place in known])
        ]
        for fault in faults:
            t = lines[fault[0]][0]
            alarmed = [lines[place][0] for place in fault if active[place]]
            delay = (alarmed[0] - t) / SECOND if alarmed else None
            standing = bool(fault[0]) and active[fault[0]] and active[fault[0] - 1]
            total["episodes"].append((recording, t, lines[fault[-1]][0], delay, standing))
        for alarm in slow_runs(active):
            met = [fault for fault in faults if set(fault) & set(alarm)]
            normal = [lines[place][0] for place in alarm if lines[place][2] == 0]
            if met:
                premature = bool(normal) and lines[met[0][0]][0] - normal[0] > early_ns
                total["premature"] += premature
                total["false" if premature else "true"] += 1
            else:
                total["false" if normal else "unjudged"] += 1
    return total


@settings(max_examples=300)
@given(windows_of(), RULES, st.sampled_from([None, 0.0, 10.0, 1000.0]))
def test_metrics_agree_with_loops(windows: ScoredWindows, rule: AlarmRule, early: float | None) -> None:
    metrics, slow = alarm_metrics(windows, rule, early=early), slow_metrics(windows, rule, early)
    for kind in ("true", "false", "premature", "unjudged"):
        assert getattr(metrics, f"{kind}_alarms") == slow[kind]
    for time in ("observed", "normal", "normal_in_alarm"):
        assert getattr(metrics, time) == pytest.approx(slow[time] / SECOND)
    episodes = [(e.recording, e.start, e.stop, e.delay, e.standing) for e in metrics.episodes]
    assert episodes == slow["episodes"]
    assert metrics.windows == len(windows.t_ref)
    assert metrics.recordings == len(set(windows.recording.tolist()))
    json.dumps(metrics.to_json(), allow_nan=False)
    assert all(isinstance(line, str) for line in metrics.lines())


# --- the curve ---


@given(windows_of(), RULES)
def test_every_point_of_the_curve_is_what_its_rule_gives(windows: ScoredWindows, rule: AlarmRule) -> None:
    curve = alarm_curve(windows, rule)
    thresholds = [point.rule.threshold for point in curve.points]
    seen = {float(score) for score in windows.scores if score > 0}
    assert thresholds == sorted({*seen, rule.threshold})
    for point in curve.points:
        assert point == alarm_metrics(windows, point.rule)


def shift(count: int = 5000, seed: int = 0) -> ScoredWindows:
    """A day and more: normal scores low, every fault of twenty windows rises above most of them."""
    rng = np.random.default_rng(seed)
    truth = (np.arange(count) % 500 >= 480).astype(np.int64)
    scores = np.where(truth == 1, rng.beta(6, 2, count), rng.beta(2, 8, count))
    return ScoredWindows(np.zeros(count, int), np.arange(count) * 20 * SECOND, scores, truth, CLASSES)


def test_of_many_scores_a_choice_makes_the_curve() -> None:
    windows = shift()
    curve = alarm_curve(windows, RULE)
    assert MAX_POINTS / 2 < len(curve.points) <= MAX_POINTS + 1
    thresholds = {point.rule.threshold for point in curve.points}
    assert RULE.threshold in thresholds
    # The upper tail of normal time, from which false alarms come, is there one by one.
    calm = np.sort(windows.scores[windows.truth == 0])[::-1]
    assert set(calm[:10].tolist()) <= thresholds
    assert 3 <= len(curve.lines()) <= 21


def test_a_threshold_is_chosen_on_one_side_and_judged_on_the_other() -> None:
    chosen = at_budget(alarm_curve(shift(seed=1), RULE), 5.0)
    assert chosen is not None
    assert chosen.false_per_day is not None
    assert chosen.false_per_day <= 5.0
    judged = alarm_metrics(shift(seed=2), chosen.rule)
    assert judged.recall == 1.0
    assert judged.false_per_day is not None
    assert judged.false_per_day < 20.0


def slow_at_budget(curve: AlarmCurve, per_day: float) -> AlarmMetrics | None:
    best = None
    for point in curve.points:
        tree = point.summary()
        if not tree["recall"] or tree["false_per_day"] is None or tree["false_per_day"] > per_day:
            continue
        if tree["normal_share"] > 0.5:
            continue
        rank = (tree["recall"], -tree["median_delay"], point.rule.threshold)
        if best is None or rank > best[0]:
            best = (rank, point)
    return None if best is None else best[1]


@settings(max_examples=200)
@given(windows_of(), RULES, st.sampled_from([0.0, 1.0, 100.0, 1000.0]))
def test_the_operating_point_is_the_best_within_the_budget(
    windows: ScoredWindows, rule: AlarmRule, per_day: float
) -> None:
    curve = alarm_curve(windows, rule)
    assert at_budget(curve, per_day) == slow_at_budget(curve, per_day)


def graded(truth: str, tenths: str) -> ScoredWindows:
    windows = drawn((truth, "." * len(truth)))
    scores = np.array([int(digit) for digit in tenths]) / 10
    return ScoredWindows(windows.recording, windows.t_ref, scores, windows.truth, CLASSES)


def test_no_budget_asks_for_a_threshold_above_all_of_normal_time() -> None:
    curve = alarm_curve(graded("....ww....ww", "161114111179"), RULE)
    chosen = at_budget(curve, 0.0)
    assert chosen is not None
    # Both 0.7 and 0.9 find the second fault only, 0.9 a window later: ties go to the shorter delay.
    assert (chosen.rule.threshold, chosen.recall, chosen.delay(50)) == (0.7, 0.5, 0.0)
    generous = at_budget(curve, 1e4)
    assert generous is not None
    assert (generous.rule.threshold, generous.recall) == (0.4, 1.0)


def test_ties_go_to_the_higher_threshold_last() -> None:
    chosen = at_budget(alarm_curve(graded("........ww", "1111111199"), RULE), 0.0)
    assert chosen is not None
    assert chosen.rule.threshold == 0.9


def test_an_alarm_that_never_ends_is_within_no_budget() -> None:
    windows = graded("." * 40 + "ww" + "." * 40 + "ww", "6" * 84)
    curve = alarm_curve(windows, RULE)
    assert counts(curve.points[-1]) == {"false": 1, "premature": 1}
    assert curve.points[-1].recall == 1.0
    assert at_budget(curve, 1e6) is None
    assert at_budget(curve, 1e6, normal_share=1.0) == curve.points[-1]


@pytest.mark.parametrize(
    ("truth", "alarm"), [("..ww", "##.."), ("....", ".#.."), ("wwww", "####"), ("????", "####")]
)
def test_there_is_no_point_where_none_finds_a_fault_or_the_rate_is_unknown(truth: str, alarm: str) -> None:
    rule = AlarmRule(("ok",), 0.5, clear_threshold=0.4)
    assert at_budget(alarm_curve(drawn((truth, alarm)), rule), 0.0) is None


def test_a_clear_threshold_that_was_set_stays_along_the_curve_but_below_the_threshold() -> None:
    rule = AlarmRule(("ok",), 0.5, clear_threshold=0.3)
    rules = [point.rule for point in alarm_curve(graded("..ww", "1469"), rule).points]
    assert [(r.threshold, r.clear_threshold) for r in rules] == [
        (0.1, 0.1),
        (0.4, 0.3),
        (0.5, 0.3),
        (0.6, 0.3),
        (0.9, 0.3),
    ]
