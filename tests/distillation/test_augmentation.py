from __future__ import annotations

import math

import pytest
import torch

from sensorkd.distillation.augmentation import (
    AugmentationDraw,
    FrameShift,
    Gain,
    Noise,
    OffsetShift,
    Rotation,
    Scale,
    TimeWarp,
)

ALL = [TimeWarp(), Scale(), Gain(), OffsetShift(), Noise(), Rotation(), FrameShift()]


def draw(batch, seed=0):
    return AugmentationDraw(batch, torch.Generator().manual_seed(seed))


def example(augmentation, batch=4):
    generator = torch.Generator().manual_seed(5)
    shape = (batch, 2, 6, 8, 10) if isinstance(augmentation, FrameShift) else (batch, 3, 40)
    return torch.randn(shape, generator=generator)


@pytest.mark.parametrize("augmentation", ALL, ids=lambda a: type(a).__name__)
def test_augmentations_keep_the_shape_and_follow_the_generator(augmentation):
    x = example(augmentation)
    before = x.clone()
    once = augmentation(x, draw(4, seed=1))
    assert once.shape == x.shape
    assert torch.equal(x, before)
    assert torch.equal(once, augmentation(x, draw(4, seed=1)))
    assert not torch.allclose(once, augmentation(x, draw(4, seed=2)))
    assert not torch.allclose(once, x)


@pytest.mark.parametrize("augmentation", ALL, ids=lambda a: type(a).__name__)
def test_augmentations_stay_on_the_device_of_what_they_change(augmentation):
    """`meta` has no numbers, but refuses to meet tensors of the CPU as a GPU does."""
    assert augmentation(example(augmentation).to("meta"), draw(4)).device.type == "meta"


@pytest.mark.parametrize("augmentation", ALL, ids=lambda a: type(a).__name__)
def test_augmentations_draw_nothing_but_from_their_generator(augmentation):
    x = example(augmentation)
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    augmentation(x, draw(4))
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize(
    "augmentation",
    [
        TimeWarp(0.0, 0.0),
        Scale(0.0),
        Gain(0.0),
        OffsetShift(0.0),
        Noise(0.0),
        Rotation(0.0),
        FrameShift(0.0, 0.0),
    ],
    ids=lambda a: type(a).__name__,
)
def test_augmentations_of_no_amount_change_nothing(augmentation):
    x = example(augmentation)
    assert torch.allclose(augmentation(x, draw(4)), x, atol=1e-5)


def test_windows_are_changed_independently():
    x = torch.ones(50, 1, 5)
    factors = Scale(0.15)(x, draw(50))[:, 0]
    assert torch.equal(factors, factors[:, :1].expand(-1, 5))
    assert len(factors[:, 0].unique()) > 40
    assert (factors - 1).abs().max() <= 0.15
    shifts = OffsetShift(0.1)(torch.zeros(50, 1, 5), draw(50))[:, 0]
    assert shifts.abs().max() <= 0.1
    assert shifts.abs().max() > 0.05


@pytest.mark.parametrize("decibels", [3.0, 20.0])
def test_a_gain_stays_within_its_decibels_and_is_drawn_once_a_window(decibels):
    changed = Gain(decibels)(torch.ones(400, 2, 5), draw(400))
    levels = 20 * changed.log10()
    assert torch.equal(levels, levels[:, :1, :1].expand(-1, 2, 5)), "channels keep their proportions"
    drawn = levels[:, 0, 0]
    assert drawn.abs().max() <= decibels * (1 + 1e-5)
    assert drawn.min() < -0.95 * decibels
    assert drawn.max() > 0.95 * decibels
    # Evenly in the logarithm: half of them within half of the decibels, as many up as down.
    assert float((drawn.abs() < decibels / 2).float().mean()) == pytest.approx(0.5, abs=0.08)
    assert float((drawn > 0).float().mean()) == pytest.approx(0.5, abs=0.08)


def test_noise_has_its_deviation():
    noise = Noise(0.05)(torch.zeros(20, 3, 500), draw(20))
    assert float(noise.std()) == pytest.approx(0.05, rel=0.05)


def test_rotation_keeps_lengths_and_leaves_other_channel_counts_alone():
    x = torch.randn(8, 3, 30)
    turned = Rotation(30.0)(x, draw(8))
    assert torch.allclose(turned.norm(dim=1), x.norm(dim=1), atol=1e-4)
    one_axis = torch.randn(8, 1, 30)
    assert torch.equal(Rotation(30.0)(one_axis, draw(8)), one_axis)


def test_rotation_turns_by_about_its_angle():
    """The mean of |angle| of a normal distribution is its deviation times sqrt(2 / pi)."""
    x = torch.eye(3).repeat(4000, 1, 1)
    turned = Rotation(10.0)(x, draw(4000))
    cosine = ((turned.diagonal(dim1=1, dim2=2).sum(1) - 1) / 2).clamp(-1, 1)
    assert math.degrees(float(cosine.acos().mean())) == pytest.approx(10 * math.sqrt(2 / math.pi), rel=0.06)
    assert torch.allclose(torch.linalg.det(turned), torch.ones(4000), atol=1e-4)


def test_frame_shift_moves_a_spot_no_further_than_its_share():
    x = torch.zeros(64, 1, 1, 40, 40)
    x[..., 18:22, 18:22] = 1
    moved = FrameShift(share=0.1, zoom=0.0)(x, draw(64))[:, 0, 0]
    where = torch.arange(40) + 0.5
    centre = (moved.sum(1) * where).sum(1) / moved.sum((1, 2))
    distance = (centre - 20).abs()
    assert distance.max() <= 0.1 * 40 + 0.1
    assert distance.max() > 0.06 * 40


def test_frames_of_a_window_shift_together():
    frame = torch.randn(3, 1, 1, 12, 12)
    moved = FrameShift()(frame.expand(3, 2, 5, 12, 12), draw(3))
    assert torch.allclose(moved, moved[:, :1, :1].expand_as(moved), atol=1e-6)


def centre_of_mass(x, steps):
    """Where in its window a positive bump stands, as a share."""
    share = (torch.arange(steps) + 0.5) / steps
    return (x * share).sum(-1) / x.sum(-1)


@pytest.mark.parametrize("where", [0.35, 0.5, 0.65])
def test_time_warp_keeps_sensors_of_different_rates_aligned(where):
    """A marked event moves to the same share of the window in a fast signal, a slow one and a video."""
    one = draw(32, seed=4)
    moved = {}
    for steps in (1000, 200, 100):
        share = (torch.arange(steps) + 0.5) / steps
        bump = torch.exp(-(((share - where) / 0.03) ** 2))
        moved[steps] = centre_of_mass(TimeWarp()(bump.expand(32, 1, steps), one)[:, 0], steps)
    share = (torch.arange(100) + 0.5) / 100
    video = torch.exp(-(((share - where) / 0.03) ** 2)).reshape(1, 1, 100, 1, 1).expand(32, 1, 100, 3, 3)
    moved["video"] = centre_of_mass(TimeWarp()(video, one)[:, 0, :, 1, 1], 100)
    assert (moved[1000] - where).abs().max() > 0.04
    assert torch.allclose(moved[200], moved[1000], atol=0.002)
    assert torch.allclose(moved[100], moved[1000], atol=0.004)
    assert torch.allclose(moved["video"], moved[1000], atol=0.008)


def test_warped_time_never_runs_backwards():
    positions = draw(200).time_positions(64, crop=0.12, warp=0.08)
    assert (positions.diff(dim=1) >= 0).all()
    assert positions.min() >= 0
    assert positions.max() <= 63


def test_frames_are_taken_on_the_device_where_they_are():
    video = torch.zeros(2, 1, 6, 4, 4, device="meta")
    assert TimeWarp()(video, draw(2)).device.type == "meta"


def test_video_takes_whole_frames():
    frames = torch.arange(10.0).reshape(1, 1, 10, 1, 1).expand(5, 1, 10, 2, 2)
    warped = TimeWarp()(frames, draw(5))
    assert torch.equal(warped, warped.round())
