"""A benchmark in a file: its mistakes are told at once, and splits that leak are refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from sensorkd.errors import ConfigError, SplitError
from sensorkd.evaluation.benchmark_chosen import chosen_overrides
from sensorkd.evaluation.benchmark_config import BenchmarkConfig, load_benchmark
from sensorkd.evaluation.benchmark_entries import MethodEntry
from sensorkd.evaluation.benchmark_folds import check_unseen, folds_of
from sensorkd.evaluation.benchmark_overrides import check_methods_own, flattened
from sensorkd.evaluation.benchmark_plan import Cell, plan_benchmark, resolved_run
from sensorkd.evaluation.benchmark_portable import without_places
from sensorkd.recordings import open_recordings
from sensorkd.runs import load_config

ROOT = Path(__file__).parents[2]
RUN = ROOT / "examples" / "configs" / "plant.yaml"
SHIPPED = sorted((ROOT / "examples" / "benchmarks").glob("*.yaml"))
Load = Callable[..., BenchmarkConfig]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def written(**tree: Any) -> BenchmarkConfig:
        path = tmp_path / "bench.yaml"
        path.write_text(yaml.safe_dump({"run": str(RUN), "methods": ["ce"], **tree}))
        return load_benchmark(path)

    return written


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_benchmark_is_one(path: Path) -> None:
    config = load_benchmark(path)
    assert config.run_path.is_file()
    # Parts of lsskd are compared among themselves.
    assert config.compared_to == "ce" or {entry.method for entry in config.methods} <= {"lsskd", "ce"}
    assert all(resolved_run(config, entry, config.labels_per_class[0]) for entry in config.methods)
    for entry in config.methods:
        check_methods_own(flattened(entry.set), entry.name)
    if config.tuned_path is not None:
        chosen, dev = chosen_overrides(config, config.tuned_path)
        assert chosen and dev


def test_every_mistake_is_told_at_once_with_the_nearest_name(load: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load(methods=["ce", "lskd", {"method": "sad", "sett": {}}], sedes=[0], labels_per_class=[0])
    told = str(caught.value)
    for words in (
        "no method 'lskd'; did you mean 'lsskd'?",
        "methods.2.sett: unknown key; did you mean 'set'?",
    ):
        assert words in told
    assert "sedes: unknown key; did you mean 'seeds'?" in told
    assert "'0' is no budget" in told


def test_a_budget_is_a_number_a_share_some_groups_or_all(load: Load) -> None:
    budgets = (2, "25%", "1 group", "2 groups", "all")
    assert load(methods=["ce"], labels_per_class=list(budgets)).labels_per_class == tuple(map(str, budgets))
    for wrong in ("2 group", "0 groups", "some", "101%", "0%", "0.0%", "-1"):
        with pytest.raises(ConfigError, match=f"'{wrong}' is no budget"):
            load(methods=["ce"], labels_per_class=[wrong])


def test_a_budget_is_written_in_one_way(load: Load) -> None:
    """Or it would stand there twice, in two folders."""
    ways = {"1 groups": "1 group", "25.0%": "25%", "012.50%": "12.5%", "100%": "all", "100.0%": "all"}
    ways |= {"33.33333333%": "33.33333333%", "0.5%": "0.5%", "10%": "10%", "10 groups": "10 groups"}
    for told, one in ways.items():
        assert load(labels_per_class=[told]).labels_per_class == (one,)
    for twice in (["1 group", "1 groups"], ["25%", "25.0%"], ["all", "100%"]):
        with pytest.raises(ConfigError, match="a budget stands there twice"):
            load(labels_per_class=twice)
    some = {"method": "sad", "labels_per_class": ["50.0%"]}
    assert load(methods=["ce", some], labels_per_class=["50%", "all"]).methods[1].at("50%")


def test_a_method_has_no_place_at_some_budgets(load: Load) -> None:
    some = {"method": "fixmatch", "labels_per_class": [2]}
    config = load(methods=["ce", some], labels_per_class=[2, "all"])
    assert [config.methods[1].at(budget) for budget in ("2", "all")] == [True, False]
    with pytest.raises(ConfigError, match="'fixmatch' at '2', which is no budget of the benchmark"):
        load(methods=["ce", some], labels_per_class=[4])
    as_long = {"name": "ce as long", "method": "ce", "equal_time_with": "fixmatch"}
    with pytest.raises(
        ConfigError, match=r"'ce as long' is run at 'all', and 'fixmatch', by which its steps"
    ):
        load(methods=["ce", some, as_long], labels_per_class=[2, "all"])


def test_methods_are_named_by_label(load: Load) -> None:
    config = load(methods=["ce", {"method": "sad"}])
    assert [entry.name for entry in config.methods] == ["ce", "sad"]
    with pytest.raises(ConfigError, match="'sad, no views' is no label"):
        load(methods=[{"name": "sad, no views", "method": "sad"}])
    with pytest.raises(ConfigError, match="'ce' stands there twice"):
        load(methods=["ce", {"method": "ce", "set": {"training.steps": 1}}])


def test_equal_time_needs_the_same_method_at_equal_steps(load: Load) -> None:
    longer = {"name": "ce as long", "method": "ce", "equal_time_with": "lsskd"}
    config = load(methods=["ce", "lsskd", longer])
    base = config.base_of(config.entry("ce as long"))
    assert base is not None and base.name == "ce"
    with pytest.raises(ConfigError, match="needs ce at equal steps"):
        load(methods=["lsskd", longer])
    with pytest.raises(ConfigError, match="equal_time_with 'lsskd'"):
        load(methods=["ce", longer])


def test_every_method_gets_as_many_trials(load: Load) -> None:
    tune = {"dev": ["m00"], "trials": {"ce": [{}], "sad": [{}, {"method.sad": 0.5}]}}
    with pytest.raises(ConfigError, match="as many trials as the others"):
        load(methods=["ce", "sad"], tune=tune)
    with pytest.raises(ConfigError, match=r"no tune\.trials for 'sad'"):
        load(methods=["ce", "sad", "trees"], tune={"dev": ["m00"], "trials": {"ce": [{}]}})


def test_a_trial_is_told_once(load: Load) -> None:
    slow = {"training": {"learning_rate": 0.002}}
    for trials in ([{}, {}], [slow, {}, {"training.learning_rate": 0.002}]):
        with pytest.raises(ConfigError, match="one trial of 'ce' stands there twice"):
            load(tune={"dev": ["m00"], "trials": {"ce": trials}})


def test_what_was_chosen_was_chosen_among_the_trials_told(load: Load, tmp_path: Path) -> None:
    slow, fast = {"training.learning_rate": 0.002}, {"training.learning_rate": 0.008}
    trials = {name: [{"set": {}, "nll": 1.0}, {"set": slow, "nll": 0.9}] for name in ("ce", "sad")}
    tree = {"dev": ["m00"], "methods": {"ce": slow, "sad": slow}, "trials": trials}
    (tmp_path / "tuned.yaml").write_text(yaml.safe_dump(tree))

    def chosen(methods: tuple[str, ...] = ("ce", "sad"), **trials: Any) -> Any:
        tune = {"dev": ["m00"], "trials": trials} if trials else None
        config = load(methods=list(methods), tuned="tuned.yaml", tune=tune)
        assert config.tuned_path is not None
        return chosen_overrides(config, config.tuned_path)

    nested = {"training": {"learning_rate": 0.002}}
    for same in (chosen(), chosen(ce=[{}, slow], sad=[{}, slow]), chosen(ce=[nested, {}], sad=[{}, slow])):
        assert same == ({"ce": slow, "sad": slow}, ("m00",))
    with pytest.raises(ConfigError, match=r"other trials than `tune` tells, of \['sad'\]") as caught:
        chosen(ce=[{}, slow], sad=[{}, fast])
    assert caught.value.inside == "trials.sad" and "0.008" in str(caught.value.expected)
    with pytest.raises(ConfigError, match=r"other trials than `tune` tells, of \['ce', 'sad'\]"):
        chosen(ce=[{}], sad=[{}])
    with pytest.raises(ConfigError, match=r"other trials than `tune` tells, of \['mixup'\]") as caught:
        chosen(("ce", "sad", "mixup"), ce=[{}, slow], sad=[{}, slow], mixup=[{}, slow])
    assert caught.value.found == "none"


def test_a_key_is_told_once(load: Load) -> None:
    twice = {"training": {"steps": 9}, "training.steps": 3}
    told = "an override tells 'training.steps' twice: 9, and 3"
    for tree in (
        {"set": twice},
        {"methods": [{"method": "ce", "set": twice}]},
        {"tune": {"dev": ["m00"], "trials": {"ce": [{}, twice]}}},
    ):
        with pytest.raises(ConfigError, match=told):
            load(**tree)


@pytest.mark.parametrize("key", ["data", "layout", "target", "labels", "labels.table"])
def test_all_methods_learn_from_the_same(load: Load, plant: Path, tmp_path: Path, key: str) -> None:
    own = {"name": "other", "method": "ce", "set": {key: "there"}}
    with pytest.raises(ConfigError, match=f"all methods share '{key}'") as caught:
        plan_benchmark(load(set={"data": [str(plant)]}, methods=["ce", own]), tmp_path, name="bench")
    assert caught.value.inside == "methods.other.set"


def test_what_a_benchmark_names_is_found_beside_it_and_told_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "benchmarks").mkdir()
    path = tmp_path / "benchmarks" / "bench.yaml"
    path.write_text("run: ../configs/run.yaml\ntuned: chosen.yaml\nmethods: [ce]\n")
    config = load_benchmark(path)
    assert config.run_path == tmp_path.resolve() / "configs" / "run.yaml"
    assert config.tuned_path == tmp_path.resolve() / "benchmarks" / "chosen.yaml"
    told = without_places(config.model_dump(mode="json"))
    assert (told["run"], told["tuned"]) == ("../configs/run.yaml", "chosen.yaml")


def test_no_place_of_one_computer_is_told(load: Load, tmp_path: Path) -> None:
    table = {"labels": {"table": str(tmp_path / "labels.csv")}, "cache.folder": "cache"}
    told = without_places(load(set={"data": [str(tmp_path / "plant")], **table}).model_dump(mode="json"))
    assert told["run"] == "plant.yaml"
    assert told["set"] == {"data": ["plant"], "labels": {"table": "labels.csv"}, "cache.folder": "cache"}
    assert str(tmp_path) not in str(told)


def test_overrides_are_checked_for_every_method_before_anything_runs(
    load: Load, plant: Path, tmp_path: Path
) -> None:
    shared = {"data": [str(plant)]}
    config = load(
        set=shared,
        methods=[
            "ce",
            {"name": "a", "method": "sad", "set": {"method.sat": 1.0}},
            {"name": "b", "method": "sad", "set": {"training": {"stepps": 3}}},
        ],
    )
    with pytest.raises(ConfigError) as caught:
        plan_benchmark(config, tmp_path / "out", name="bench")
    assert "did you mean 'sad'" in str(caught.value) and "did you mean 'steps'" in str(caught.value)
    with pytest.raises(ConfigError, match="the grid itself tells 'seed'"):
        plan_benchmark(load(set={**shared, "seed": 3}), tmp_path / "out", name="bench")


def test_cells_come_seed_by_seed(load: Load, plant: Path, tmp_path: Path) -> None:
    config = load(
        set={"data": [str(plant)]}, methods=["ce", "trees"], labels_per_class=[1, "all"], seeds=[0, 1]
    )
    plan = plan_benchmark(config, tmp_path, name="bench")
    assert len(plan.cells) == 2 * 2 * 2 * 3
    assert [cell.seed for cell in plan.cells] == [0] * 12 + [1] * 12
    assert [(c.label, c.budget, c.fold) for c in plan.cells[:3]] == [
        ("ce", "1", 0), ("trees", "1", 0), ("ce", "1", 1)
    ]  # fmt: skip
    assert plan.cells[0].config.split.test == ("m00",)
    assert plan.cells[0].config.labels_per_class == 1 and plan.cells[6].config.labels_per_class is None
    assert len({cell.identity for cell in plan.cells}) == len(plan.cells)


def test_a_cell_is_the_same_wherever_its_files_lie(load: Load, plant: Path, tmp_path: Path) -> None:
    """Or a benchmark that was begun on one computer could not be gone on with on another."""
    identities = []
    for name, classes in (("here", "a: b"), ("there", "a: b"), ("changed", "a: c")):
        data, layout, table = (tmp_path / name / part for part in ("plant", "layout.yaml", "labels.csv"))
        shutil.copytree(plant, data)
        layout.write_text(f"# {classes}\nschema: layout-1.0\n")
        table.write_text("recording,t0,t1,state\n")
        shared = {"data": [str(data)], "layout": str(layout), "labels": {"table": str(table)}}
        run = resolved_run(load(set=shared, methods=["ce"]), MethodEntry(name="ce", method="ce"), "all")
        cell = Cell("ce", "ce", "all", 0, 0, run, tmp_path / name)
        identities.append(cell.identity)
    assert identities[0] == identities[1] != identities[2]


def test_class_shares_concern_only_methods_that_bring_labels_to_them(
    load: Load, plant: Path, tmp_path: Path
) -> None:
    differ = {}
    entries = {
        "ce": MethodEntry(name="ce", method="ce"),
        "fixmatch": MethodEntry(name="fixmatch", method="fixmatch"),
        "labels alone": MethodEntry(name="a", method="lsskd", set={"method.unlabelled": 0}),
        "lsskd": MethodEntry(name="lsskd", method="lsskd"),
    }
    for name, entry in entries.items():
        identities = set()
        for shares in ({"unlabelled_shares": "labels"}, {"unlabelled_shares": "uniform"}):
            run = resolved_run(load(set={"data": [str(plant)], **shares}), entry, "1")
            identities.add(Cell(name, entry.method, "1", 0, 0, run, tmp_path).identity)
        differ[name] = len(identities) == 2
    assert differ == {"ce": False, "fixmatch": False, "labels alone": False, "lsskd": True}


@pytest.mark.parametrize(
    ("split", "problem"),
    [
        ({"folds": [["m00"], ["m00", "m01"]]}, "a group would be judged twice"),
        ({"folds": [["m00", "m01", "m02"]]}, "leaves no group to train on"),
        ({"groups": ["m7"]}, "no group 'm7'"),
        # The run says by machine; conditions of one machine would stand on both sides.
        ({"by": "recording", "folds": 2}, "one group stands on both sides"),
        ({"by": "line"}, "a recording has no identity 'line'"),
    ],
)
def test_a_leaking_split_is_refused(
    load: Load, plant: Path, tmp_path: Path, split: dict[str, Any], problem: str
) -> None:
    config = load(set={"data": [str(plant)]}, split=split)
    with pytest.raises(SplitError, match=problem):
        plan_benchmark(config, tmp_path / "out", name="bench")
    assert not (tmp_path / "out").exists()


def test_every_group_is_held_out_once(plant: Path, load: Load) -> None:
    recordings = open_recordings([str(plant)])
    run = load_config(RUN, [f"data=[{plant}]"])
    assert folds_of(recordings, run, load().split) == [("m00",), ("m01",), ("m02",)]
    parts = folds_of(recordings, run, load(split={"folds": 2}).split)
    assert sorted(name for fold in parts for name in fold) == ["m00", "m01", "m02"]
    assert folds_of(recordings, run, load(split={"groups": ["m01"]}).split) == [("m01",)]


def test_what_was_trained_on_is_not_judged() -> None:
    check_unseen(["a", "b"], ["c"])
    with pytest.raises(SplitError, match="one group stands on both sides"):
        check_unseen(["a", "b"], ["b", "c"])


def test_two_labels_may_not_share_a_folder(load: Load) -> None:
    with pytest.raises(ConfigError, match="two methods whose cells would lie in 'ce_a_'"):
        load(methods=[{"name": "ce (a)", "method": "ce"}, {"name": "ce [a]", "method": "ce"}])


def test_a_method_is_tried_at_a_budget_that_it_is_run_at(load: Load) -> None:
    some = {"method": "sad", "labels_per_class": ["all"]}
    tune = {"dev": 0.3, "labels_per_class": [2], "trials": {"ce": [{}], "sad": [{}]}}
    with pytest.raises(ConfigError, match="no budget that 'sad' is run at"):
        load(methods=["ce", some], labels_per_class=[2, "all"], tune=tune)
