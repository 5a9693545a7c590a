"""Group norm in place of batch norm: in the student, around it, and in what ships."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from sensorkd.encoding import InputEncoding
from sensorkd.export.onnx import export_onnx
from sensorkd.models.auxiliary import MapAuxiliary
from sensorkd.models.encoders import SignalEncoder, VideoEncoder
from sensorkd.models.frontend import ChannelStats
from sensorkd.models.layered import LayeredStudent
from sensorkd.models.norms import norm_layer, settled_norms
from sensorkd.models.size import SIZES, ModelSize
from sensorkd.models.spectrum import SpectrumEncoder
from sensorkd.runs.build import adapters_for, build_layered, build_student, families_of
from sensorkd.training.batches import ArrayDataset
from sensorkd.training.inference import recompute_norms

SIZE = dataclasses.replace(SIZES["tiny"], norm="group")
# One stage: every operation that ships, in a third of the time to export.
FLAT = ModelSize("flat", (8,), (8,), embedding=16, norm="group")


def built(encodings: dict[str, InputEncoding], size: ModelSize) -> LayeredStudent:
    stats = {
        name: ChannelStats((0.0,) * e.sample_shape[-1], (3.0,) * e.sample_shape[-1])
        for name, e in encodings.items()
    }
    adapters = adapters_for(encodings, {})
    student = build_student(encodings, stats, adapters, classes="abcd", size=size, seed=0)
    return build_layered(student, families_of(adapters), seed=0, norm="group")


@pytest.fixture
def grouped(encodings: dict[str, InputEncoding]) -> LayeredStudent:
    return built(encodings, SIZE)


def kinds(module: nn.Module) -> set[type[nn.Module]]:
    found = (nn.GroupNorm, nn.modules.batchnorm._BatchNorm)
    return {type(part) for part in module.modules() if isinstance(part, found)}


@pytest.mark.parametrize(
    ("encoder", "shape"),
    [
        (SignalEncoder(2, (8, 12, 16), steps=40, norm="group"), (5, 2, 40)),
        (SpectrumEncoder(2, (8, 12), steps=200, bands=6, norm="group"), (5, 2, 200)),
        (VideoEncoder(2, (8, 12, 16), steps=9, norm="group"), (5, 2, 9, 12, 16)),
        (MapAuxiliary((8, 12), rank=1, labels=6, norm="group"), (5, 8, 20)),
        (MapAuxiliary((8, 12), rank=3, labels=6, norm="group"), (5, 8, 4, 6, 8)),
    ],
    ids=["signal", "spectrum", "video", "signal auxiliary", "video auxiliary"],
)
def test_with_group_norm_windows_know_nothing_of_each_other(
    encoder: nn.Module, shape: tuple[int, ...]
) -> None:
    assert kinds(encoder) == {nn.GroupNorm}
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    together, alone = encoder.train()(x), encoder(x[2:3])
    for whole, part in zip(_listed(together), _listed(alone), strict=True):
        assert torch.allclose(whole[2:3], part, atol=1e-5)


def _listed(value: Tensor | list[Tensor]) -> list[Tensor]:
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize("channels", [1, 4, 6, 12, 24, 40, 52, 64, 92, 100])
def test_groups_are_even_few_and_never_of_one_channel(channels: int) -> None:
    norm = norm_layer("group", channels, rank=1)
    assert isinstance(norm, nn.GroupNorm)
    assert channels % norm.num_groups == 0 and norm.num_groups <= 8
    assert channels // norm.num_groups >= min(channels, 4)
    if channels > 1:
        assert norm(torch.randn(1, channels, 1)).abs().sum() > 0


def test_a_whole_student_has_one_kind_of_norm(grouped: LayeredStudent, layered: LayeredStudent) -> None:
    assert kinds(grouped) == {nn.GroupNorm}
    assert nn.GroupNorm not in kinds(layered)
    assert not any("running" in name for name in grouped.state_dict())
    assert kinds(grouped.with_families(dict.fromkeys(grouped.families, 1))) == {nn.GroupNorm}


def test_every_part_of_it_learns(grouped: LayeredStudent, inputs: dict[str, Tensor]) -> None:
    presence = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]]).float()
    output = grouped.train()(grouped.student.prepare(inputs), presence)
    heads = [head for stages in output.modality.values() for head in stages] + output.fused
    sum((head.square().sum() for head in heads), output.trunk.logits.square().sum()).backward()
    assert all(part.grad is not None and part.grad.isfinite().all() for part in grouped.parameters())


def test_there_is_nothing_to_recompute(grouped: LayeredStudent, inputs: dict[str, Tensor]) -> None:
    arrays = {name: values.numpy() for name, values in inputs.items()}
    windows = ArrayDataset(arrays, torch.ones(5, 3).numpy(), torch.zeros(5).long().numpy())
    before = {name: value.clone() for name, value in grouped.student.state_dict().items()}
    recompute_norms(grouped.student, windows)
    assert all(torch.equal(value, before[name]) for name, value in grouped.student.state_dict().items())


def test_it_ships_as_it_was_trained(
    encodings: dict[str, InputEncoding], inputs: dict[str, Tensor], tmp_path: Path
) -> None:
    del encodings["heat"], inputs["heat"]
    student = built(encodings, FLAT).student.eval()
    export_onnx(student, encodings, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    presence = torch.tensor([[1, 1], [1, 0], [0, 1], [0, 0], [1, 1]]).float()
    fed = {name: values.numpy() for name, values in inputs.items()} | {"presence": presence.numpy()}
    with torch.no_grad():
        logits, _ = student(inputs, presence)
    assert torch.allclose(torch.from_numpy(session.run(["logits"], fed)[0]), logits, atol=1e-4)


def test_settled_norms_wake_nothing_that_was_at_rest():
    """Dropout that an earlier self has switched off stays off."""
    block = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5), nn.BatchNorm1d(3)).train()
    block[1].eval()
    block[2].eval()
    with settled_norms(block):
        assert not any(part.training for part in block)
        block(torch.randn(1, 3, 1))
    assert [part.training for part in block] == [True, False, False]
