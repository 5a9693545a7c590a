"""Methods on several data sets side by side."""

from __future__ import annotations

from typing import Any

import pytest

from sensorkd.evaluation.benchmark_across import across_text, side_by_side


def difference(method: str, budget: str, mean: float, sensors: str = "all") -> dict[str, Any]:
    figure = {"mean": mean, "interval": [mean - 0.02, mean + 0.02]}
    return {"method": method, "labels_per_class": budget, "sensors": sensors, "macro_f1": figure}


RESULTS: dict[str, dict[str, Any]] = {
    "people": {
        "reference": "ce",
        "differences": [difference("sad", "2", 0.01), difference("lsskd", "2", 0.10)],
    },
    "nothing": {"failed": {}, "left": None},
    "bearings": {
        "reference": "byot",
        "differences": [
            difference("lsskd", "2 groups", -0.03),
            difference("lsskd", "all", 0.02),
            difference("lsskd", "all", 0.5, sensors="temperature"),
        ],
    },
}


def test_a_method_has_a_row_of_all_places_where_it_met_the_reference() -> None:
    sad, lsskd = side_by_side(RESULTS)
    assert (sad["method"], sad["ahead"], sad["of"]) == ("sad", 1, 1)
    assert (lsskd["ahead"], lsskd["of"]) == (2, 3)
    assert lsskd["mean"] == pytest.approx(0.03)
    places = [(place["benchmark"], place["labels_per_class"]) for place in lsskd["places"]]
    assert places == [("people", "2"), ("bearings", "2 groups"), ("bearings", "all")]


def test_the_table_has_a_column_a_data_set_and_budget_and_marks_what_is_beyond_noise() -> None:
    text = across_text(side_by_side(RESULTS), list(RESULTS))
    told, _, header, sad, lsskd = text.splitlines()
    assert told.startswith("macro-F1 less that of byot or ce")
    assert header.index("people, 2") < header.index("bearings, 2 groups") < header.index("bearings, all")
    assert sad.split() == ["sad", "+0.010", "+0.010", "1", "of", "1"]
    assert lsskd.split() == ["lsskd", "+0.100*", "-0.030*", "+0.020", "+0.030", "2", "of", "3"]


def test_where_no_method_met_the_reference_there_is_no_row() -> None:
    assert side_by_side({"nothing": RESULTS["nothing"]}) == []
