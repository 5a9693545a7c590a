"""The teacher of an image run: trained once, taken up, shared, and never one that knows more."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from sensorkd.errors import ConfigError, RunError
from sensorkd.images.config import ImageRunConfig
from sensorkd.images.config_file import load_image_config
from sensorkd.images.dataset import open_images
from sensorkd.images.run import run_images
from sensorkd.images.teacher import loaded_teacher, own_teacher, shared_teacher
from sensorkd.models.plain import IMAGE
from tests.images.conftest import write_hdf5
from tests.images.test_run import CutOffError, configured

TEACHER = "resnet8x2"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_hdf5(tmp_path_factory.mktemp("data") / "images.h5", train=24, test=12, side=16)


def taught(data: Path, out: Path, method: str, **changes: Any) -> ImageRunConfig:
    told = {"method": {"name": method}, "teacher_student": TEACHER, **changes}
    return configured(data, out, **told)


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run by hsakd, and in it a layered teacher; for tests that leave both as they are."""
    out = tmp_path_factory.mktemp("finished") / "run"
    run_images(taught(data, out, "hsakd", training={"norms": "augmented"}))
    return out


def log_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("method", "by", "terms"),
    [("kd", "ce", {"kd"}), ("sskd", "sad", {"kd", "relation"}), ("hsakd", "sad", {"kd", "joint"})],
)
def test_a_teacher_is_trained_first_and_its_seconds_count(
    data: Path, tmp_path: Path, method: str, by: str, terms: set[str]
) -> None:
    result = run_images(taught(data, tmp_path / "run", method))
    teacher = json.loads((tmp_path / "run" / "teacher" / "result.json").read_text())
    assert (teacher["method"], teacher["student"]) == (by, TEACHER)
    cost, *epochs, _ = log_of(tmp_path / "run")
    assert all(terms <= epoch.keys() for epoch in epochs)
    assert cost["teacher"] == result["teacher"]
    assert not cost["teacher"]["shared"]
    own = sum(epoch["seconds"] for epoch in epochs)
    assert result["seconds"] == pytest.approx(own + cost["teacher"]["seconds"])
    assert cost["teacher"]["seconds"] >= teacher["seconds"] > 0
    assert cost["teacher"]["accuracy"] == teacher["accuracy"]
    # What ships is the small student, whoever taught it.
    assert result["student"] == "resnet8"
    assert result["parameters"] < cost["teacher"]["parameters"]


def test_a_run_cut_off_while_its_teacher_learned_ends_as_if_it_had_not_been(
    data: Path, tmp_path: Path
) -> None:
    whole = run_images(taught(data, tmp_path / "whole", "hsakd"))

    def stop(step: int, *_: object) -> None:
        if step == 3:
            raise CutOffError

    cut = taught(data, tmp_path / "cut", "hsakd")
    with pytest.raises(CutOffError):
        run_images(cut, on_step=stop)
    steps: list[int] = []
    resumed = run_images(cut, on_step=lambda step, *_: steps.append(step))
    # The teacher goes on from its first epoch, and then the student begins.
    assert steps == [3, 4, 1, 2, 3, 4]
    tensors = [load_file(tmp_path / name / "final.safetensors") for name in ("whole", "cut")]
    assert all(torch.equal(value, tensors[1][name]) for name, value in tensors[0].items())
    assert whole["accuracy"] == resumed["accuracy"]
    # The student is taken up by itself.
    (tmp_path / "cut" / "result.json").unlink()
    run_images(cut, on_step=lambda *_: pytest.fail("trained again"))


def test_a_finished_run_can_teach_others(data: Path, tmp_path: Path, finished: Path) -> None:
    """Another seed, another method: the same teacher, and its cost as it was."""
    for method in ("sskd", "kd"):
        told = {"name": method, "teacher_run": str(finished / "teacher")}
        result = run_images(configured(data, tmp_path / method, method=told, seed=5))
        assert result["teacher"]["shared"]
        assert result["seconds"] > result["teacher"]["seconds"] > 0
        assert not (tmp_path / method / "teacher").exists()


@pytest.mark.parametrize(
    ("changes", "told_of"),
    [
        ({"labels_share": 0.5}, ["labels_share", "seed"]),
        ({"mean": (0.5, 0.5, 0.5)}, ["mean"]),
        ({"data": "elsewhere.h5"}, ["data"]),
    ],
)
def test_a_run_that_saw_other_images_or_labels_cannot_teach(
    data: Path, tmp_path: Path, finished: Path, changes: dict[str, Any], told_of: list[str]
) -> None:
    method = {"name": "kd", "teacher_run": str(finished / "teacher")}
    run = configured(data, tmp_path / "run", method=method).model_copy(update=changes)
    with pytest.raises(RunError, match="not of the same images and labels") as caught:
        shared_teacher(run)
    assert list(caught.value.found) == told_of  # type: ignore[call-overload]
    assert caught.value.inside == "method.teacher_run"


def test_only_a_finished_image_run_can_teach(data: Path, tmp_path: Path, finished: Path) -> None:
    shutil.copytree(finished / "teacher", tmp_path / "begun")
    (tmp_path / "begun" / "result.json").unlink()
    for folder, said in (("begun", "not finished"), ("nobody", "not the folder of an image run")):
        method = {"name": "kd", "teacher_run": str(tmp_path / folder)}
        with pytest.raises(RunError, match=said):
            shared_teacher(configured(data, tmp_path / "run", method=method))


def test_a_run_without_auxiliaries_teaches_verdicts_alone(data: Path, tmp_path: Path) -> None:
    plain = configured(data, tmp_path / "plain", method={"name": "ce"}, student=TEACHER)
    run_images(plain)
    images = open_images(data, "hdf5", side=16)
    for method, layered in (("kd", False), ("hsakd", True)):
        told = {"name": method, "teacher_run": plain.out}
        config = configured(data, tmp_path / method, method=told)
        if not layered:
            teacher = loaded_teacher(shared_teacher(config), config, images.train, classes=3)
            shipped = load_file(Path(plain.out) / "final.safetensors")
            for name, value in teacher.network.student.state_dict().items():
                torch.testing.assert_close(value, shipped[name])
            continue
        with pytest.raises(RunError, match="no auxiliaries, or others"):
            run_images(config)


def test_every_view_is_answered_by_statistics_of_its_own(data: Path, finished: Path) -> None:
    """A new pass of the same images leaves them as they are; those of training mix the views."""
    config = taught(data, finished, "hsakd", training={"norms": "augmented"})
    images = open_images(data, "hdf5", side=16).train
    run = own_teacher(config)
    teacher, again = (loaded_teacher(run, config, images, classes=3) for _ in range(2))
    logged = loaded_teacher(run, taught(data, finished, "hsakd"), images, classes=3)
    norms = {name for name in teacher.network.state_dict() if name.endswith("running_mean")}
    assert len(teacher.statistics) == 4
    for view, some in enumerate(teacher.statistics):
        assert {name for name in some if name.endswith("running_mean")} == norms
        assert all(torch.equal(value, again.statistics[view][name]) for name, value in some.items())
        for name in ("student.image_encoder", "fused_auxiliaries"):
            mine = next(key for key in sorted(some, reverse=True) if key.startswith(name))
            others = [teacher.statistics[other] for other in range(4) if other != view]
            others += [logged.statistics[view], teacher.network.state_dict()]
            assert not any(torch.equal(some[mine], other[mine]) for other in others)
    # Those of the identity are those that ship.
    for name, value in load_file(finished / "teacher" / "final.safetensors").items():
        if "running" in name:
            torch.testing.assert_close(teacher.statistics[0][f"student.{name}"], value)
    prepared = teacher.network.student.prepare({IMAGE: images.__getitems__([0, 1])["image"]})[IMAGE]
    said = teacher.say(
        {IMAGE: torch.cat([prepared, prepared.rot90(1, (3, 4))])},
        torch.ones(4, 1),
        torch.ones(4, 1),
        views=[0, 1],
    )
    assert said.fused[-1].shape == (4, 12)
    assert not said.fused[-1].requires_grad


def test_the_network_of_a_teacher_is_an_offer_that_other_methods_leave_alone(
    data: Path, tmp_path: Path
) -> None:
    first = run_images(configured(data, tmp_path, method={"name": "ce"}))
    assert run_images(taught(data, tmp_path, "ce")) == first
    assert not (tmp_path / "teacher").exists()
    # To one that needs it, it is no mere offer.
    run = taught(data, tmp_path / "kd", "kd")
    run_images(run)
    with pytest.raises(RunError, match="another configuration") as caught:
        run_images(run.model_copy(update={"teacher_student": "resnet14"}))
    assert caught.value.found == {"teacher_student": TEACHER}


def test_networks_of_unlike_depth_are_refused_before_a_teacher_is_trained(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("{data: images.h5, format: hdf5, student: resnet8, teacher_student: resnet18, out: here}")
    with pytest.raises(ConfigError, match="stage teaches stage"):
        load_image_config(path, ["method.name=hsakd"])
    assert load_image_config(path, ["method.name=kd"]).teacher_student == "resnet18"


def test_what_the_loop_would_refuse_is_told_before_a_teacher_is_trained(data: Path, tmp_path: Path) -> None:
    method = {"name": "hsakd", "views": 9}
    run = configured(data, tmp_path / "run", method=method, teacher_student=TEACHER)
    with pytest.raises(ConfigError, match="more views than there are transforms"):
        run_images(run)
    assert not (tmp_path / "run" / "teacher").exists()
