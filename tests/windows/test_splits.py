from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorkd.errors import SplitError
from sensorkd.recordings import open_recordings
from sensorkd.timeline import SECOND
from sensorkd.windows.labels import UNLABELLED
from sensorkd.windows.plan import plan_windows
from sensorkd.windows.splits import (
    Split,
    few_labels,
    fold_of_groups,
    groups_of,
    labels_of_groups,
    leave_one_group_out,
    share_of_labels,
    split_by_group,
)

GROUPS = ["m1", "m2", "m1", "m3", "m4", "m2"]


def test_all_groups_that_are_not_named_are_trained_on() -> None:
    split = split_by_group(GROUPS, dev=["m2"], test=["m4"])
    assert split == Split(("m1", "m3"), ("m2",), ("m4",))
    rows = {side: split.rows(GROUPS, side).tolist() for side in ("train", "dev", "test")}
    assert rows == {"train": [0, 2, 3], "dev": [1, 5], "test": [4]}


@pytest.mark.parametrize(
    "sides",
    [(("a", "b"), ("b",), ()), (("a", "b"), (), ("a",)), (("a",), ("b", "c"), ("c",))],
)
def test_one_group_on_two_sides_is_an_error(sides: tuple[Any, ...]) -> None:
    with pytest.raises(SplitError, match=r"both sides(.|\n)*to mend"):
        Split(*sides)


def test_a_split_without_training_groups_is_an_error() -> None:
    with pytest.raises(SplitError, match="no group is left to train on"):
        split_by_group(["a", "b"], dev=["a"], test=["b"])


def test_an_unknown_group_is_told_with_the_nearest() -> None:
    with pytest.raises(SplitError, match=r"'machine_07'(.|\n)*did you mean 'machine_7'") as caught:
        split_by_group(["machine_7", "press"], dev=[], test=["machine_07"])
    assert caught.value.inside == "split.test"


@given(st.lists(st.sampled_from("abcdef"), min_size=2).filter(lambda groups: len(set(groups)) > 1))
def test_leaving_one_group_out_tests_each_group_once_and_trains_on_the_rest(groups: list[str]) -> None:
    splits = list(leave_one_group_out(groups))
    assert sorted(split.test[0] for split in splits) == sorted(set(groups))
    for split in splits:
        assert (len(split.test), split.dev) == (1, ())
        assert set(split.train) | set(split.test) == set(groups)
        rows = np.concatenate([split.rows(groups, side) for side in ("train", "test")])
        assert sorted(rows.tolist()) == list(range(len(groups)))


@given(
    groups=st.lists(st.text("abcm0123", min_size=1, max_size=4), min_size=2, max_size=40),
    folds=st.integers(2, 8),
    order=st.randoms(use_true_random=False),
)
def test_folds_part_all_groups_alike_and_do_not_depend_on_their_order(
    groups: list[str], folds: int, order: Any
) -> None:
    names = set(groups)
    if len(names) < folds:
        with pytest.raises(SplitError, match="fewer groups than folds"):
            fold_of_groups(groups, folds=folds, fold=0)
        return
    parts = [fold_of_groups(groups, folds=folds, fold=fold) for fold in range(folds)]
    assert sorted(name for part in parts for name in part) == sorted(names), "each group in one fold"
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert all(list(part) == sorted(part) for part in parts)
    shuffled = [*groups, *groups]
    order.shuffle(shuffled)
    assert [fold_of_groups(shuffled, folds=folds, fold=fold) for fold in range(folds)] == parts


def test_folds_are_those_that_were_published() -> None:
    """Figures by fold can be compared only while this holds; NumPy may one day draw another order."""
    names = [f"m{number}" for number in range(7)]
    parts = [fold_of_groups(names, folds=3, fold=fold) for fold in range(3)]
    assert parts == [("m1", "m2", "m6"), ("m4", "m5"), ("m0", "m3")]


def test_fewer_groups_than_folds_is_told_with_both_numbers() -> None:
    with pytest.raises(SplitError, match=r"found: 4 groups(.|\n)*expected: at least 5") as caught:
        fold_of_groups(GROUPS, folds=5, fold=0)
    assert caught.value.inside == "split.folds"
    assert caught.value.mend == "lower `split.folds`"


def test_groups_are_an_identity_or_the_recordings_themselves(
    write_archive: Any, shake: Any, encodings: Any
) -> None:
    recordings = open_recordings(write_archive({"acceleration": shake(3.0)}, recordings=("mon", "tue")))
    plan = plan_windows(recordings, encodings(), hop=SECOND)
    assert groups_of(recordings, plan, "session") == ["mon"] * 3 + ["tue"] * 3
    assert groups_of(recordings, plan, "machine") == ["press 4"] * 6
    assert groups_of(recordings, plan, "recording")[::3] == ["press.h5::mon", "press.h5::tue"]
    with pytest.raises(SplitError, match=r"'sesion'(.|\n)*did you mean 'session'") as caught:
        groups_of(recordings, plan, "sesion")
    assert (caught.value.file, caught.value.inside) == (str(recordings[0].path), "/mon")


@given(
    rows=st.lists(st.tuples(st.integers(-1, 2), st.sampled_from("abcd")), min_size=1, max_size=60),
    per_class=st.integers(1, 6),
    seed=st.integers(0, 5),
)
def test_few_labels_are_k_of_each_class_spread_evenly_over_groups(
    rows: list[tuple[int, str]], per_class: int, seed: int
) -> None:
    labels, groups = np.array([row[0] for row in rows]), [row[1] for row in rows]
    classes = {label for label in labels.tolist() if label != UNLABELLED}
    if any((labels == label).sum() < per_class for label in classes):
        with pytest.raises(SplitError, match="too few"):
            few_labels(labels, groups, per_class=per_class, seed=seed)
        return
    chosen = few_labels(labels, groups, per_class=per_class, seed=seed)
    assert chosen.tolist() == few_labels(labels, groups, per_class=per_class, seed=seed).tolist()
    assert len(set(chosen.tolist())) == len(chosen) == per_class * len(classes)
    for label in classes:
        mine = [row for row in chosen.tolist() if labels[row] == label]
        assert len(mine) == per_class
        taken = {name: sum(groups[row] == name for row in mine) for name in "abcd"}
        there = {name: sum(g == name and k == label for k, g in rows) for name in "abcd"}
        for name in "abcd":  # no group gives two more than one that still had some to give
            assert taken[name] <= there[name]
            assert all(taken[name] <= taken[o] + 1 for o in "abcd" if taken[o] < there[o])


def test_the_draw_depends_on_the_seed() -> None:
    labels, groups = np.zeros(200, np.int64), ["a", "b"] * 100
    draws = {tuple(few_labels(labels, groups, per_class=5, seed=seed).tolist()) for seed in range(5)}
    assert len(draws) == 5


def test_too_few_labels_are_counted() -> None:
    with pytest.raises(SplitError, match=r"class 1(.|\n)*found: 2(.|\n)*at least 3(.|\n)*to mend"):
        few_labels(np.array([0, 0, 0, 1, 1, -1]), ["a"] * 6, per_class=3, seed=0)


SOME_ROWS = st.lists(st.tuples(st.integers(-1, 2), st.sampled_from("abcd")), min_size=1, max_size=60)


@given(rows=SOME_ROWS, share=st.floats(0.001, 1), seed=st.integers(0, 5))
def test_a_share_of_the_labels_is_that_of_every_class_and_at_least_one(
    rows: list[tuple[int, str]], share: float, seed: int
) -> None:
    labels, groups = np.array([row[0] for row in rows]), [row[1] for row in rows]
    chosen = share_of_labels(labels, groups, share=share, seed=seed)
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    assert (labels[chosen] != UNLABELLED).all()
    for label in set(labels.tolist()) - {UNLABELLED}:
        kept, there = int((labels[chosen] == label).sum()), int((labels == label).sum())
        assert 1 <= kept <= there
        assert abs(kept - share * there) <= 0.5 or (kept == 1 and share * there < 0.5)


@given(rows=SOME_ROWS, seed=st.integers(0, 5))
def test_labels_of_groups_are_all_of_theirs_and_of_no_other_group(
    rows: list[tuple[int, str]], seed: int
) -> None:
    labels, groups = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    labelled = labels != UNLABELLED
    known = set(groups[labelled].tolist())
    before: set[str] = set()
    for count in range(1, len(known) + 1):
        try:
            kept = labels_of_groups(labels, groups.tolist(), count=count, seed=seed)
        except SplitError as error:
            assert "has no labelled window in the groups that were drawn" in str(error)
            continue
        drawn = set(groups[kept].tolist())
        assert len(drawn) == count
        assert before <= drawn
        assert kept.tolist() == np.flatnonzero(labelled & np.isin(groups, sorted(drawn))).tolist()
        before = drawn


def test_more_groups_than_have_labels_are_refused() -> None:
    with pytest.raises(
        SplitError, match=r"fewer training groups have a label(.|\n)*\['a', 'b'\](.|\n)*at least 3"
    ):
        labels_of_groups(np.array([0, 0, -1, 0]), ["a", "b", "c", "b"], count=3, seed=0)


def test_all_of_the_labels_is_every_label() -> None:
    labels = np.array([0, 1, -1, 0, 2, 1, 0])
    assert share_of_labels(labels, list("aabbccd"), share=1.0, seed=3).tolist() == [0, 1, 3, 4, 5, 6]


def test_a_share_is_taken_evenly_from_the_groups() -> None:
    labels, groups = np.zeros(40, np.int64), ["a"] * 20 + ["b"] * 10 + ["c"] * 10
    chosen = share_of_labels(labels, groups, share=0.25, seed=0)
    assert sorted([groups[row] for row in chosen].count(name) for name in "abc") == [3, 3, 4]


@given(rows=SOME_ROWS, seed=st.integers(0, 5), budgets=st.permutations([0.1, 0.25, 0.5, 0.75, 1.0]))
def test_what_a_smaller_budget_keeps_is_kept_by_a_larger_one(
    rows: list[tuple[int, str]], seed: int, budgets: list[float]
) -> None:
    """Label-efficiency curves would else compare other windows, not more of them."""
    labels, groups = np.array([row[0] for row in rows]), [row[1] for row in rows]
    counts = np.unique(labels[labels != UNLABELLED], return_counts=True)[1]
    kept = [share_of_labels(labels, groups, share=share, seed=seed) for share in budgets]
    numbers = range(1, int(counts.min()) + 1) if len(counts) else ()
    kept += [few_labels(labels, groups, per_class=number, seed=seed) for number in numbers]
    for label in set(labels.tolist()) - {UNLABELLED}:
        by_size = sorted(({*some[labels[some] == label].tolist()} for some in kept), key=len)
        assert all(small <= large for small, large in itertools.pairwise(by_size))
