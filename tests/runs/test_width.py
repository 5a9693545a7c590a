"""The width at which a student does so many times the work."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from sensorkd.encoding import InputEncoding
from sensorkd.errors import ConfigError
from sensorkd.models.frontend import ChannelStats
from sensorkd.models.size import SIZES
from sensorkd.runs import Run, RunConfig
from sensorkd.runs.build import adapters_for
from sensorkd.runs.width import macs_of, width_for
from sensorkd.training.checkpoint import save_tensors

torch.set_num_threads(1)

SHAKE = InputEncoding(
    modality="acceleration",
    dtype="float32",
    unit="m/s2",
    scale=1.0,
    offset=0.0,
    sample_shape=(3,),
    channels=("x", "y", "z"),
    steps=100,
    rate=100.0,
    span=1_000_000_000,
    valid_range=(-100.0, 100.0),
    resampling="linear",
)
ENCODINGS = {"shake": SHAKE, "heat": dataclasses.replace(SHAKE, modality="temperature", sample_shape=(1,))}
STATS = {
    name: ChannelStats((0.0,) * item.sample_shape[0], (1.0,) * item.sample_shape[0])
    for name, item in ENCODINGS.items()
}


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0, 4.0])
def test_a_student_of_that_width_does_so_many_times_the_work(factor: float) -> None:
    size, adapters = SIZES["tiny"], adapters_for(ENCODINGS, {})
    width = width_for(ENCODINGS, factor, classes=5, size=size)
    before, after = (
        macs_of(ENCODINGS, classes=5, size=one, adapters=adapters) for one in (size, size.widened(width))
    )
    assert after / before == pytest.approx(factor, rel=0.06)
    assert width == round(width, 2)
    if factor == 1:
        assert after == before


def test_the_options_of_a_run_count() -> None:
    """A spectrum has no width, so that the rest must grow more for twice the work."""
    spectral = adapters_for({"shake": SHAKE}, {"shake": {"features": "spectrum"}})
    with_spectrum = width_for({"shake": SHAKE}, 2, classes=5, size=SIZES["tiny"], adapters=spectral)
    assert with_spectrum > width_for({"shake": SHAKE}, 2, classes=5, size=SIZES["tiny"])


def test_what_no_width_gives_is_refused() -> None:
    for factor in (1000.0, 0.001):
        with pytest.raises(ConfigError, match=r"(?s)no student of this size.*near .*model\.size"):
            width_for(ENCODINGS, factor, classes=5, size=SIZES["tiny"])
    for factor in (0.0, -1.0, float("nan")):
        with pytest.raises(ConfigError, match="above 0"):
            width_for(ENCODINGS, factor, classes=5, size=SIZES["tiny"])


def run_of(folder: Path, config: RunConfig) -> Run:
    return Run(folder, config, ENCODINGS, STATS, ("a", "b"), {}, (0.5, 0.5))


def test_a_run_is_read_back_with_its_width_and_its_norm(
    tmp_path: Path, configured: Callable[..., RunConfig]
) -> None:
    inputs = {name: {"span": 1.0} for name in ENCODINGS}
    config = configured(inputs=inputs, model={"size": "tiny", "width": 1.5, "norm": "group"})
    run = run_of(tmp_path, config)
    run.save()
    student = run.fresh_student()
    assert student.encoder("shake").widths == (36, 72, 96)
    save_tensors(tmp_path / "averaged.safetensors", student.state_dict(), {})
    again = Run.load(tmp_path).student()
    examples = {name: torch.randn(3, *encoding.shape) for name, encoding in ENCODINGS.items()}
    assert torch.equal(again(examples, torch.ones(3, 2))[0], student.eval()(examples, torch.ones(3, 2))[0])


def test_auxiliaries_are_as_the_configuration_says(
    tmp_path: Path, configured: Callable[..., RunConfig]
) -> None:
    inputs = {name: {"span": 1.0} for name in ENCODINGS}
    full, light = (
        run_of(tmp_path, configured(inputs=inputs, model={"auxiliary_depth": depth})).fresh_layered()
        for depth in ("full", "light")
    )
    features = ("modality_auxiliaries.shake.stage1.features",)
    assert any(name.startswith(features) for name in full.state_dict())
    assert not any(".features." in name for name in light.state_dict())
    assert full.student.state_dict().keys() == light.student.state_dict().keys()
    grouped = run_of(tmp_path, configured(inputs=inputs, model={"norm": "group"})).fresh_layered()
    assert not any(isinstance(part, nn.BatchNorm1d) for part in grouped.modules())


def test_transforms_are_as_the_configuration_says(
    tmp_path: Path, configured: Callable[..., RunConfig]
) -> None:
    chosen = {"shake": {"span": 1.0, "pretext": ["sign flip"]}, "heat": {"span": 1.0}}
    run = run_of(tmp_path, configured(inputs=chosen))
    assert [item.name for item in run.families["shake"]] == ["identity", "sign flip"]
    assert run.families["heat"] == run.adapters["heat"].pretext()
    assert run.fresh_layered().families == {"shake": 2, "heat": 4}
    wrong = {"shake": {"span": 1.0, "pretext": ["sign flop"]}, "heat": {"span": 1.0}}
    with pytest.raises(ConfigError, match=r"inputs\.shake\.pretext(.|\n)*did you mean 'sign flip'"):
        _ = run_of(tmp_path, configured(inputs=wrong)).families


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ({"width": 0}, "width"),
        ({"width": 9}, "width"),
        ({"width": "nan"}, "width"),
        ({"norm": "layer"}, "norm"),
        ({"auxiliary_depth": "deep"}, "auxiliary_depth"),
    ],
    ids=str,
)
def test_a_model_that_cannot_be_is_refused(
    refused: Callable[..., str], model: dict[str, object], told: str
) -> None:
    assert f"model.{told}" in refused(model=model)
