"""A plain student is a published network and nothing more; its layered form adds auxiliaries around it."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from sensorkd.models.frontend import ChannelStats
from sensorkd.models.image_networks import network_named
from sensorkd.models.plain import IMAGE, PlainStudent, plain_student
from sensorkd.models.plain_layered import LayeredPlain, layered_plain

STATS = ChannelStats((100.0, 120.0, 140.0), (50.0, 60.0, 70.0))


def images(count: int = 4, side: int = 16) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, side, side, 3), dtype=torch.uint8, generator=generator)


def build(name: str = "resnet8", size: int = 16) -> LayeredPlain:
    student = plain_student(network_named(name), classes=5, stats=STATS, size=size, seed=0)
    return layered_plain(student, transforms=4, seed=0)


@pytest.fixture
def student() -> PlainStudent:
    return build().student.eval()


@torch.no_grad()
def test_its_logits_are_stem_stages_mean_and_one_linear_layer(student: PlainStudent) -> None:
    pixels = images()
    x = (pixels.float() - torch.tensor(STATS.mean)) / torch.tensor(STATS.std)
    x = student.image_encoder.stem(x.permute(0, 3, 1, 2))
    for stage in student.image_encoder.stages.values():
        x = stage(x)
    expected = F.linear(x.mean(dim=(2, 3)), student.classifier.weight, student.classifier.bias)
    logits, embedding = student({IMAGE: pixels}, torch.ones(4, 1))
    torch.testing.assert_close(logits, expected)
    torch.testing.assert_close(embedding, x.mean(dim=(2, 3)))


@torch.no_grad()
def test_prepared_images_are_videos_of_one_frame(student: PlainStudent) -> None:
    prepared = student.prepare({IMAGE: images()})[IMAGE]
    assert prepared.shape == (4, 3, 1, 16, 16)
    assert prepared.dtype == torch.float32


@torch.no_grad()
def test_of_a_larger_image_it_sees_the_middle(student: PlainStudent) -> None:
    large = images(side=20)
    seen = student({IMAGE: large}, torch.ones(4, 1))[0]
    torch.testing.assert_close(seen, student({IMAGE: large[:, 2:18, 2:18]}, torch.ones(4, 1))[0])


@torch.no_grad()
def test_of_a_hidden_image_nothing_is_left(student: PlainStudent) -> None:
    logits, embedding = student({IMAGE: images()}, torch.tensor([[1.0], [0.0], [1.0], [0.0]]))
    assert (embedding[1::2] == 0).all()
    torch.testing.assert_close(logits[1], student.classifier.bias)
    assert (embedding[0::2] != 0).any()


@torch.no_grad()
def test_encode_pool_and_fuse_together_are_the_trunk(student: PlainStudent) -> None:
    prepared, presence = student.prepare({IMAGE: images()}), torch.ones(4, 1)
    pooled = {IMAGE: [student.pool(value) for value in student.encode(IMAGE, prepared[IMAGE])]}
    embedding = student.fuse(pooled, presence)[-1]
    torch.testing.assert_close(student.classifier(embedding), student.trunk(prepared, presence).logits)


def test_observing_moves_statistics_and_no_weight() -> None:
    student = build().student.train()
    before = copy.deepcopy(student.state_dict())
    with torch.no_grad():
        student.observe(student.prepare({IMAGE: images()}), torch.ones(4, 1))
    moved = {name for name, value in student.state_dict().items() if not torch.equal(value, before[name])}
    assert moved
    assert all("running" in name or "num_batches" in name for name in moved)


def test_a_modality_that_it_does_not_have_is_refused(student: PlainStudent) -> None:
    with pytest.raises(KeyError, match="one modality, 'image'"):
        student.encoder("video")


def test_every_stage_has_an_auxiliary_for_class_and_rotation() -> None:
    layered = build()
    presence = torch.ones(4, 1)
    output = layered(layered.student.prepare({IMAGE: images()}), presence, presence)
    assert [tuple(q.shape) for q in output.fused] == [(4, 5 * 4)] * 3
    assert [tuple(h.shape) for h in output.projections] == [(4, 64)] * 3
    assert not output.modality
    assert list(layered.fused_auxiliaries) == ["stage1", "stage2", "stage3"]


def test_without_auxiliaries_the_very_same_student_is_left() -> None:
    layered = build()
    bare = layered.without_auxiliaries()
    assert bare.student is layered.student
    assert {id(p) for p in bare.parameters()} == {id(p) for p in layered.student.parameters()}
    presence = torch.ones(4, 1)
    assert bare(layered.student.prepare({IMAGE: images()}), presence, presence).fused == []


def test_views_are_normalised_one_by_one() -> None:
    layered = build().train()
    x = layered.student.prepare({IMAGE: images()})[IMAGE]
    both, presence = torch.cat([x, x.flip(4) * 3]), torch.ones(8, 1)
    together = layered.by_view({IMAGE: both}, presence, presence, views=2)
    for number, rows in enumerate((slice(0, 4), slice(4, 8))):
        alone = layered({IMAGE: both[rows]}, presence[rows], presence[rows])
        torch.testing.assert_close(together.trunk.logits[rows], alone.trunk.logits)
        for joined, part in zip(together.fused, alone.fused, strict=True):
            torch.testing.assert_close(joined[number * 4 : number * 4 + 4], part)


def test_in_bfloat16_losses_still_get_float32() -> None:
    layered = build("wrn_16_1")
    presence = torch.ones(4, 1)
    with torch.autocast("cpu", torch.bfloat16):
        output = layered(layered.student.prepare({IMAGE: images()}), presence, presence)
    assert output.trunk.maps[IMAGE][-1].dtype == torch.bfloat16
    said = [output.trunk.logits, *output.fused, *output.projections]
    assert {value.dtype for value in said} == {torch.float32}


def test_channels_last_changes_where_numbers_lie_and_not_what_they_are() -> None:
    layered, presence = build().eval(), torch.ones(4, 1)
    prepared = layered.student.prepare({IMAGE: images()})
    with torch.no_grad():
        before = layered(prepared, presence, presence)
        after = layered.to(memory_format=torch.channels_last)(prepared, presence, presence)
    torch.testing.assert_close(after.trunk.logits, before.trunk.logits)
    assert after.trunk.maps[IMAGE][0].is_contiguous(memory_format=torch.channels_last)
