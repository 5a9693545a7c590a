"""Which subsets are judged, and how confusion is told for few and for many classes."""

from __future__ import annotations

import numpy as np

from sensorkd.evaluation.evaluate import sensor_subsets
from sensorkd.evaluation.tables import confusion_text


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
