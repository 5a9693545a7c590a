"""A run on plain images from configuration to result: trained, resumed, refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from filelock import FileLock
from safetensors.torch import load_file

from sensorkd.distillation.methods import METHODS
from sensorkd.errors import ConfigError, RunError
from sensorkd.images.config import ImageRunConfig
from sensorkd.images.config_file import load_image_config
from sensorkd.images.run import run_images
from sensorkd.models.image_networks import network_named
from sensorkd.models.plain import IMAGE, plain_student
from sensorkd.models.plain_layered import layered_plain
from sensorkd.training.optimiser import learning_rate_at
from tests.images.conftest import write_hdf5

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "examples" / "images").glob("*.yaml"))


class CutOffError(Exception):
    pass


def configured(path: Path, out: Path, **changes: Any) -> ImageRunConfig:
    training = {"steps": 4, "epoch_steps": 2, "batch_size": 6, "learning_rate": 0.02, "weights": "last"}
    tree = {
        "data": str(path),
        "format": "hdf5",
        "student": "resnet8",
        "side": 16,
        "out": str(out),
        **changes,
        "training": {**training, **changes.get("training", {})},
    }
    return ImageRunConfig.model_validate(tree)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_hdf5(tmp_path_factory.mktemp("data") / "images.h5", train=24, test=12, side=16)


def test_colours_are_learned_and_the_result_is_told(data: Path, tmp_path: Path) -> None:
    sgd = {"steps": 20, "epoch_steps": 10, "optimiser": "sgd", "batch_size": 12}
    config = configured(data, tmp_path / "run", method={"name": "ce"}, training=sgd)
    result = run_images(config)
    assert result["accuracy"] > 0.9
    assert {"nll", "ece", "macro_f1", "seconds", "labelled", "parameters"} <= result.keys()
    assert json.loads((tmp_path / "run" / "result.json").read_text()) == result
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 3
    # A finished run is not trained again.
    assert run_images(config, on_step=lambda *_: pytest.fail("trained again")) == result


def test_a_run_notes_what_its_labels_cannot_tell_and_what_its_cpu_is_slow_at(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "AVX2")
    notes: list[str] = []
    training = {"precision": "bf16"}
    config = configured(data, tmp_path, method={"name": "lsskd"}, labels_share=0.5, training=training)
    run_images(config, on_note=notes.append)
    precision, guesses = notes
    assert "training.precision=fp32" in precision
    assert "doubt" in guesses


def works_alone(name: str) -> bool:
    return METHODS[name].teacher == "none"


@pytest.mark.parametrize("name", [name for name in METHODS if works_alone(name)])
def test_every_method_without_a_teacher_trains_a_plain_student(data: Path, tmp_path: Path, name: str) -> None:
    config = configured(data, tmp_path, method={"name": name}, labels_share=0.5)
    assert run_images(config)["labelled"] == 12
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    first = next(record for record in records if "step" in record)
    assert "cross" not in first
    assert ("sad" in first) == (METHODS[name].sad > 0)


def test_methods_differ_in_what_is_trained_and_not_in_what_ships(data: Path, tmp_path: Path) -> None:
    shipped = []
    for name in ("ce", "lsskd"):
        run_images(configured(data, tmp_path / name, method={"name": name}))
        tensors = load_file(tmp_path / name / "final.safetensors")
        shipped.append({key: tuple(value.shape) for key, value in tensors.items()})
    assert shipped[0] == shipped[1]


def test_a_run_that_was_cut_off_ends_as_if_it_had_not_been(data: Path, tmp_path: Path) -> None:
    method = {"name": "lsskd", "warmup": 0.1}
    whole = run_images(configured(data, tmp_path / "whole", method=method))

    def stop(step: int, *_: object) -> None:
        if step == 3:
            raise CutOffError

    cut = configured(data, tmp_path / "cut", method=method)
    with pytest.raises(CutOffError):
        run_images(cut, on_step=stop)
    resumed = run_images(cut)
    tensors = [load_file(tmp_path / name / "final.safetensors") for name in ("whole", "cut")]
    assert all(torch.equal(value, tensors[1][name]) for name, value in tensors[0].items())
    assert {**whole, "seconds": 0} == {**resumed, "seconds": 0}


def test_a_folder_with_another_run_is_refused(data: Path, tmp_path: Path) -> None:
    run_images(configured(data, tmp_path, method={"name": "ce"}))
    with pytest.raises(RunError, match="another configuration") as caught:
        run_images(configured(data, tmp_path, method={"name": "ce"}, seed=1))
    assert caught.value.found == {"seed": 0}
    # Written before there was an option, it is the same run still.
    path = Path(configured(data, tmp_path).out) / "config.json"
    told = json.loads(path.read_text())
    del told["method"]["doubt"], told["padding"]
    path.write_text(json.dumps(told))
    assert run_images(configured(data, tmp_path, method={"name": "ce"}))["seed"] == 0
    path.write_text("{")
    with pytest.raises(RunError, match="damaged"):
        run_images(configured(data, tmp_path, method={"name": "ce"}))


def test_a_finished_run_is_not_passed_off_as_one_by_other_numbers(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(data, tmp_path, method={"name": "label_smoothing"})
    run_images(config)
    # Said or not, it is the same number.
    same = configured(data, tmp_path, method={"name": "label_smoothing", "smoothing": 0.1})
    assert run_images(same)["method"] == "label_smoothing"
    changed = dataclasses.replace(METHODS["label_smoothing"], smoothing=0.2)
    monkeypatch.setitem(METHODS, "label_smoothing", changed)
    with pytest.raises(RunError, match="another configuration") as caught:
        run_images(config)
    assert caught.value.found == {"method.smoothing": 0.1}
    assert caught.value.expected == {"method.smoothing": 0.2}
    assert run_images(same)
    # A run of an earlier version did not tell its numbers, and can be read.
    path = tmp_path / "config.json"
    told = json.loads(path.read_text())
    del told["numbers"]
    path.write_text(json.dumps(told))
    assert run_images(config)


def test_a_run_that_another_process_is_at_is_left_alone(data: Path, tmp_path: Path) -> None:
    config = configured(data, tmp_path, method={"name": "ce"})
    Path(config.out).mkdir(parents=True, exist_ok=True)
    with FileLock(Path(config.out) / ".lock"), pytest.raises(RunError, match="another process"):
        run_images(config)


def test_epochs_count_passes_over_the_labelled_images(data: Path, tmp_path: Path) -> None:
    training = configured(data, tmp_path, epochs=5).training_of(24)
    assert (training.steps, training.epoch_steps) == (20, 2)
    assert configured(data, tmp_path).training_of(24).steps == 4
    # Twice as long, however the length is told.
    assert configured(data, tmp_path, epochs=5).lengthened(2).training_of(24).steps == 40
    assert configured(data, tmp_path).lengthened(2).training_of(24).steps == 8


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_configuration_takes_a_step(
    path: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On generated images; Tiny ImageNet and ImageNet with the smallest network (the full one is below)."""
    monkeypatch.setenv("SENSORKD_DATA", str(tmp_path))
    fixture = {"hdf5": "hdf5", "folder": "tree", "tiny_imagenet": "tiny", "cifar100_binary": "cifar"}
    form = yaml.safe_load(path.read_text())["format"]
    source = request.getfixturevalue(fixture[form])
    short = [f"data={source}", f"out={tmp_path / 'run'}", "threads=1", "training.batch_size=2"]
    short += ["training.max_steps=1"]
    if form == "folder":
        short += ["side=72", "size=64"]
    if form in ("folder", "tiny_imagenet"):
        # A checkpoint of all auxiliaries of ResNet-18 is half a gigabyte.
        short += ["student=resnet8", "teacher_student=null"]
    config = load_image_config(path, short)
    assert config.method.name == "lsskd"
    assert run_images(config)["images"] > 0
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert {"sad", "deep", "feat"} <= records[0].keys()


@pytest.mark.parametrize("name", ["cifar100", "tiny_imagenet", "imagenet"])
def test_the_large_configurations_soften_labels_as_published(name: str) -> None:
    path = ROOT / "examples" / "images" / f"{name}.yaml"
    method = load_image_config(path).resolved_method
    assert (method.earlier, method.alpha, method.warmup, method.views) == ("snapshot", 0.8, 0.0, 4)
    assert [method.alpha_at(step, 100) for step in (0, 50)] == [0.0, 0.4]
    assert not method.unlabelled
    assert not method.doubt
    # Another method takes the place of its numbers, and has a teacher where it needs one.
    for other in METHODS:
        resolved = load_image_config(path, [f"method={{name: {other}}}"]).resolved_method
        assert resolved == dataclasses.replace(METHODS[other], cross=0.0)


def test_imagenet_is_trained_as_published() -> None:
    config = load_image_config(ROOT / "examples" / "images" / "imagenet.yaml")
    training = config.training_of(1_281_167)
    assert (training.steps, training.epoch_steps, training.nesterov) == (100 * 5004, 5004, False)
    rates = [learning_rate_at(step, training.steps, training) for step in range(0, training.steps, 5004)]
    assert rates == pytest.approx([0.1] * 30 + [0.01] * 30 + [0.001] * 30 + [0.0001] * 10)


def test_a_last_visit_counts_until_the_next_however_long_a_pass_is(data: Path, tmp_path: Path) -> None:
    config = configured(data, tmp_path, method={"name": "ps_kd"})
    assert config.method_for(1_281_167).max_age == 2 * (1_281_167 // 6)
    assert config.method_for(24).max_age == METHODS["ps_kd"].max_age
    # Images without a label that the method does not use are no part of a pass.
    assert config.method_for(24, 1_000_000).max_age == METHODS["ps_kd"].max_age
    told = configured(data, tmp_path, method={"name": "ps_kd", "max_age": 5})
    assert told.method_for(1_281_167).max_age == 5


@pytest.mark.parametrize("name", ["tiny_imagenet", "imagenet"])
def test_the_large_configurations_teach_every_stage_of_the_full_network(name: str) -> None:
    config = load_image_config(ROOT / "examples" / "images" / f"{name}.yaml", ["training.device=cpu"])
    network = network_named(config.student)
    student = plain_student(network, classes=200, stats=config.stats, size=config.seen, seed=0)
    layered = layered_plain(student, transforms=4, seed=0).train()
    x = {IMAGE: torch.zeros(4, 3, 1, 64, 64)}
    output = layered.by_view(x, torch.ones(4, 1), torch.ones(4, 1), views=2)
    assert config.resolved_method.cross == 0
    sum(value.square().mean() for value in [output.trunk.logits, *output.fused]).backward()
    assert len(output.fused) == 4
    assert all(parameter.grad is not None for parameter in layered.parameters())


def test_data_of_a_file_is_relative_to_the_file_unless_it_is_overridden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("{data: images.h5, format: hdf5, student: resnet8, out: here}")
    assert load_image_config(path).data == str(tmp_path / "images.h5")
    assert load_image_config(path, ["data=other.h5"]).data == "other.h5"
    taught = "method: {name: kd, teacher_run: ../taught}"
    path.write_text(f"{{data: images.h5, format: hdf5, student: resnet8, out: here, {taught}}}")
    assert load_image_config(path).method.teacher_run == str(tmp_path.parent / "taught")
    monkeypatch.setenv("IMAGES", "/somewhere")
    path.write_text("{data: $IMAGES/images.h5, format: hdf5, student: resnet8, out: here}")
    assert load_image_config(path).data == "/somewhere/images.h5"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("student=wrn16_2", "did you mean 'wrn_16_2'"),
        ("method.name=hsakd", "needs a teacher"),
        ("method.name=kd", "teacher_student"),
        ("teacher_student=resnet9", "no image network 'resnet9'"),
        ("method={name: kd, teacher_size: small}", "teacher_student"),
        ("size=64", "more than side"),
        ("method.name=lskd", "no method 'lskd'"),
        ("colour=red", "colour"),
        ("std=[0, 1, 1]", "above 0"),
        ("format=zip", "cifar100_binary"),
        ("training.weights=best", "images have none of"),
        ("seed=4294967296", "less than 4294967296"),
    ],
)
def test_a_mistake_in_a_configuration_is_told(tmp_path: Path, change: str, said: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("{data: images.h5, format: hdf5, student: resnet8, out: here}")
    with pytest.raises(ConfigError, match=said):
        load_image_config(path, [change])


def test_a_damaged_result_is_told_and_made_anew(data: Path, tmp_path: Path) -> None:
    config = configured(data, tmp_path, method={"name": "ce"})
    before = run_images(config)
    path = Path(config.out) / "result.json"
    path.write_text("")
    with pytest.raises(RunError, match="the result of the run is damaged") as caught:
        run_images(config)
    assert caught.value.file == str(path)
    path.unlink()
    assert {**run_images(config), "seconds": 0} == {**before, "seconds": 0}
