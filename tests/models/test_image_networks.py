"""The image networks are those that were published: parameters, maps, and what an auxiliary repeats."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sensorkd.errors import ConfigError
from sensorkd.models.frontend import ChannelStats
from sensorkd.models.image_networks import NETWORKS, network_named
from sensorkd.models.plain import plain_student
from sensorkd.models.residual import ImageEncoder
from sensorkd.models.wide_residual import wide_network

STATS = ChannelStats((128.0,) * 3, (64.0,) * 3)
# With 100 classes and shortcuts of 1 x 1 convolutions, as in the repositories of CRD and HSAKD.
CIFAR = {
    "resnet20": 278_324,
    "resnet32": 472_756,
    "resnet56": 861_620,
    "resnet110": 1_736_564,
    "resnet8x4": 1_233_540,
    "resnet32x4": 7_433_860,
    "wrn_16_2": 703_284,
    "wrn_40_1": 569_780,
    "wrn_40_2": 2_255_156,
    "wrn_28_4": 5_872_180,
    "resnet18": 11_220_132,
}
# With 1,000 classes, as torchvision counts them.
IMAGENET = {"resnet18_imagenet": 11_689_512, "resnet34_imagenet": 21_797_672, "resnet50_imagenet": 25_557_032}


def parameters(name: str, classes: int) -> int:
    with torch.device("meta"):
        encoder = ImageEncoder(network_named(name))
        classifier = nn.Linear(encoder.widths[-1], classes)
    return sum(p.numel() for module in (encoder, classifier) for p in module.parameters())


@pytest.mark.parametrize(("name", "count"), CIFAR.items())
def test_students_of_cifar_100_have_the_published_parameters(name: str, count: int) -> None:
    assert parameters(name, 100) == count


@pytest.mark.parametrize(("name", "count"), IMAGENET.items())
def test_students_of_imagenet_have_the_published_parameters(name: str, count: int) -> None:
    assert parameters(name, 1000) == count


@pytest.mark.parametrize("name", ["resnet8", "resnet8x4", "wrn_16_1", "resnet18"])
def test_stages_halve_the_image_and_widen_it(name: str) -> None:
    encoder = ImageEncoder(network_named(name)).eval()
    with torch.no_grad():
        maps = encoder(torch.randn(2, 3, 32, 32))
    sizes = [32, 16, 8, 4][: len(maps)]
    assert [tuple(value.shape) for value in maps] == [
        (2, width, size, size) for width, size in zip(encoder.widths, sizes, strict=True)
    ]
    assert list(encoder.stages) == [f"stage{number + 1}" for number in range(len(maps))]


def test_a_network_for_large_images_ends_at_a_thirty_second_of_their_size() -> None:
    encoder = ImageEncoder(network_named("resnet18_imagenet")).eval()
    with torch.no_grad():
        maps = encoder(torch.randn(1, 3, 64, 64))
    assert [value.shape[2] for value in maps] == [16, 8, 4, 2]


@pytest.mark.parametrize("name", ["resnet8", "wrn_16_1", "resnet18_imagenet"])
def test_what_an_auxiliary_repeats_ends_as_deep_as_the_student(name: str) -> None:
    encoder = ImageEncoder(network_named(name)).eval()
    with torch.no_grad():
        maps = encoder(torch.randn(1, 3, 64, 64))
        for number, value in enumerate(maps, start=1):
            assert encoder.repeated(number).eval()(value).shape == maps[-1].shape


def test_a_repeated_stage_has_blocks_of_its_own_and_as_many() -> None:
    encoder = ImageEncoder(network_named("wrn_16_1"))
    counted = sum(p.numel() for p in encoder.stages["stage3"].parameters())
    again = encoder.repeated(2)
    assert sum(p.numel() for p in again.parameters()) == counted
    assert {id(p) for p in again.parameters()}.isdisjoint({id(p) for p in encoder.parameters()})


def test_the_last_map_of_wide_networks_is_what_the_classifier_reads() -> None:
    with torch.no_grad():
        maps = ImageEncoder(wide_network(16, 1)).eval()(torch.randn(2, 3, 32, 32))
    assert maps[-1].min() >= 0
    assert maps[0].min() < 0


def test_a_depth_that_is_no_wide_network_is_refused() -> None:
    with pytest.raises(ValueError, match="6 n \\+ 4, got 15"):
        wide_network(15, 2)


def test_an_unknown_network_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'wrn_16_2'"):
        network_named("wrn16_2")
    assert "resnet20" in NETWORKS


def test_the_same_seed_draws_the_same_weights() -> None:
    def drawn(seed: int) -> torch.Tensor:
        student = plain_student(network_named("resnet8"), classes=10, stats=STATS, size=32, seed=seed)
        return student.classifier.weight

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))
