"""What a report says of each sensor: how often it was there, and why not."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorkd.quality import FAULTS
from sensorkd.timeline import SECOND
from sensorkd.windows.health import SensorHealth, sensor_health
from sensorkd.windows.plan import plan_windows
from sensorkd.windows.read import WindowArrays, read_windows

NONE = dict.fromkeys(FAULTS, 0)
COVERAGE = {"shake": 0.8, "heat": 0.5}
# coverage, present, faults of one input in one window
CELLS = st.tuples(
    st.sampled_from([0.0, 0.49, 0.5, 0.79, 0.8, 1.0]), st.booleans(), st.lists(st.booleans(), min_size=6)
)


def windows_of(cells: list[list[Any]]) -> WindowArrays:
    """W rows of two cells each; samples are not looked at."""
    table = np.array([[(coverage, here) for coverage, here, _ in row] for row in cells], np.float32)
    faults = np.array([[(bad + [False] * 6)[:6] for _, _, bad in row] for row in cells], np.float32) / 3
    index = np.arange(len(cells))
    return WindowArrays(
        {name: np.zeros((len(cells), 4, 1), np.float32) for name in COVERAGE},
        table[:, :, 1],
        table[:, :, 0],
        faults,
        index.astype(np.uint64),
        index,
        np.array([str(row) for row in index]),
    )


@given(st.lists(st.lists(CELLS, min_size=2, max_size=2), min_size=1, max_size=12), st.data())
def test_counts_are_those_of_one_window_after_the_other(cells: list[list[Any]], data: Any) -> None:
    rows = data.draw(st.none() | st.lists(st.integers(0, len(cells) - 1), unique=True))
    chosen = None if rows is None else np.array(rows, np.int64)
    found = sensor_health(windows_of(cells), COVERAGE, chosen)
    assert list(found) == ["shake", "heat"]
    for column, (name, enough) in enumerate(COVERAGE.items()):
        mine = [cells[row][column] for row in (range(len(cells)) if rows is None else rows)]
        logged = [coverage >= enough for coverage, _, _ in mine]
        assert found[name] == SensorHealth(
            windows=len(mine),
            present=sum(here for _, here, _ in mine),
            not_logged=logged.count(False),
            faulty=sum(
                there and not here for (_, here, _), there in zip(mine, logged, strict=True)
            ),
            faults={
                fault: sum(len(bad) > place and bad[place] for _, _, bad in mine)
                for place, fault in enumerate(FAULTS)
            },
        )  # fmt: skip
        assert json.loads(json.dumps(found[name].to_json()))["faults"] == found[name].faults


def test_a_sensor_that_broke_and_one_that_ended_are_told_apart(
    record: Any, shake: Any, heat: Any, encodings: Any
) -> None:
    """Ten seconds: the thermometer reports a broken wire in the last four, vibration ends after five."""
    samples = heat()["samples"].copy()
    samples[12:] = 1254.0
    recording = record({"acceleration": shake(5.0), "temperature": heat(samples=samples)})
    kinds = encodings()
    arrays = read_windows([recording], plan_windows([recording], kinds, hop=SECOND), kinds)
    health = sensor_health(arrays, {name: item.min_coverage for name, item in kinds.items()})
    # References from the first second on: ten of them.
    assert health["acceleration"] == SensorHealth(10, present=5, not_logged=5, faulty=0, faults=NONE)
    assert health["temperature"] == SensorHealth(
        10, present=3, not_logged=3, faulty=4, faults={**NONE, "out of range": 4}
    )
    assert health["acceleration"].told() == "present in 5 of 10 windows; not logged in 5"
    assert health["temperature"].told() == (
        "present in 3 of 10 windows; not logged in 3; faulty in 4; windows with samples out of range 4"
    )


def test_a_sensor_that_is_well_is_told_in_a_few_words() -> None:
    assert SensorHealth(7, 7, 0, 0, NONE).told() == "present in 7 of 7 windows"


def test_faults_are_counted_where_the_input_is_used_all_the_same() -> None:
    """A few NaN are repaired; the report tells of them nevertheless."""
    cells = [[(1.0, True, [True]), (1.0, True, [])], [(1.0, True, []), (1.0, True, [])]]
    found = sensor_health(windows_of(cells), COVERAGE)["shake"]
    assert (found.present, found.faulty, found.faults["not finite"]) == (2, 0, 1)


def test_every_input_needs_its_coverage() -> None:
    with pytest.raises(KeyError, match="heat"):
        sensor_health(windows_of([[(1.0, True, []), (1.0, True, [])]]), {"shake": 0.8})
