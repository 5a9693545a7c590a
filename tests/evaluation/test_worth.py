"""What each sensor is worth: the accuracy of an evaluation next to the cost of the smaller bundle."""

from __future__ import annotations

import dataclasses
import json

import pytest

from sensorkd.cli.__main__ import main
from sensorkd.errors import ConfigError
from sensorkd.evaluation import worth
from sensorkd.evaluation.evaluate import Evaluation, evaluate_run
from sensorkd.evaluation.worth import sensor_worth, worth_table
from sensorkd.export.footprint import Footprint
from sensorkd.runs import Run


@pytest.fixture(scope="module")
def evaluation(press_run: Run) -> Evaluation:
    return evaluate_run(press_run)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The subsets that were measured: exporting one takes seconds."""
    seen: list[tuple[str, ...]] = []

    def measure(run: Run, sensors: tuple[str, ...]) -> Footprint:
        seen.append(sensors)
        if sensors == ("heat",):
            raise ConfigError("windows end with the bursts of 'shake', which would be left out")
        return Footprint(1000 * len(sensors), 50, 4321, 0.5, 0.25, 0.75)

    monkeypatch.setattr(worth, "footprint_of", measure)
    return seen


def test_every_row_has_the_accuracy_of_its_subset(
    press_run: Run, evaluation: Evaluation, measured: list[tuple[str, ...]]
) -> None:
    rows = sensor_worth(press_run, evaluation)
    assert [row.told for row in rows] == ["all", "shake alone", "heat alone"]
    assert measured == [("shake", "heat"), ("shake",), ("heat",)]
    assert rows[0].metrics == evaluation.subsets["shake+heat"]
    assert rows[1].metrics == evaluation.subsets["shake"]
    assert rows[1].metrics.accuracy < rows[0].metrics.accuracy
    assert rows[1].footprint is not None and rows[1].footprint.parameters == 1000
    assert rows[2].footprint is None


def test_a_bundle_that_cannot_be_is_told_as_such(
    press_run: Run, evaluation: Evaluation, measured: list[tuple[str, ...]]
) -> None:
    lines = worth_table(sensor_worth(press_run, evaluation)).splitlines()
    assert lines[1].split()[-4:] == ["4,321", "50", "0.25", "0.75"]
    assert lines[3].split()[-4:] == ["-"] * 4


def test_of_three_sensors_each_is_left_out_once() -> None:
    found = dict(worth._subsets(["a", "b", "c"]))
    assert found["without b"] == ("a", "c")
    assert found["b alone"] == ("b",)
    assert len(found) == 7
    assert dict(worth._subsets(["a"])) == {"all": ("a",)}


def test_the_verb_says_the_same(
    press_run: Run,
    evaluation: Evaluation,
    measured: list[tuple[str, ...]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["sensors", str(press_run.folder), "--json"]) == 0
    tree = json.loads(capsys.readouterr().out)
    assert tree["windows"] == evaluation.overall.windows
    first = tree["subsets"][0]
    assert first["sensors"] == ["shake", "heat"]
    assert first["accuracy"] == evaluation.subsets["shake+heat"].accuracy
    assert first["footprint"] == dataclasses.asdict(Footprint(2000, 50, 4321, 0.5, 0.25, 0.75))
    assert tree["subsets"][2]["footprint"] is None
