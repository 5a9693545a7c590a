"""Which windows a run learns from with a label, and which without; and that both get read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sensorkd.errors import SplitError
from sensorkd.runs import RunConfig
from sensorkd.runs.config_file import load_config
from sensorkd.runs.data import Planned, plan_run, read_training, read_usable
from sensorkd.runs.stats import channel_stats
from tests.plant_run import CONFIG
from tests.press_run import press_config, write_press

SIDES = {"by": "machine", "dev": ["p3"], "test": ["p4"]}


@pytest.fixture(scope="module")
def plants(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Presses p0 to p4, and bare, which nobody labelled."""
    folder = tmp_path_factory.mktemp("plants")
    for number in range(5):
        write_press(folder, f"p{number}", seed=number)
    write_press(folder, "bare", seed=9, labelled=False)
    return folder


@pytest.fixture
def configured(plants: Path, tmp_path: Path) -> Any:
    """A configuration of them, some keys changed."""
    return lambda **changes: press_config(plants, tmp_path / "run", **{"split": SIDES, **changes})


def groups_at(planned: Planned, rows: np.ndarray) -> set[str]:
    return {planned.groups[row] for row in rows.tolist()}


@pytest.mark.parametrize(
    "budget", [{}, {"labels_per_class": 3}, {"labels_share": 0.25}, {"labels_groups": 2}]
)
@pytest.mark.parametrize("split", [SIDES, {"by": "machine", "folds": 3, "fold": 1}])
def test_unlabelled_windows_are_of_training_groups_only(configured: Any, budget: Any, split: Any) -> None:
    planned = plan_run(configured(split=split, **budget))
    labelled, spare = planned.rows("train"), planned.unlabelled_rows()
    assert len(spare)
    assert groups_at(planned, spare) <= set(planned.split.train)
    assert not groups_at(planned, spare) & {*planned.split.dev, *planned.split.test}
    assert sorted([*labelled, *spare]) == planned.split.rows(planned.groups, "train").tolist()
    assert (planned.labels[spare] == -1).all()


def test_windows_without_a_label_are_those_that_nobody_told_or_the_budget_forgot(configured: Any) -> None:
    planned = plan_run(configured())
    spare = planned.unlabelled_rows()
    names = [planned.groups[row] for row in spare]
    # Eight seconds at the end of each shift, and all of the press that nobody labelled.
    assert {name: names.count(name) for name in set(names)} == {
        "p0": 8,
        "p1": 8,
        "p2": 8,
        "bare": names.count("bare"),
    }
    assert names.count("bare") == sum(name == "bare" for name in planned.groups) > 50
    few = plan_run(configured(labels_per_class=2))
    assert len(few.rows("train")) == 2 * len(few.classes)
    assert set(few.unlabelled_rows()) > set(spare)


def test_dev_and_test_keep_their_labels_whatever_the_budget(configured: Any) -> None:
    planned, few = plan_run(configured()), plan_run(configured(labels_share=0.1))
    for side in ("dev", "test"):
        assert few.rows(side).tolist() == planned.rows(side).tolist()
        np.testing.assert_array_equal(few.labels[few.rows(side)], planned.labels[planned.rows(side)])


def test_a_share_keeps_that_share_of_every_class(configured: Any) -> None:
    planned = plan_run(configured())
    counts = np.bincount(planned.labels[planned.rows("train")])
    rows: set[int] = set()
    for share in (0.001, 0.25, 0.5, 1.0):
        few = plan_run(configured(labels_share=share))
        kept = few.rows("train")
        expected = np.maximum(1, np.floor(share * counts + 0.5))
        assert np.bincount(few.labels[kept]).tolist() == expected.tolist()
        assert rows < set(kept.tolist())
        rows = set(kept.tolist())


def test_labels_of_few_machines_leave_the_others_without(configured: Any) -> None:
    planned = plan_run(configured(labels_groups=2))
    every = plan_run(configured())
    machines = groups_at(planned, planned.rows("train"))
    assert len(machines) == 2
    assert machines < groups_at(every, every.rows("train"))
    rows = [row for row in every.rows("train").tolist() if every.groups[row] in machines]
    assert planned.rows("train").tolist() == rows
    few = plan_run(configured(labels_groups=2, labels_per_class=3))
    assert groups_at(few, few.rows("train")) <= machines
    assert len(few.rows("train")) == 3 * len(few.classes)


def test_a_number_that_a_class_does_not_have_is_still_an_error(configured: Any) -> None:
    with pytest.raises(SplitError, match="class 'hot' has too few labelled windows"):
        plan_run(configured(labels_per_class=1000))


def test_a_plan_tells_how_many_windows_have_no_label_where_they_are_used(configured: Any) -> None:
    assert plan_run(configured()).notes == []
    planned = plan_run(configured(method={"name": "fixmatch"}, labels_per_class=2))
    spare, every = len(planned.unlabelled_rows()), len(planned.split.rows(planned.groups, "train"))
    assert planned.notes == [f"{spare} of {every} windows of the training groups have no label"]
    assert spare == every - 6


def test_lsskd_asks_for_the_class_shares_where_labels_are_few(configured: Any) -> None:
    few: dict[str, Any] = {"method": {"name": "lsskd"}, "labels_per_class": 2}
    (note,) = plan_run(configured(**few)).notes
    assert "say so in `unlabelled_shares`" in note
    (note,) = plan_run(configured(**few, unlabelled_shares="uniform")).notes
    assert "unlabelled_shares" not in note


def test_lsskd_tells_what_is_as_good_where_every_window_has_a_label(overrides: list[str]) -> None:
    (note,) = plan_run(load_config(CONFIG, overrides)).notes
    assert note.startswith("all ") and "method.name=ce" in note
    (note,) = plan_run(load_config(CONFIG, [*overrides, "method.name=fixmatch"])).notes
    assert "method.name=ce" not in note


@pytest.mark.parametrize("mode", ["memory", "cache", "direct", "isolated"])
def test_windows_without_a_label_are_read_like_the_others(configured: Any, tmp_path: Path, mode: str) -> None:
    told = {"mode": "auto" if mode == "isolated" else mode, "folder": str(tmp_path / "cache")}
    config: RunConfig = configured(cache=told, isolated=mode == "isolated", labels_per_class=2)
    planned = plan_run(config)
    labelled, spare = read_training(planned, config)
    assert labelled.rows.tolist() == planned.rows("train").tolist()
    assert spare.rows.tolist() == planned.unlabelled_rows().tolist()
    for reading, rows in ((labelled, planned.rows("train")), (spare, planned.unlabelled_rows())):
        alone = read_usable(planned, rows, config)
        assert reading.windows.id.tolist() == planned.plan.id[rows].tolist() == alone.windows.id.tolist()
        for name in ("shake", "heat"):
            some = np.arange(0, len(rows), 7)
            np.testing.assert_array_equal(
                reading.windows.inputs[name][some], alone.windows.inputs[name][some]
            )
    batch = planned.dataset(spare)[0]
    assert batch["label"] == -1
    assert {"label_shares", "label_weight"}.isdisjoint(batch)


def test_one_cache_serves_every_number_of_labels(configured: Any, tmp_path: Path) -> None:
    folder, notes = tmp_path / "cache", list[str]()
    ids = []
    for budget in ({}, {"labels_per_class": 2}, {"labels_share": 0.5}):
        config = configured(cache={"mode": "cache", "folder": str(folder)}, **budget)
        labelled, spare = read_training(plan_run(config), config, on_note=notes.append)
        ids.append(sorted([*labelled.windows.id.tolist(), *spare.windows.id.tolist()]))
    assert len([note for note in notes if note.startswith("making a cache")]) == 1
    assert ids[0] == ids[1] == ids[2]


def test_a_required_input_is_required_of_windows_without_a_label_too(plants: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(2):
        write_press(folder, f"p{number}", seed=number)
    write_press(folder, "bare", seed=9, labelled=False, heat_until=30)
    config = press_config(
        folder,
        tmp_path / "run",
        inputs={"shake": {"span": 0.64}, "heat": {"span": 4.0, "required": True}},
        split={"by": "machine", "test": ["p1"]},
    )
    planned = plan_run(config)
    _, spare = read_training(planned, config)
    bare = [row for row in spare.rows.tolist() if planned.groups[row] == "bare"]
    assert 20 < len(bare) < 30
    assert (spare.windows.presence[:, 1] == 1).all()


def test_normalisation_looks_at_all_training_windows_labelled_or_not(configured: Any) -> None:
    """So it does not depend on how many labels there are."""
    every, few = configured(), configured(labels_per_class=1)
    assert channel_stats(plan_run(few), few) == channel_stats(plan_run(every), every)


def test_soft_and_weak_labels_reach_the_batch(configured: Any, tmp_path: Path) -> None:
    table = tmp_path / "votes.csv"
    rows = [
        f"p{number},0,20,8,2,0,0.5\np{number},20,40,1,3,0,\np{number},40,50,0,1,4,1" for number in range(5)
    ]
    table.write_text("machine,t0,t1,ok,worn,hot,weight\n" + "\n".join(rows) + "\n")
    labels = {"table": str(table), "share_of": {"ok": "ok", "worn": "worn", "hot": "hot"}}
    planned = plan_run(configured(labels=labels, target="label"))
    assert planned.classes == ("hot", "ok", "worn")
    assert planned.label_shares is not None
    assert planned.label_weights is not None
    known = planned.labels >= 0
    np.testing.assert_array_equal(planned.label_shares[known].argmax(axis=1), planned.labels[known])
    np.testing.assert_allclose(planned.label_shares.sum(axis=1), known.astype(float), rtol=1e-6)
    assert set(np.unique(planned.label_weights).tolist()) == {0.5, 1.0}
    config = configured(labels=labels, target="label", labels_per_class=2)
    few = plan_run(config)
    assert few.label_shares is not None
    assert few.label_weights is not None
    spare = few.unlabelled_rows()
    assert not few.label_shares[spare].any()
    assert (few.label_weights[spare] == 1).all()
    kept = few.rows("train")
    np.testing.assert_array_equal(few.label_shares[kept], planned.label_shares[kept])
    np.testing.assert_array_equal(few.label_weights[kept], planned.label_weights[kept])
    dataset = few.dataset(read_usable(few, kept, config))
    batch = dataset.__getitems__([0, 3, 5])
    np.testing.assert_array_equal(batch["label_shares"].numpy(), few.label_shares[kept[[0, 3, 5]]])
    np.testing.assert_array_equal(batch["label_weight"].numpy(), few.label_weights[kept[[0, 3, 5]]])


def test_a_class_that_is_nowhere_the_likeliest_is_left_out_and_told(configured: Any, tmp_path: Path) -> None:
    table = tmp_path / "votes.csv"
    rows = [f"p{number},0,20,2,1,1\np{number},20,40,1,2,1" for number in range(5)]
    table.write_text("machine,t0,t1,ok,worn,hot\n" + "\n".join(rows) + "\n")
    labels = {"table": str(table), "share_of": {"ok": "ok", "worn": "worn", "hot": "hot"}}
    planned = plan_run(configured(labels=labels, target="label"))
    assert planned.classes == ("ok", "worn")
    assert planned.notes == [
        "shares of ['hot'] are left out: in no training window is one of these the largest"
    ]
    assert planned.label_shares is not None
    row = planned.rows("train")[0]
    np.testing.assert_allclose(planned.label_shares[row], [2 / 3, 1 / 3], rtol=1e-6)


def test_the_share_rule_makes_windows_at_an_edge_soft(configured: Any) -> None:
    hard, soft = plan_run(configured()), plan_run(configured(label_rule="share"))
    assert hard.label_shares is None
    assert soft.label_shares is not None
    assert soft.label_weights is None
    mixed = ((soft.label_shares > 0) & (soft.label_shares < 1)).any(axis=1)
    assert 0 < mixed.sum() < len(mixed) / 3
    assert soft.classes == hard.classes


def test_a_class_that_no_training_group_has_is_not_judged_and_noted(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("strange")
    for number in range(4):
        write_press(folder, f"p{number}", seed=number)
    write_press(folder, "p4", seed=4, shift=(("ok", 0, 30), ("cracked", 30, 50)))
    planned = plan_run(press_config(folder, tmp_path / "run"))
    assert "cracked" not in planned.classes
    assert list(planned.strange["test"]) == ["cracked"] and not planned.strange["dev"]
    count = planned.strange["test"]["cracked"]
    (note,) = [note for note in planned.notes if "cracked" in note]
    assert f"'cracked' {count}" in note and "test" in note
    assert {planned.classes[label] for label in planned.labels[planned.rows("test")]} == {"ok"}
