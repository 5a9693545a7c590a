from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sensorkd.models.auxiliary import FusedAuxiliary, MapAuxiliary
from sensorkd.models.encoders import SignalEncoder, VideoEncoder, strides_for


@given(st.integers(1, 200_000), st.integers(1, 5))
def test_strides_bring_any_length_to_about_the_target(steps, stages):
    strides = strides_for(steps, stages)
    assert len(strides) == stages
    assert list(strides) == sorted(strides, reverse=True)
    assert min(strides) >= 1
    left = steps / math.prod(strides)
    assert left <= 16
    assert left > 8 / 2 ** (stages - 1) or steps <= 16


def test_strides_are_as_small_as_they_can_be():
    assert strides_for(128, 3) == (2, 2, 2)
    assert strides_for(16, 3) == (1, 1, 1)
    assert strides_for(17, 3) == (2, 1, 1)


@pytest.mark.parametrize("steps", [1, 3, 17, 128, 1000, 12_800])
def test_a_signal_encoder_gives_a_map_a_stage(steps):
    encoder = SignalEncoder(2, (4, 6, 8), steps=steps).eval()
    maps = encoder(torch.randn(3, 2, steps))
    assert [m.shape[:2] for m in maps] == [(3, 4), (3, 6), (3, 8)]
    length = steps
    for feature_map, stride in zip(maps, strides_for(steps, 3), strict=True):
        length = math.ceil(length / stride)
        assert feature_map.shape[2] == length
    assert maps[-1].shape[2] <= 16


@pytest.mark.parametrize(("steps", "height", "width"), [(16, 24, 32), (5, 9, 7), (40, 8, 8)])
def test_a_video_encoder_halves_frames_at_every_stage(steps, height, width):
    encoder = VideoEncoder(2, (4, 6, 8), steps=steps).eval()
    maps = encoder(torch.randn(2, 2, steps, height, width))
    for number, feature_map in enumerate(maps, start=1):
        assert feature_map.shape[:2] == (2, encoder.widths[number - 1])
        assert feature_map.shape[3] == math.ceil(height / 2**number)
        assert feature_map.shape[4] == math.ceil(width / 2**number)
    assert 2 <= maps[-1].shape[2] <= 5


def test_video_mixes_time_and_never_windows():
    # In two of 5,000 draws of weights nothing passes the last ReLU.
    torch.manual_seed(0)
    encoder = VideoEncoder(1, (4, 6, 8), steps=8).eval()
    x = torch.randn(2, 1, 8, 8, 8)
    changed = x.clone()
    changed[1, :, 0] += 1
    before, after = encoder(x)[-1], encoder(changed)[-1]
    assert torch.allclose(before[0], after[0], atol=1e-6)
    assert not torch.allclose(before[1], after[1])
    reordered = encoder(x.flip(2))[-1]
    assert not torch.allclose(reordered.mean(2), before.mean(2), atol=1e-5)


def test_video_stays_channels_last_however_frames_came():
    encoder = VideoEncoder(2, (4, 6, 8), steps=16).eval()
    x = torch.randn(2, 2, 16, 12, 8)
    channels_last = x.contiguous(memory_format=torch.channels_last_3d)
    for plain, other in zip(encoder(x), encoder(channels_last), strict=True):
        assert plain.is_contiguous(memory_format=torch.channels_last_3d)
        assert torch.equal(plain, other)


@pytest.mark.parametrize("rank", [1, 3])
def test_a_map_auxiliary_judges_each_window_by_its_own_map(rank):
    shape = (4, 5, 8) if rank == 1 else (4, 5, 4, 8, 8)
    auxiliary = MapAuxiliary((5, 7, 9), rank=rank, labels=12).eval()
    maps = torch.randn(shape)
    logits = auxiliary(maps)
    assert logits.shape == (4, 12)
    assert torch.allclose(auxiliary(maps[[2]]), logits[[2]], atol=1e-6)
    assert auxiliary.classifier.in_features == 9


def test_a_map_auxiliary_of_the_deepest_stage_is_pooling_and_a_linear_layer():
    auxiliary = MapAuxiliary((9,), rank=1, labels=6)
    maps = torch.randn(3, 9, 5)
    assert torch.allclose(auxiliary(maps), auxiliary.classifier(maps.mean(2)))
    assert sum(p.numel() for p in auxiliary.parameters()) == 9 * 6 + 6


@pytest.mark.parametrize("rank", [1, 3])
def test_a_light_auxiliary_is_pooling_and_a_linear_layer_at_any_stage(rank):
    auxiliary = MapAuxiliary((5, 7, 9), rank=rank, labels=6, depth="light")
    maps = torch.randn((3, 5, 8) if rank == 1 else (3, 5, 4, 8, 8))
    assert torch.allclose(auxiliary(maps), auxiliary.classifier(maps.flatten(2).mean(2)))
    assert sum(p.numel() for p in auxiliary.parameters()) == 5 * 6 + 6


def test_a_fused_auxiliary_gives_the_projection_it_classifies():
    auxiliary = FusedAuxiliary(5, labels=8)
    projection, logits = auxiliary(torch.randn(3, 5))
    assert projection.shape == (3, 5)
    assert torch.equal(auxiliary.classifier(projection), logits)
