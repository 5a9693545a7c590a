"""A configuration in a file: where its paths lie, and what overrides do to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sensorkd.errors import ConfigError
from sensorkd.runs import RunConfig, load_config
from tests.runs.conftest import TREE


@pytest.fixture
def written(tmp_path: Path) -> Any:
    """Writes conf/press.yaml and reads it with overrides."""

    def load(*overrides: str, **changes: Any) -> RunConfig:
        path = tmp_path / "conf" / "press.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump({**TREE, **changes}), encoding="utf-8")
        return load_config(path, overrides)

    return load


@pytest.mark.parametrize("short", [True, False])
def test_a_label_table_lies_where_the_file_says_seen_from_the_file(
    written: Any, tmp_path: Path, short: bool
) -> None:
    for text, found in (
        ("shifts.csv", tmp_path / "conf" / "shifts.csv"),
        ("../tables/shifts.csv", tmp_path / "tables" / "shifts.csv"),
        ("/plant/shifts.csv", Path("/plant/shifts.csv")),
    ):
        assert written(labels=text if short else {"table": text}).labels.table == str(found)


def test_further_tables_lie_beside_the_file_too(written: Any, tmp_path: Path) -> None:
    told = {"more": [{"table": "shifts.csv", "weight": 0.5}, {"table": "/plant/machines.csv"}]}
    labels = written(labels=told).labels
    assert labels.table is None
    assert [item.table for item in labels.more] == [str(tmp_path / "conf/shifts.csv"), "/plant/machines.csv"]
    with pytest.raises(ConfigError, match=r"labels\.more"):
        written(labels={"more": ["shifts.csv"]})


def test_home_and_variables_are_put_in(written: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANT_TABLES", str(tmp_path / "tables"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert written(labels="$PLANT_TABLES/a.csv").labels.table == str(tmp_path / "tables/a.csv")
    assert written(labels={"table": "~/a.csv"}).labels.table == str(tmp_path / "home/a.csv")


def test_other_keys_of_labels_are_no_paths(written: Any, tmp_path: Path) -> None:
    told = {"table": "a.csv", "timezone": "Europe/Berlin", "otherwise": {"fault": "none"}}
    labels = written(labels=told).labels
    assert labels.model_dump() == {**labels.model_dump(), **told, "table": str(tmp_path / "conf/a.csv")}
    assert written(labels={"otherwise": {"fault": "none"}}).labels.table is None


def test_data_and_layout_lie_beside_the_file_too_and_out_does_not(written: Any, tmp_path: Path) -> None:
    config = written(data=["plant", "/other"], layout="l.yaml")
    assert config.data == (str(tmp_path / "conf/plant"), "/other")
    assert config.layout == str(tmp_path / "conf/l.yaml")
    assert config.out == "runs/x"


def test_paths_on_the_command_line_are_seen_from_the_working_folder(written: Any) -> None:
    assert written("labels=shifts.csv").labels.table == "shifts.csv"
    assert written("labels.table=shifts.csv", labels="old.csv").labels.table == "shifts.csv"
    assert written("data=plant").data == ("plant",)


@pytest.mark.parametrize("told", ["old.csv", {"table": "old.csv"}])
def test_an_override_beside_the_table_does_not_push_it_out(written: Any, tmp_path: Path, told: Any) -> None:
    labels = written("labels.timezone=Europe/Berlin", "labels.events.holds=5", labels=told).labels
    assert labels.table == str(tmp_path / "conf" / "old.csv")
    assert (labels.timezone, labels.events.holds) == ("Europe/Berlin", 5.0)


def test_overrides_reach_every_new_key(written: Any) -> None:
    config = written(
        "alarm.normal=[ok]",
        "alarm.budget=2",
        "deployment_prior={ok: 0.9, worn: 0.1}",
        "split.folds=5",
        "split.fold=4",
        "inputs.shake.valid_range=[-3, 3]",
        "inputs.shake.stuck_after=0",
        "labels.derive.stage={rule: life_fraction, bounds: [0.5], classes: [new, old]}",
    )
    assert (config.alarm.normal, config.alarm.budget) == (("ok",), 2.0)
    assert config.deployment_prior == {"ok": 0.9, "worn": 0.1}
    assert (config.split.folds, config.split.fold) == (5, 4)
    assert (config.inputs["shake"].valid_range, config.inputs["shake"].stuck_after) == ((-3, 3), 0)
    assert config.labels.derive["stage"].classes == ("new", "old")


def test_an_override_that_is_wrong_is_told_like_a_key_of_the_file(written: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"split\.flod: unknown key; did you mean 'fold'") as caught:
        written("split.flod=1")
    assert caught.value.file == str(tmp_path / "conf" / "press.yaml")
    assert "--print-config" in str(caught.value)
    for text in ("alarm", "=3", "alarm normal=[ok]"):
        with pytest.raises(ConfigError, match="not an override"):
            written(text)
    with pytest.raises(ConfigError, match="the value of an override is not YAML"):
        written("alarm.normal=[ok")


@pytest.mark.parametrize(
    ("text", "told"),
    [("- a\n", "not a configuration"), ("a: [", "not a YAML file"), (None, "no such config")],
)
def test_a_file_that_is_none_is_told(tmp_path: Path, text: str | None, told: str) -> None:
    if text is not None:
        (tmp_path / "x.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=told) as caught:
        load_config(tmp_path / "x.yaml")
    assert caught.value.file == str(tmp_path / "x.yaml")


def test_a_teacher_and_the_caches_lie_beside_the_file_too(written: Any, tmp_path: Path) -> None:
    told = {"method": {"name": "kd", "teacher_run": "../runs/teacher"}, "cache": {"folder": "windows"}}
    config = written(**told)
    assert config.method.teacher_run == str(tmp_path / "runs/teacher")
    assert config.cache.folder == str(tmp_path / "conf/windows")
    assert written("method.teacher_run=runs/teacher", **told).method.teacher_run == "runs/teacher"


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_no_generator_takes_is_refused(written: Any, seed: int) -> None:
    with pytest.raises(ConfigError, match="seed"):
        written(seed=seed)


def test_norms_of_augmented_windows_need_some(written: Any) -> None:
    with pytest.raises(ConfigError, match="needs `augment: true`"):
        written(training={"norms": "augmented", "augment": False})
    assert written(training={"norms": "augmented"}).training.norms == "augmented"


def test_a_method_may_be_its_name_alone(written: Any) -> None:
    assert written(method="ce").method == written("method=ce").method == written("method.name=ce").method
    with pytest.raises(ConfigError, match="did you mean 'lsskd'"):
        written("method=lskd")
