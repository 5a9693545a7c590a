"""Labels held out in turn tell whether guesses can be believed, and of which sensors."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest

from sensorkd.distillation.methods import method_named
from sensorkd.errors import ConfigError
from sensorkd.training import cross_validation
from sensorkd.training.cross_validation import RECORD, CrossValidation, cross_validate, settled

LSSKD = method_named("lsskd")
BOTH = ("shake", "heat")


def in_groups(count, size=3):
    """So many windows of each group, one of each class."""
    return [f"m{row // size}" for row in range(count)]


@pytest.fixture
def watched(monkeypatch):
    """The labelled windows that every plain student learned from, and its recipe."""
    seen = []

    def watching(layered, windows, recipe, folder):
        seen.append((windows, recipe))
        return plainly(layered, windows, recipe, folder)

    plainly = cross_validation.train
    monkeypatch.setattr(cross_validation, "train", watching)
    return seen


def test_sensors_that_tell_the_classes_leave_little_doubt(layered, make_windows, make_recipe):
    found = cross_validate(layered, make_windows(30), in_groups(30), make_recipe(LSSKD, steps=100))
    assert set(found.doubts) == {("shake",), ("heat",), BOTH}
    assert found.windows == 30 and found.voices(0.5)[0] == BOTH


def test_a_sensor_that_tells_nothing_is_not_asked(layered, make_windows, make_recipe):
    windows = make_windows(30)
    # Levels as far apart as those of classes, of no class: learned by heart.
    levels = np.random.default_rng(1).integers(-30, 31, (30, 1, 1))
    windows._inputs["heat"] = np.broadcast_to(levels, (30, 12, 1)).astype(np.int16)
    windows._columns["presence"][:] = 1
    found = cross_validate(layered, windows, in_groups(30), make_recipe(LSSKD, steps=100))
    assert found.voices(0.9)[0] == ("shake",) and found.doubts[("heat",)] > 0.9


def test_labels_that_no_sensor_tells_leave_all_doubt(layered, make_windows, make_recipe):
    windows = make_windows(30)
    windows._columns["label"] = np.random.default_rng(2).permutation(windows.labels)
    found = cross_validate(layered, windows, in_groups(30), make_recipe(LSSKD, steps=100))
    assert min(found.doubts.values()) > 0.9


def test_a_sensor_is_judged_by_windows_that_have_it(layered, make_windows, make_recipe):
    """A machine without a sensor says nothing against the sensor."""
    windows, groups = make_windows(30), in_groups(30)
    windows._columns["presence"][:] = 1
    windows._columns["presence"][np.isin(groups, ["m0", "m1", "m2", "m3"]), 0] = 0
    found = cross_validate(layered, windows, groups, make_recipe(LSSKD, steps=100))
    assert found.doubts[("shake",)] < 0.5


def test_labels_that_count_for_little_are_judged_for_little(layered, make_windows, make_recipe):
    windows, groups = make_windows(60), in_groups(60)
    doubtful = np.repeat(np.arange(20) % 2 == 1, 3)
    labels = windows.labels.copy()
    labels[doubtful] = np.random.default_rng(1).permutation(labels[doubtful])
    windows._columns |= {"label": labels, "label_weight": np.where(doubtful, 0.01, 1).astype(np.float32)}
    found = cross_validate(layered, windows, groups, make_recipe(LSSKD, steps=200))
    assert found.voices(0.5)[0] == BOTH


def test_common_classes_are_no_knowledge():
    """Of 100 labels 90 are of one class. Who says so of every window knows nothing; who knows pays little."""
    truth, learned = np.repeat([0, 1], 50), np.array([90.0, 10.0, 0.0])
    shares = np.log(np.tile([0.9, 0.1 - 1e-6, 1e-6], (100, 1))).astype(np.float32)
    assert cross_validation._costs(shares, truth, learned) == pytest.approx(1, rel=1e-3)
    knows = shares + 4 * np.eye(3, dtype=np.float32)[truth]
    assert (cross_validation._costs(knows, truth, learned) < 0.03).all()


@pytest.mark.parametrize(("count", "folds"), [(30, 5), (9, 3)])
def test_no_group_is_learned_from_and_judged(layered, make_windows, make_recipe, watched, count, folds):
    windows, groups = make_windows(count), np.array(in_groups(count))
    before = copy.deepcopy(layered.state_dict())
    found = cross_validate(layered, windows, groups.tolist(), make_recipe(LSSKD, steps=10))
    assert len(watched) == folds and found.windows == count
    learned = [set(groups[learner._rows]) for learner, _ in watched]
    # Every group is held out once: learned from in all folds but one.
    assert sorted(name for names in learned for name in names) == sorted([*set(groups)] * (folds - 1))
    assert all((before[name] == value).all() for name, value in layered.state_dict().items())


def test_the_students_are_plain_and_brief(layered, make_windows, make_recipe, watched):
    recipe = make_recipe(LSSKD, steps=20, sampling="balanced")
    cross_validate(layered, make_windows(30), in_groups(30), recipe)
    for _, plain in watched:
        assert plain.method.name == "ce"
        assert plain.config.total_steps == 6 and plain.config.sampling == "natural"


def test_windows_without_groups_are_held_out_one_by_one(layered, make_windows, make_recipe, watched):
    for groups in (None, ["m0"] * 30):
        watched.clear()
        found = cross_validate(layered, make_windows(30), groups, make_recipe(LSSKD, steps=4))
        assert found.windows == 30 and {len(windows) for windows, _ in watched} == {24}


def test_a_class_that_was_not_learned_is_not_judged(layered, make_windows, make_recipe):
    """All labels of class 2 are of one machine: held out, nobody could know it."""
    windows = make_windows(labels=[0, 1, 2, 2, 0, 1, 0, 1])
    groups = ["m0", "m0", "m0", "m0", "m1", "m1", "m2", "m2"]
    found = cross_validate(layered, windows, groups, make_recipe(LSSKD, steps=4, batch_size=2))
    assert found.windows == 6


def test_some_sensors_are_asked_first_only_where_they_leave_clearly_less_doubt():
    alike = CrossValidation({("a",): 0.46, ("b",): 0.9, ("a", "b"): 0.5}, 9)
    assert alike.voices(0.7) == (("a", "b"), ("a",)) and alike.voices(0.4) == ()
    better = CrossValidation({("a",): 0.44, ("b",): 0.9, ("a", "b"): 0.5}, 9)
    assert better.voices(1.0) == (("a",), ("a", "b"), ("b",))
    # Of sensors that are as good, the fewest.
    three = {("a",): 0.28, ("b",): 0.9, ("a", "b"): 0.27, ("a", "b", "c"): 0.4}
    assert CrossValidation(three, 9).voices(0.7)[0] == ("a",)
    # All sensors would be asked, but for the limit.
    assert alike.voices(0.48) == (("a",),)
    named = CrossValidation({("a+b",): 0.4, ("c",): 0.6, ("a+b", "c"): 0.3}, 9)
    assert CrossValidation.of_record(named.record()) == named


def settle(recipe, found, monkeypatch, layered, records=()):
    told, noted = [], []
    monkeypatch.setattr(cross_validation, "cross_validate", lambda *_: found)
    after = settled(
        recipe, layered, range(48), None, records=records, on_record=told.append, on_note=noted.append
    )
    return after, told, noted


def test_guesses_in_doubt_are_not_taught(layered, make_recipe, monkeypatch):
    found = CrossValidation({("shake",): 0.8, ("heat",): 1.2, BOTH: 0.9}, 20)
    after, (record,), (note,) = settle(make_recipe(LSSKD), found, monkeypatch, layered)
    assert after.method == dataclasses.replace(LSSKD, unlabelled=0.0) and after.voices is None
    assert record[RECORD]["doubts"][0] == {"sensors": ["shake"], "doubt": 0.8} and record["seconds"] >= 0
    assert note.endswith(
        "shake left 0.80 of the doubt, above method.doubt of 0.7: windows without a label are left alone"
    )


def test_the_sensors_that_know_are_asked(layered, make_recipe, monkeypatch):
    found = CrossValidation({("shake",): 0.2, ("heat",): 1.2, BOTH: 0.4}, 20)
    after, _, (note,) = settle(make_recipe(LSSKD), found, monkeypatch, layered)
    assert after.method == LSSKD and after.voices == (("shake",), BOTH)
    assert "shake left 0.20 of the doubt, all sensors 0.40: shake will be asked" in note


def test_a_seed_may_be_larger_than_scikit_learns(layered, make_windows, make_recipe):
    assert cross_validate(layered, make_windows(9), in_groups(9), make_recipe(LSSKD, steps=4, seed=2**32))


def test_where_nothing_can_be_held_out_guesses_are_believed_and_that_is_told(
    layered, make_recipe, make_windows
):
    recipe, noted, told = make_recipe(LSSKD, steps=4, batch_size=2, epoch_steps=1), [], []
    one_each = make_windows(labels=[0, 1, 2])
    groups = ["m0", "m1", "m2"]
    after = settled(
        recipe, layered, one_each, groups, records=[], on_record=told.append, on_note=noted.append
    )
    assert after == recipe and "no class has labels in two groups" in noted[0]
    # Nor is it tried again by a run that is resumed.
    assert told[0][RECORD] == {}
    assert settled(recipe, layered, range(48), None, records=told, on_record=told.append) == recipe
    assert len(told) == 1


def test_a_resumed_run_holds_to_what_was_found(layered, make_recipe, monkeypatch):
    recipe = make_recipe(LSSKD)
    found = CrossValidation({("shake",): 0.2, ("heat",): 1.2, BOTH: 0.4}, 20)
    first, told, _ = settle(recipe, found, monkeypatch, layered)
    again, nothing, _ = settle(recipe, None, monkeypatch, layered, records=[{"step": 1}, *told])
    assert again == first and nothing == []


@pytest.mark.parametrize("changes", [{"doubt": 0.0}, {"unlabelled": 0.0}])
def test_a_method_without_doubt_or_without_visits_trains_nothing(layered, make_recipe, watched, changes):
    recipe = make_recipe(dataclasses.replace(LSSKD, **changes))
    assert settled(recipe, layered, range(48), None, records=[], on_record=pytest.fail) is recipe
    assert watched == []


def test_a_doubt_without_visits_is_refused():
    with pytest.raises(ConfigError, match="only visits are doubted"):
        method_named("pseudo_label", {"doubt": 0.5})


def test_a_sensor_logged_in_one_class_alone_knows_nothing_of_the_others(layered, make_windows, make_recipe):
    windows = make_windows(60)
    presence = windows._columns["presence"]
    presence[:] = 1
    presence[:, 1] = (windows.labels == 0) & (np.arange(60) % 2 == 0)
    windows._inputs["heat"] = np.random.default_rng(0).integers(-10, 10, (60, 12, 1)).astype(np.int16)
    found = cross_validate(layered, windows, in_groups(60), make_recipe(LSSKD, steps=100))
    # Two of three classes are not told by it.
    assert found.doubts[("heat",)] > 0.6 and found.voices(0.5)[0] == ("shake",)


def test_where_no_epoch_begins_after_the_warm_up_nothing_is_held_out(
    layered, make_recipe, make_windows, watched
):
    recipe, noted = make_recipe(LSSKD, steps=3, epoch_steps=3), []
    after = settled(
        recipe, layered, make_windows(48), None, records=[], on_record=pytest.fail, on_note=noted.append
    )
    assert after == recipe and watched == [] and "never visited" in noted[0]
    assert make_recipe(LSSKD, steps=12, epoch_steps=4).will_visit(48)


def test_visits_that_never_happen_are_told_without_a_doubt_as_well(
    layered, make_recipe, make_windows, watched
):
    method, noted = dataclasses.replace(LSSKD, doubt=0.0), []
    recipe = make_recipe(method, steps=3, epoch_steps=3)
    after = settled(
        recipe, layered, make_windows(48), None, records=[], on_record=pytest.fail, on_note=noted.append
    )
    assert after is recipe and "never visited" in noted[0]
