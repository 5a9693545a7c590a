"""What a picture of a benchmark says can be read, however few or many methods there are."""

from __future__ import annotations

from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from sensorkd.evaluation.benchmark_pictures import efficiency_picture
from sensorkd.evaluation.benchmark_results import ALL, Results

FIGURE = {"mean": 0.8, "interval": [0.7, 0.9]}


def results(methods: int) -> Results:
    names = ["ce", *(f"method {number}" for number in range(methods))]
    rows: list[dict[str, Any]] = [
        {"method": name, "labels_per_class": budget, "sensors": ALL, "accuracy": FIGURE}
        for name in names
        for budget in ("1", "all")
    ]
    return Results(
        name="hydraulic_accumulator",
        by="subject",
        reference="ce",
        folds=2,
        groups=("a", "b"),
        rows=rows,
        differences=[],
        equal_time=[],
        notes=[],
        left_out=[],
        config={"labels_per_class": ["1", "all"]},
    )


@pytest.mark.parametrize("methods", [1, 2, 9])
def test_the_title_ends_within_the_picture(methods: int) -> None:
    figure = efficiency_picture(results(methods), "accuracy")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    (title,) = [text for text in figure.texts if "never seen" in text.get_text()]
    assert title.get_window_extent().x1 <= figure.bbox.x1
