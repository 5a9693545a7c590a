"""What the pictures of a report show, read back from their axes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sensorkd.alarms import AlarmRule
from sensorkd.evaluation.alarm_curve import alarm_curve
from sensorkd.evaluation.alarm_windows import ScoredWindows
from sensorkd.evaluation.report_pictures import (
    COURSES,
    alarm_courses,
    auxiliary_curves,
    budget_curve,
    reliability,
    term_curves,
)
from sensorkd.timeline import SECOND
from sensorkd.training.metrics import ECE_BINS, expected_calibration_error

HOUR = 3600 * SECOND


def drawn(figure: Figure) -> list[Axes]:
    """Its axes, after it was really drawn; warnings are errors here."""
    figure.savefig(io.BytesIO(), format="png")
    return figure.axes


def lines(axes: Axes) -> dict[str, tuple[list[float], list[float]]]:
    return {
        str(line.get_label()): (np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist())
        for line in axes.get_lines()
    }


def record(step: int, **terms: float) -> dict[str, Any]:
    return {
        "epoch": step // 10,
        "step": step,
        "loss": 9.0,
        **terms,
        "alpha": 0.1,
        "learning_rate": 0.1,
        "seconds": 3,
    }


def test_every_term_is_a_curve_over_steps_and_nothing_else_is() -> None:
    names = ("label", "sad", "cross", "deep", "feat", "out")
    records = [record(step, **dict.fromkeys(names, 1 / step)) for step in (10, 20, 30)]
    (axes,) = drawn(term_curves([*records, {"final": "averaged", "train_accuracy": 0.9}]))
    found = lines(axes)
    assert list(found) == list(names), "all six of lsskd have a colour"
    assert found["feat"] == ([10, 20, 30], [1 / 10, 1 / 20, 1 / 30])
    assert axes.get_yscale() == "log"


def test_terms_that_begin_late_are_drawn_from_there() -> None:
    records = [record(10, label=0.5), record(20, label=0.4, pseudo=0.3), record(30, label=0.3, pseudo=0.2)]
    (axes,) = drawn(term_curves(records))
    steps, values = lines(axes)["pseudo"]
    assert steps == [10, 20, 30] and np.isnan(values[0]) and values[1:] == [0.3, 0.2]


def test_dev_groups_have_a_curve_of_their_own() -> None:
    records = [{**record(step, label=0.5), "dev": {"macro_f1": step / 100}} for step in (10, 20)]
    left, right = drawn(term_curves([*records, {"final": "averaged", "dev": {"macro_f1": 0.9}}]))
    assert list(lines(left)) == ["label"]
    assert next(iter(lines(right).values())) == ([10, 20], [0.1, 0.2])
    assert "dev groups" in right.get_ylabel()


def test_what_is_no_number_is_no_term_and_every_term_is_drawn_however_many_there_are() -> None:
    terms = {f"term{number}": 0.5 for number in range(9)}
    records = [{**record(step, **terms), "auxiliaries": {"fused/stage1": {"class": 0.5}}} for step in (1, 2)]
    (axes,) = drawn(term_curves([{"teacher": {"seconds": 3.0}}, *records]))
    assert list(lines(axes)) == list(terms)
    drawn_as = {(line.get_color(), line.get_linestyle()) for line in axes.get_lines()}
    assert len(drawn_as) == 9, "no two look alike"


def auxiliaries(step: int, **accuracies: dict[str, float]) -> dict[str, Any]:
    return {"step": step, "auxiliaries": {name.replace("_", "/"): told for name, told in accuracies.items()}}


def test_auxiliaries_have_a_panel_a_modality_and_a_line_a_stage() -> None:
    told = {"class": 0.4, "transform": 0.6, "chance": 0.55, "0|1": 0.7, "0|2": 0.8}
    better = {**told, "class": 0.8}
    records = [
        auxiliaries(10, heat_stage1=told, heat_stage2=told, fused_stage1=told),
        auxiliaries(20, heat_stage1=told, heat_stage2=better, fused_stage1=told),
    ]
    found = drawn(auxiliary_curves(records, 4))
    assert [axes.get_title() for axes in found] == ["heat", "fused"] + [""] * 4
    assert [axes.get_ylabel() for axes in found[::2]] == [
        "class right",
        "transform right",
        "transforms told apart",
    ]
    assert set(lines(found[0])) == {"stage1", "stage2", "by guessing"}
    assert set(lines(found[1])) == {"stage1", "by guessing"}
    assert lines(found[0])["stage2"] == ([10, 20], [0.4, 0.8])
    assert lines(found[0])["by guessing"] == ([10, 20], [0.25, 0.25])
    assert lines(found[2])["stage1"] == ([10, 20], [0.6, 0.6])
    assert lines(found[2])["by guessing"] == ([10, 20], [0.55, 0.55])
    assert lines(found[4])["stage1"] == ([10, 20], pytest.approx([0.75, 0.75]))
    assert lines(found[4])["by guessing"] == ([10, 20], [0.5, 0.5])


def test_what_an_epoch_does_not_tell_leaves_a_gap_in_the_curve() -> None:
    """A modality that no window of its last batches had, or auxiliaries that learn the class alone."""
    records = [
        auxiliaries(10, fused_stage1={"class": 0.3}),
        auxiliaries(20, fused_stage1={"class": 0.4}, heat_stage1={"class": 0.5}),
    ]
    found = drawn(auxiliary_curves(records, 2))
    assert np.isnan(lines(found[1])["stage1"][1]).tolist() == [True, False]
    assert np.isnan(lines(found[2])["stage1"][1]).all()


def test_a_log_of_no_step_is_an_empty_picture() -> None:
    assert len(drawn(term_curves([{"final": "averaged"}]))) == 1


def test_reliability_shows_the_share_right_of_each_bin_and_how_many_said_so() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.2, 1.0, 500)
    correct = rng.random(500) < confidence**2
    upper, lower = drawn(reliability(confidence, correct))
    bars = [(bar.get_x() + bar.get_width() / 2, bar.get_height()) for bar in upper.patches]
    counts = [bar.get_height() for bar in lower.patches]
    assert len(counts) == ECE_BINS
    assert sum(counts) == 500
    filled = [count for count in counts if count]
    assert len(bars) == len(filled)
    for (middle, right), count in zip(bars, filled, strict=True):
        here = np.abs(confidence - middle) < 0.5 / ECE_BINS
        assert (here.sum(), right) == (count, pytest.approx(correct[here].mean()))
    assert expected_calibration_error(confidence, correct) > 0.1, "they are far from the diagonal"


@pytest.mark.parametrize("confidence", [[1.0], [0.0, 1.0], [1 / 3] * 4])
def test_reliability_bears_the_ends_and_few_windows(confidence: list[float]) -> None:
    upper, lower = drawn(reliability(np.array(confidence), np.ones(len(confidence), bool)))
    assert {bar.get_height() for bar in upper.patches} == {1.0}
    assert sum(bar.get_height() for bar in lower.patches) == len(confidence)


def windows(truth: str, tenths: str) -> ScoredWindows:
    return ScoredWindows(
        np.zeros(len(truth), int),
        np.arange(len(truth)) * HOUR,
        np.array([int(digit) / 10 for digit in tenths]),
        np.array([".w".find(mark) for mark in truth]),
        ("ok", "worn"),
    )


def test_recall_and_precision_stand_against_false_alarms_a_day() -> None:
    curve = alarm_curve(windows("....ww..ww", "1611791189"), AlarmRule(("ok",), 0.5))
    (axes,) = drawn(budget_curve(curve, 2.5))
    found = lines(axes)
    assert set(found) == {"recall", "precision", "budget 2.5"}
    for name in ("recall", "precision"):
        days, shares = found[name]
        assert days == [point.false_per_day for point in curve.points]
        assert shares == [getattr(point, name) for point in curve.points]
    assert found["budget 2.5"][0] == [2.5, 2.5]
    assert "budget" not in str(list(lines(drawn(budget_curve(curve, None))[0])))


@pytest.mark.parametrize("truth", ["....", "wwww", "????"])
def test_a_curve_of_nothing_known_is_drawn_all_the_same(truth: str) -> None:
    curve = alarm_curve(windows(truth, "1299"), AlarmRule(("ok",), 0.5))
    assert len(drawn(budget_curve(curve, 1.0))) == 1


def courses(recordings: dict[str, int], faulty: set[str]) -> list[Axes]:
    names = np.array([name for name, count in recordings.items() for _ in range(count)])
    t_ref = np.concatenate([np.arange(count) * HOUR + 10**18 for count in recordings.values()])
    fault = np.isin(names, list(faulty))
    scores = np.where(fault, 0.9, 0.1)
    return drawn(alarm_courses(names, t_ref, scores, fault, fault, 0.42))


def test_a_course_is_a_row_a_recording_with_faults_first() -> None:
    found = courses({"a": 3, "b": 5, "c": 4}, {"c"})
    assert [axes.get_title(loc="left") for axes in found] == ["c", "a", "b"]
    scores, threshold = lines(found[2]).values()
    assert scores == ([0, 1, 2, 3, 4], pytest.approx([0.1] * 5))
    assert threshold[1] == [0.42, 0.42]
    # Shade of the fault, and a line below for the alarm.
    assert [len(axes.collections[1].get_paths()) for axes in found] == [1, 0, 0]


def test_of_many_recordings_the_worst_are_shown() -> None:
    recordings = {f"r{number:02d}": 2 for number in range(20)}
    found = courses(recordings, {"r17", "r19"})
    assert [axes.get_title(loc="left") for axes in found][:2] == ["r17", "r19"]
    assert len(found) == COURSES


def test_a_course_of_one_window_or_of_windows_without_a_score_is_drawn() -> None:
    one = np.ones(1, bool)
    (axes,) = drawn(alarm_courses(np.array(["$a_$ b$"]), np.zeros(1, np.int64), np.ones(1), one, one, 0.5))
    assert axes.get_title(loc="left") == "$a_$ b$"
    none = np.zeros(3, bool)
    drawn(alarm_courses(np.array(["a"] * 3), np.arange(3), np.array([0.1, np.nan, 0.2]), none, none, 0.5))
