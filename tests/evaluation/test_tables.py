"""Which subsets are judged, and how metrics and confusion are told."""

from __future__ import annotations

import numpy as np

from sensorkd.evaluation.tables import confusion_text, metrics_table
from sensorkd.training.inference import sensor_subsets
from sensorkd.training.metrics import Metrics


def test_up_to_six_sensors_have_every_subset_judged() -> None:
    assert [len(sensor_subsets(list("abcdef")[:count])) for count in range(1, 7)] == [1, 3, 7, 15, 31, 63]


def test_more_sensors_are_judged_alone_in_pairs_all_but_one_and_together() -> None:
    sizes = [len(subset) for subset in sensor_subsets(list("abcdefg"))]
    assert sizes == [1] * 7 + [2] * 21 + [6] * 7 + [7]


def test_few_classes_are_shown_as_a_matrix() -> None:
    text = confusion_text(np.array([[3, 1], [0, 4]]), ["hot", "cold"])
    assert text.splitlines()[1].split() == ["hot", "3", "1"]


def test_many_classes_are_shown_as_the_pairs_confused_most_often() -> None:
    confusion = np.eye(20, dtype=np.int64) * 5
    confusion[3, 7] = 4
    confusion[9, 1] = 2
    lines = confusion_text(confusion, [f"c{index}" for index in range(20)]).splitlines()
    assert lines[1].split() == ["c3", "taken", "for", "c7", "4"]
    assert len(lines) == 3


def judged(accuracy: float) -> Metrics:
    return Metrics(52, accuracy, 0.5, 1.25, 0.125, np.zeros((2, 2), np.int64))


def test_metrics_are_a_row_a_name() -> None:
    lines = metrics_table({"all sensors": judged(1.0), "heat": judged(0.25)}).splitlines()
    assert lines[0].split() == ["sensors", "windows", "accuracy", "macro-F1", "NLL", "ECE"]
    assert lines[2].split() == ["heat", "52", "0.250", "0.500", "1.250", "0.125"]
    assert len({len(line) for line in lines}) == 1


def test_if_told_the_share_of_windows_with_a_sensor_stands_beside_it() -> None:
    """A sensor that is hardly ever there judges most windows from nothing: its row is to be read so."""
    rows = {"all that are there": judged(1.0), "heat": judged(0.25), "shake+heat": judged(0.5)}
    lines = metrics_table(rows, {"heat": 0.039, "shake+heat": 1.0}).splitlines()
    assert lines[0].split()[:5] == ["sensors", "windows", "there", "in", "accuracy"]
    assert lines[1].split() == ["all", "that", "are", "there", "52", "1.000", "0.500", "1.250", "0.125"]
    assert lines[2].split() == ["heat", "52", "4%", "0.250", "0.500", "1.250", "0.125"]
    assert lines[3].split()[2] == "100%"
    assert len({len(line) for line in lines}) == 1
