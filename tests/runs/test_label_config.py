"""Labels from a table, from events, from a rule, and what holds otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sensorkd.errors import ConfigError
from sensorkd.recordings import Recording
from sensorkd.runs.label_config import LabelConfig
from sensorkd.timeline import SECOND
from sensorkd.windows.graded_track import GradedTrack

LIFE = {"rule": "life_fraction", "bounds": [0.5, 0.9], "classes": ["early", "middle", "late"]}


def held(recording: Recording, target: str) -> list[tuple[float, float, str]]:
    track = recording.tracks[target]
    return sorted(
        (t0 / SECOND, t1 / SECOND, label)
        for t0, t1, label in zip(track.t0.tolist(), track.t1.tolist(), track.label, strict=True)
    )


@pytest.fixture
def day(record: Any, heat: Any) -> Recording:
    """Ten seconds of one machine on a relative clock."""
    recording: Recording = record({"temperature": heat()})
    return recording


@pytest.fixture
def faults(tmp_path: Path) -> Path:
    """A list of faults, one of them of a machine that nobody knows."""
    path = tmp_path / "faults.csv"
    path.write_text("machine,target,t,class\npress 4,fault,4.0,jam\npress 9,fault,1.0,jam\n", "utf-8")
    return path


def test_a_file_alone_is_the_table() -> None:
    assert LabelConfig.model_validate("night.csv") == LabelConfig(table="night.csv")
    assert LabelConfig.model_validate({"table": "night.csv"}) == LabelConfig(table="night.csv")
    assert LabelConfig.model_validate({}) == LabelConfig()


def test_without_any_labels_recordings_keep_their_own(day: Recording) -> None:
    assert LabelConfig().apply([day]) == ([day], [])


def test_a_table_of_events_a_life_and_all_other_time(day: Recording, faults: Path) -> None:
    config = LabelConfig.model_validate(
        {
            "table": str(faults),
            "events": {"delay": -0.5, "holds": 2.0},
            "derive": {"stage": LIFE},
            "otherwise": {"fault": "none"},
        }
    )
    (labelled,), notes = config.apply([day])
    assert held(labelled, "fault") == [(0.0, 3.5, "none"), (3.5, 5.5, "jam"), (5.5, 10.0, "none")]
    assert held(labelled, "stage") == [(0.0, 5.0, "early"), (5.0, 9.0, "middle"), (9.0, 10.0, "late")]
    assert len(notes) == 1
    assert notes[0].startswith("label row fits no recording: line 3")
    assert "press 9" in notes[0]
    assert day.tracks == {}


def test_events_need_to_be_told_how_long_they_hold(day: Recording, faults: Path) -> None:
    with pytest.raises(ConfigError, match=r"labels\.events: \{delay: SECONDS, holds: SECONDS\}"):
        LabelConfig(table=str(faults)).apply([day])


def test_a_life_can_be_of_a_stream_of_a_machine_and_of_some_recordings_only(day: Recording) -> None:
    told = {**LIFE, "of": "temperature", "per": "machine", "where": {"session": "monday"}}
    config = LabelConfig.model_validate({"derive": {"stage": told}})
    (labelled,), _ = config.apply([day])
    assert held(labelled, "stage")[0] == (0.0, 5.0, "early")


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"where": {"session": "never"}}, "no recording has identity {'session': 'never'}; "),
        ({"of": "temprature"}, "no recording has a stream 'temprature'; did you mean 'temperature'? "),
        (
            {"of": "temperature", "where": {"failed": "yes"}},
            "no recording has a stream 'temperature' and identity {'failed': 'yes'}; ",
        ),
    ],
)
def test_a_rule_that_fits_no_recording_is_noted(day: Recording, changes: dict[str, Any], note: str) -> None:
    """Not refused: archives to be judged need not have failed."""
    config = LabelConfig.model_validate({"derive": {"stage": {**LIFE, **changes}}})
    labelled, notes = config.apply([day])
    assert labelled[0].tracks == {}
    assert notes == [f"labels.derive.stage: {note}streams are ['temperature']"]


@pytest.mark.parametrize(("told", "meant"), [(True, "True"), (4, "4"), ("yes", "yes")])
def test_identity_is_text_whatever_yaml_took_it_for(told: Any, meant: str) -> None:
    config = LabelConfig.model_validate({"derive": {"stage": {**LIFE, "where": {"failed": told}}}})
    assert config.derive["stage"].where == {"failed": meant}


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ({"tabel": "x.csv"}, "labels.tabel: unknown key; did you mean 'table'? known here: ['derive', "),
        (3, "labels: Input should be a valid dictionary"),
        ({"table": 3}, "labels.table: Input should be a valid string"),
        ({"timezone": "Europe/Berln"}, "'Europe/Berln' is unknown; a name like Europe/Berlin"),
        ({"timezone": "../Berlin"}, "timezone: '../Berlin' is unknown"),
        ({"timezone": ""}, "timezone: '' is unknown"),
        ({"events": {"delay": 1.0}}, "labels.events.holds: Field required"),
        ({"events": {"holds": 0}}, "labels.events.holds: Input should be greater than 0"),
        ({"events": {"holds": float("inf")}}, "labels.events.holds: Input should be a finite number"),
        ({"events": {"holds": 1, "delay": float("nan")}}, "labels.events.delay: Input should be a finite"),
        (
            {"events": {"hold": 1.0}},
            "labels.events.hold: unknown key; did you mean 'holds'? known here: ['delay', 'holds']",
        ),
        ({"otherwise": {"fault": 0}}, "labels.otherwise.fault: Input should be a valid string"),
        ({"weight": 0}, "labels.weight: Input should be greater than 0"),
        ({"weight": 1.5}, "labels.weight: Input should be less than or equal to 1"),
        ({"share_of": {"ok": "n_ok"}}, "share_of: shares are of two classes or more"),
        ({"share_of": {"ok": "n", "worn": "n"}}, "share_of: a column for each class, and none of ["),
        ({"share_of": {"ok": "n", "worn": "weight"}}, "'weight']; got ['weight']"),
        ({"more": [{"weight": 0.5}]}, "more: each needs its `table: FILE`"),
        (
            {"more": [{"table": "x.csv", "wieght": 0.5}]},
            "labels.more.0.wieght: unknown key; did you mean 'weight'?",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(refused: Any, labels: Any, told: str) -> None:
    assert told in refused(labels=labels)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"rule": "life_fractoin"}, "labels.derive.stage.rule: Input should be 'life_fraction'"),
        ({"bounds": []}, "labels.derive.stage.bounds: Tuple should have at least 1 item"),
        ({"bounds": [0.0, 0.5]}, "labels.derive.stage.bounds.0: Input should be greater than 0"),
        ({"bounds": [0.5, 1.0]}, "labels.derive.stage.bounds.1: Input should be less than 1"),
        ({"bounds": [0.9, 0.5]}, "labels.derive.stage: Value error, bounds [0.9, 0.5] must rise"),
        ({"bounds": [0.5, 0.5]}, "bounds [0.5, 0.5] must rise"),
        ({"classes": ["early", "late"]}, "2 bounds part 3 classes, got 2"),
        (
            {"bonds": [0.5]},
            "labels.derive.stage.bonds: unknown key; did you mean 'bounds'? known here: ['bounds', ",
        ),
    ],
)
def test_what_is_wrong_with_a_life_is_told_with_its_target(
    refused: Any, changes: dict[str, Any], told: str
) -> None:
    assert told in refused(labels={"derive": {"stage": {**LIFE, **changes}}})


def test_operators_tables_stand_beside_that_of_an_expert(day: Recording, tmp_path: Path) -> None:
    (tmp_path / "expert.csv").write_text("machine,t0,t1,class\npress 4,2,4,worn\n", "utf-8")
    (tmp_path / "shift.csv").write_text("machine,class,weight\npress 4,ok,0.5\n", "utf-8")
    (tmp_path / "plant.csv").write_text("machine,class\npress 4,unsure\n", "utf-8")
    config = LabelConfig.model_validate(
        {
            "table": str(tmp_path / "expert.csv"),
            "more": [
                {"table": str(tmp_path / "shift.csv"), "weight": 0.25},
                {"table": str(tmp_path / "plant.csv"), "weight": 0.125},
            ],
        }
    )
    (labelled,), notes = config.apply([day])
    assert notes == []
    assert held(labelled, "label") == [(0.0, 2.0, "ok"), (2.0, 4.0, "worn"), (4.0, 10.0, "ok")]
    track = labelled.tracks["label"]
    assert isinstance(track, GradedTrack)
    assert track.weight.tolist() == [0.5, 1.0, 0.5]


def test_a_table_of_shares_is_read_as_it_is_configured(day: Recording, tmp_path: Path) -> None:
    (tmp_path / "votes.csv").write_text("machine;n_ok;n_worn\npress 4;1,5;0,5\n", "utf-8")
    told = {"table": str(tmp_path / "votes.csv"), "share_of": {"ok": "n_ok", "worn": "n_worn"}}
    (labelled,), _ = LabelConfig.model_validate(told).apply([day])
    track = labelled.tracks["label"]
    assert isinstance(track, GradedTrack)
    assert track.shares == ({"ok": 0.75, "worn": 0.25},)
    assert track.label == ("ok",)
