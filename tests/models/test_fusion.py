from __future__ import annotations

import pytest
import torch

from sensorkd.models.fusion import FusionStage, pool_map


def slow_bins(length, bins):
    if length <= bins:
        return [[index] for index in range(length)]
    edges = [round(index * length / bins) for index in range(bins + 1)]
    return [list(range(edges[b], edges[b + 1])) for b in range(bins)]


@pytest.mark.parametrize("length", [1, 3, 4, 5, 7, 16, 33])
def test_signal_maps_are_averaged_over_parts_of_the_window(length):
    feature_map = torch.randn(2, 3, length)
    got = pool_map(feature_map, time_bins=4, space_bins=2)
    expected = [
        [feature_map[b, c, part].mean() for c in range(3) for part in slow_bins(length, 4)] for b in range(2)
    ]
    assert torch.allclose(got, torch.tensor(expected), atol=1e-6)


def test_video_maps_are_averaged_over_time_and_quarters_of_the_frame():
    feature_map = torch.randn(2, 3, 6, 5, 8)
    got = pool_map(feature_map, time_bins=4, space_bins=2)
    expected = [
        [
            feature_map[b, c][times][:, rows][:, :, columns].mean()
            for c in range(3)
            for times in slow_bins(6, 4)
            for rows in slow_bins(5, 2)
            for columns in slow_bins(8, 2)
        ]
        for b in range(2)
    ]
    # Means of means agree with the plain mean because bins are whole rows and columns.
    assert got.shape == (2, 3 * 4 * 2 * 2)
    assert torch.allclose(got, torch.tensor(expected), atol=1e-6)


def stage(first=True):
    torch.manual_seed(0)
    return FusionStage({"a": 3, "b": 4, "c": 5}, 6, first=first, dropout=0.5).eval()


def pooled(batch=4):
    return [torch.randn(batch, size) for size in (3, 4, 5)]


def test_an_absent_modality_adds_nothing():
    fuse, values = stage(), pooled()
    presence = torch.tensor([[1.0, 0, 1]]).repeat(4, 1)
    other = [values[0], torch.randn(4, 4) * 100, values[2]]
    assert torch.equal(fuse(None, values, presence), fuse(None, other, presence))


def test_the_sum_is_scaled_by_how_many_there_were():
    """A lone modality counts three times, so that it weighs as much as three that say the same."""
    fuse, values = stage(), pooled()
    alone = fuse(None, values, torch.tensor([[0.0, 1, 0]]).repeat(4, 1))
    assert torch.allclose(alone, torch.relu(fuse.norm(3 * fuse.project["b"](values[1]))), atol=1e-6)
    all_three = sum(fuse.project[name](x) for name, x in zip("abc", values, strict=True))
    assert torch.allclose(fuse(None, values, torch.ones(4, 3)), torch.relu(fuse.norm(all_three)), atol=1e-6)


def test_nothing_present_gives_a_finite_constant():
    fuse = stage()
    got = fuse(None, pooled(), torch.zeros(4, 3))
    assert torch.isfinite(got).all()
    assert torch.equal(got, got[:1].expand_as(got))


def test_later_stages_carry_the_one_before():
    fuse, values = stage(first=False), pooled()
    presence = torch.ones(4, 3)
    one, other = fuse(torch.zeros(4, 6), values, presence), fuse(torch.ones(4, 6), values, presence)
    assert not torch.allclose(one, other)
    assert stage(first=True).carry is None
