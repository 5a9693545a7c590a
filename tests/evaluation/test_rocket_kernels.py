"""MiniRocket's features are those of its paper, worked with loops."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from sensorkd.evaluation.rocket_kernels import KERNELS, LENGTH, RocketKernels, dilations_for


def signals(count: int = 6, channels: int = 3, steps: int = 40, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (count, channels, steps)).astype(np.float32)


def answers_of(window: np.ndarray, kernel: int, dilation: int, channels: np.ndarray) -> list[float]:
    """One kernel on one window (C, T), zeros around it, one product at a time."""
    twos = list(itertools.combinations(range(LENGTH), 3))[kernel]
    steps = window.shape[1]
    found = []
    for centre in range(steps):
        total = 0.0
        for place in range(LENGTH):
            at = centre + (place - LENGTH // 2) * dilation
            if 0 <= at < steps:
                for channel in np.flatnonzero(channels):
                    total += (2.0 if place in twos else -1.0) * float(window[channel, at])
        found.append(total)
    return found


def test_features_are_shares_of_answers_above_the_levels() -> None:
    fitted = RocketKernels.fit(signals(), features=84 * 6, seed=1)
    unseen = signals(2, seed=5)
    features = fitted.features(unseen)
    assert features.shape == (2, fitted.count) == (2, 84 * 6)
    start = 0
    for number, item in enumerate(fitted.dilated):
        levels = item.levels.shape[1]
        for kernel in range(0, KERNELS, 5):
            answers = answers_of(unseen[0], kernel, item.dilation, item.channels[kernel])
            if (number + kernel) % 2:
                margin = 4 * item.dilation
                answers = answers[margin : len(answers) - margin]
            for level in range(levels):
                expected = np.mean([answer > item.levels[kernel, level] for answer in answers])
                at = start + kernel * levels + level
                # One answer more or less: float32 adds in another order.
                assert abs(features[0, at] - expected) <= 1.01 / len(answers)
        start += KERNELS * levels


def test_levels_are_answers_that_training_windows_give() -> None:
    """With a single window it is known whose: the levels are quantiles of its answers."""
    window = signals(1)
    fitted = RocketKernels.fit(window, features=84 * 3, seed=0)
    number = 0
    for item in fitted.dilated:
        for kernel in range(KERNELS):
            for level in item.levels[kernel]:
                number += 1
                rank = number * (np.sqrt(5) + 1) / 2 % 1
                if kernel % 9 == 0:
                    answers = answers_of(window[0], kernel, item.dilation, item.channels[kernel])
                    assert level == pytest.approx(np.quantile(answers, rank), abs=1e-4)


def test_dilations_reach_from_neighbours_to_the_whole_window() -> None:
    for steps in (9, 10, 128, 2560, 100_000):
        for levels in (1, 6, 119):
            found = dilations_for(steps, levels)
            assert sum(share for _, share in found) == levels
            assert found[0][0] == 1
            assert all((LENGTH - 1) * dilation < steps for dilation, _ in found)
            assert len(found) <= 32
    assert dilations_for(2560, 119)[-1][0] == 319


def test_kernels_look_at_few_channels_more_often_than_at_many() -> None:
    fitted = RocketKernels.fit(signals(channels=20), features=84 * 20, seed=0)
    counts = np.concatenate([item.channels.sum(axis=1) for item in fitted.dilated])
    assert counts.min() == 1 and counts.max() <= 9
    assert (counts == 1).mean() > (counts == 2).mean() > (counts == 9).mean()
    assert np.concatenate([item.channels for item in fitted.dilated]).any(axis=0).all()


def test_a_level_shows_only_where_the_window_ends() -> None:
    fitted = RocketKernels.fit(signals(), features=84, seed=0)
    lifted = signals() + 7
    same = np.isclose(fitted.features(signals()), fitted.features(lifted), atol=0.05).mean(axis=0)
    within = 1 - fitted.dilated[0].padded
    assert (same[within::2] == 1).all() and same[1 - within :: 2].mean() < 0.9


def test_the_seed_decides_and_windows_are_judged_one_by_one() -> None:
    fitted, again, other = (
        RocketKernels.fit(signals(), features=84 * 4, seed=seed).features(signals()) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(fitted, again)
    assert not np.array_equal(fitted, other)
    alone = RocketKernels.fit(signals(), features=84 * 4, seed=0).features(signals()[2:3])
    np.testing.assert_allclose(alone, fitted[2:3], atol=0.03)
