"""Scores from sums, intervals and paired differences, against slow loops over windows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from sensorkd.evaluation.benchmark_intervals import (
    Draws,
    compared,
    drawn_scores,
    interval,
    make_draws,
    students_t,
)
from sensorkd.evaluation.benchmark_scores import METRICS, scores, tally
from sensorkd.training.metrics import classification_metrics

Windows = list[tuple[np.ndarray, np.ndarray]]  # logp (W, N) and labels (W,) of each group


def a_seed(seed: int, groups: int = 4, classes: int = 3) -> Windows:
    """Groups of unequal size; the last class is never the truth in the first group."""
    generator = np.random.default_rng(seed)
    found = []
    for number in range(groups):
        count = 5 + 3 * number
        logits = generator.normal(size=(count, classes)) * 1.5
        labels = generator.integers(0, classes - (number == 0), count)
        logits[np.arange(count), labels] += 0.8
        found.append((logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)), labels))
    return found


def tallies_of(seeds: list[Windows], classes: int = 3) -> np.ndarray:
    return np.array([[tally(*group, list(range(classes)), classes) for group in seed] for seed in seeds])


def pooled(groups: Windows) -> np.ndarray:
    """Slow: the windows of these groups, judged as `sensorkd evaluate` would."""
    logp = np.concatenate([item[0] for item in groups])
    metrics = classification_metrics(logp, np.concatenate([item[1] for item in groups]))
    return np.array([getattr(metrics, name) for name in METRICS])


def test_sums_over_groups_give_the_scores_of_all_windows_together() -> None:
    seed = a_seed(0)
    assert scores(tallies_of([seed])[0].sum(axis=0)) == pytest.approx(pooled(seed), abs=1e-9)


def test_a_fold_that_knows_fewer_classes_counts_where_they_belong() -> None:
    logp = np.log(np.array([[0.9, 0.1], [0.2, 0.8]]))
    known = tally(logp, np.array([0, 0]), [0, 2], 3)
    accuracy, macro, nll, _ = scores(known)
    assert (accuracy, macro) == (0.5, pytest.approx((2 / 3 + 0) / 2))
    assert nll == pytest.approx(-(np.log(0.9) + np.log(0.2)) / 2)


def test_a_draw_pools_drawn_groups_and_averages_drawn_seeds() -> None:
    seeds = [a_seed(number) for number in range(3)]
    draws = make_draws(3, 4, draws=25)
    found = drawn_scores(tallies_of(seeds), draws)
    for row in range(25):
        total, count = np.zeros(4), 0
        for number, seed in enumerate(seeds):
            for _ in range(int(draws.seeds[row, number])):
                groups = [
                    group for index, group in enumerate(seed) for _ in range(int(draws.groups[row, index]))
                ]
                total, count = total + pooled(groups), count + 1
        assert count == 3
        assert found[row] == pytest.approx(total / count, abs=1e-9)


def test_every_draw_takes_as_many_groups_and_seeds_as_there_are() -> None:
    draws = make_draws(2, 5)
    assert (draws.groups.sum(axis=1) == 5).all() and (draws.seeds.sum(axis=1) == 2).all()
    assert draws.groups.mean() == pytest.approx(1.0)
    assert np.array_equal(draws.groups, make_draws(2, 5).groups)


def test_a_method_differs_from_itself_by_nothing_and_is_never_ahead_of_itself() -> None:
    tallies = tallies_of([a_seed(0), a_seed(1)])
    draws = make_draws(2, 4)
    difference = drawn_scores(tallies, draws) - drawn_scores(tallies, draws)
    assert interval(difference) == [[0.0, 0.0]] * 4
    assert compared(tallies, tallies) == dict.fromkeys(METRICS, (0, 0))


def test_pairing_removes_what_groups_and_seeds_have_in_common() -> None:
    """Right a little more often in every group: surely ahead, however unlike the groups are."""
    generator = np.random.default_rng(0)
    own, other = [], []
    for _ in range(2):
        first, second = [], []
        for hits in (10, 30, 50, 80):
            labels = np.zeros(100, int)
            sure = np.where(np.arange(100)[:, None] < hits, [0.9, 0.1], [0.1, 0.9])
            more = np.where(np.arange(100)[:, None] < hits + 5, [0.9, 0.1], [0.1, 0.9])
            order = generator.permutation(100)
            first.append(tally(np.log(more[order]), labels, [0, 1], 2))
            second.append(tally(np.log(sure[order]), labels, [0, 1], 2))
        own.append(first)
        other.append(second)
    draws = make_draws(2, 4)
    paired = interval(drawn_scores(np.array(own), draws) - drawn_scores(np.array(other), draws))
    alone = interval(drawn_scores(np.array(own), draws))
    assert paired[0] == pytest.approx([0.05, 0.05])
    assert alone[0][1] - alone[0][0] > 0.3
    assert compared(np.array(own), np.array(other))["accuracy"] == (8, 0)
    assert compared(np.array(own), np.array(other))["nll"] == (8, 0)
    assert compared(np.array(other), np.array(own))["accuracy"] == (0, 8)


def test_seeds_widen_the_interval() -> None:
    same, unlike = [a_seed(0)] * 3, [a_seed(0), a_seed(0), [(-g[0], g[1]) for g in a_seed(0)]]
    fixed = Draws(groups=np.ones((200, 4)), seeds=make_draws(3, 4, draws=200).seeds)
    low, high = interval(drawn_scores(tallies_of(same), fixed))[0]
    assert high - low == pytest.approx(0.0)
    unlike = [[(g[0] - np.log(np.exp(g[0]).sum(axis=1, keepdims=True)), g[1]) for g in s] for s in unlike]
    low, high = interval(drawn_scores(tallies_of(unlike), fixed))[0]
    assert high - low > 0.1


def test_few_groups_are_told_by_students_t_which_is_wider_than_the_percentiles() -> None:
    tallies = tallies_of([a_seed(0), a_seed(1)])
    by_group = scores(tallies).mean(axis=0)
    found = np.array(students_t(by_group))
    reference = ttest_1samp(by_group, 0.0).confidence_interval(0.95)
    assert found[:, 0] == pytest.approx(reference.low)
    assert found[:, 1] == pytest.approx(reference.high)
    mean = by_group.mean(axis=0)
    assert ((found[:, 0] < mean) & (mean < found[:, 1])).all()
    assert students_t(by_group[:1]) == [None] * 4


def test_five_groups_have_percentiles_too_narrow_by_a_third() -> None:
    """Of a mean over groups; seeds are the same."""
    values = np.random.default_rng(0).normal(size=(400, 5))
    times = make_draws(1, 5).groups
    widths = []
    for of_groups in values:
        low, high = np.percentile(times @ of_groups / 5, [2.5, 97.5])
        ((first, last),) = students_t(of_groups[:, None])
        widths.append((high - low) / (last - first))
    assert 0.6 < np.median(widths) < 0.67
