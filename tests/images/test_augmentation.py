"""The published augmentations: what they cut, what they mirror, and that chance repeats."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sensorkd.distillation.augmentation import AugmentationDraw
from sensorkd.images.augmentation import HorizontalFlip, PaddedCrop, ResizedCrop

BLACK = (-1.0, -2.0, -3.0)


def draw(count: int, seed: int = 0) -> AugmentationDraw:
    return AugmentationDraw(count, torch.Generator().manual_seed(seed))


def images(count: int = 64, side: int = 8) -> Tensor:
    return torch.rand(count, 3, 1, side, side, generator=torch.Generator().manual_seed(1))


def test_a_padded_crop_is_a_window_of_the_padded_image() -> None:
    x, padding = images(), 3
    cut = PaddedCrop(padding, BLACK)(x, draw(64))
    assert cut.shape == x.shape
    places = set()
    for image, before in zip(cut[:, :, 0], x[:, :, 0], strict=True):
        padded = torch.tensor(BLACK).reshape(3, 1, 1).repeat(1, 14, 14)
        padded[:, 3:11, 3:11] = before
        found = [
            (top, left)
            for top in range(7)
            for left in range(7)
            if torch.allclose(image, padded[:, top : top + 8, left : left + 8], atol=1e-6)
        ]
        assert len(found) == 1
        places.add(found[0])
    assert {place[0] for place in places} == {place[1] for place in places} == set(range(7))


def test_without_padding_a_crop_leaves_images_alone() -> None:
    torch.testing.assert_close(PaddedCrop(0, BLACK)(images(), draw(64)), images())


def test_about_half_of_the_images_are_mirrored_and_none_is_half_mirrored() -> None:
    x = images(400, 4)
    mirrored = HorizontalFlip()(x, draw(400))
    same = (mirrored == x).flatten(1).all(dim=1)
    turned = (mirrored == x.flip(4)).flatten(1).all(dim=1)
    assert (same ^ turned).all()
    assert float(turned.float().mean()) == pytest.approx(0.5, abs=0.1)


def test_a_resized_crop_has_the_size_and_stays_within_the_image() -> None:
    ramp = torch.linspace(0, 1, 32).expand(200, 3, 1, 32, 32)
    cut = ResizedCrop(16)(ramp, draw(200))
    assert cut.shape == (200, 3, 1, 16, 16)
    assert 0 <= float(cut.min()) < float(cut.max()) <= 1
    # Along a ramp, what a crop spans is its width as a share of the image.
    spans = (cut[:, 0, 0, 0, -1] - cut[:, 0, 0, 0, 0]) * 16 / 15
    assert float(spans.min()) > 0.2
    assert float(spans.max()) > 0.9


def test_the_same_draw_gives_the_same_images() -> None:
    for augmentation in (PaddedCrop(2, BLACK), HorizontalFlip(), ResizedCrop(6)):
        first, again, other = (augmentation(images(), draw(64, seed)) for seed in (5, 5, 6))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)
