"""The teacher of a run: trained once, taken up, shared, and never one that knows more than the run may."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sensorkd.distillation.augmentation import Gain
from sensorkd.distillation.methods import method_named
from sensorkd.distillation.pretext import transform_all
from sensorkd.distillation.teacher import Teacher
from sensorkd.errors import ConfigError, RunError
from sensorkd.runs import Run, train_run
from sensorkd.runs.build import build_layered
from sensorkd.runs.data import as_dataset, plan_run, read_usable
from sensorkd.runs.stats import channel_stats
from sensorkd.runs.teacher import stats_of_teacher, teacher_for
from sensorkd.runs.trained_teacher import TeacherKind, ready_teacher
from sensorkd.training.batches import ArrayDataset
from sensorkd.training.checkpoint import load_tensors
from sensorkd.training.loop import Recipe
from tests.press_run import press_config

SHORT: dict[str, Any] = {"steps": 4, "epoch_steps": 2, "batch_size": 8}
Asked = Callable[..., Teacher]


@pytest.fixture(scope="module")
def told(press: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, ArrayDataset]:
    """A run that is described, and forty of its windows; nothing is trained."""
    folder = tmp_path_factory.mktemp("told")
    config = press_config(press, folder / "run", training=SHORT)
    planned = plan_run(config)
    reading = read_usable(planned, planned.rows("train")[::4][:40], config)
    run = Run(
        folder=folder,
        config=config,
        encodings=planned.encodings,
        stats=channel_stats(planned, config),
        classes=planned.classes,
        groups={side: getattr(planned.split, side) for side in ("train", "dev", "test")},
        trained_prior=(0.25, 0.5, 0.25),
        windows="a" * 32,
    )
    return run, as_dataset(reading.windows, planned.labels[reading.rows])


@pytest.fixture(scope="module")
def finished(told: tuple[Run, ArrayDataset], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain teacher that is there, for tests that leave it as it is."""
    run = dataclasses.replace(told[0], folder=tmp_path_factory.mktemp("finished"))
    teacher_for(run, told[1], recipe_of(run, "kd"))
    return run.folder / "teacher"


@pytest.fixture
def run(told: tuple[Run, ArrayDataset], tmp_path: Path) -> Run:
    config = told[0].config.model_copy(update={"out": str(tmp_path / "run")})
    return dataclasses.replace(told[0], folder=tmp_path / "run", config=config)


def recipe_of(run: Run, method: str = "hsakd") -> Recipe:
    return Recipe(
        method=method_named(method),
        config=run.config.training,
        families={name: adapter.pretext() for name, adapter in run.adapters.items()},
        augmentations=dict.fromkeys(run.adapters, ()),
        seed=run.config.seed,
    )


@pytest.fixture
def ask(run: Run, told: tuple[Run, ArrayDataset]) -> Asked:
    def teacher(method: str = "hsakd", of: Run = run, **options: Any) -> Teacher:
        return teacher_for(of, told[1], recipe_of(of, method), **options)

    return teacher


def says(teacher: Teacher, run: Run, windows: ArrayDataset) -> torch.Tensor:
    """Everything it says of six windows under two views."""
    layered = build_layered(run.fresh_student(), run.families, seed=0)
    batch = windows.__getitems__(list(range(6)))
    prepared = layered.student.prepare({name: batch[name] for name in layered.student.modalities})
    families = {name: adapter.pretext() for name, adapter in run.adapters.items()}
    presence = batch["presence"].repeat(2, 1)
    output = teacher.say(transform_all(prepared, families, [0, 2]), presence, presence, views=[0, 2])
    return torch.cat([value.flatten() for value in (output.trunk.logits, *output.fused)])


def lines(run: Run) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.folder / "teacher" / "metrics.jsonl").read_text().splitlines()]


def test_a_layered_teacher_is_a_larger_run_by_joint_labels(run: Run, ask: Asked) -> None:
    records: list[dict[str, Any]] = []
    notes: list[str] = []
    teacher = ask(on_record=records.append, on_note=notes.append)
    found = Run.load(run.folder / "teacher")
    assert (found.config.model.size, found.config.method.name) == ("small", "sad")
    assert found.config.training == run.config.training
    assert (found.windows, found.stats, found.classes) == (run.windows, run.stats, run.classes)
    assert len(teacher.statistics) == teacher.network.transforms == 4
    tensors = load_tensors(found.folder / "last.safetensors")[0]
    for name, value in teacher.network.state_dict().items():
        assert torch.equal(value, tensors[f"network.{name}"])
    (record,) = records
    cost = record["teacher"]
    steps = [line["seconds"] for line in lines(run) if "step" in line]
    assert len(steps) == 2
    assert cost["seconds"] > sum(steps)
    assert (cost["size"], cost["method"], cost["steps"], cost["shared"]) == ("small", "sad", 4, False)
    assert cost["parameters"] == sum(p.numel() for p in found.fresh_student().parameters())
    assert 0 <= cost["train_accuracy"] <= 1
    assert notes == [f"training the teacher first (small, by sad): {found.folder}"]


def test_a_plain_teacher_is_the_student_that_a_larger_run_by_labels_would_ship(run: Run, ask: Asked) -> None:
    teacher = ask("kd")
    found = Run.load(run.folder / "teacher")
    assert found.config.method.name == "ce"
    shipped = found.student().state_dict()
    for name, value in teacher.network.student.state_dict().items():
        assert torch.equal(value, shipped[name])
    assert not teacher.network.fused_auxiliaries


def test_verdicts_are_taught_by_what_ships_and_stages_by_statistics_of_such_windows_as_ship(
    run: Run, told: tuple[Run, ArrayDataset]
) -> None:
    network, names = run.fresh_layered(), list(run.families)

    def ready(kind: TeacherKind, augmentations: dict[str, Any] | None) -> Teacher:
        cpu = torch.device("cpu")
        return ready_teacher(
            network, kind, told[1], families=run.families, augmentations=augmentations, device=cpu
        )

    assert ready("plain", None).statistics == ()
    logged, again = ready("layered", None), ready("layered", None)
    louder = ready("layered", dict.fromkeys(names, (Gain(12.0),)))
    assert len(logged.statistics) == network.transforms
    key = next(name for name in logged.statistics[0] if name.endswith("running_var"))
    assert torch.equal(logged.statistics[0][key], again.statistics[0][key])
    assert not torch.allclose(logged.statistics[0][key], louder.statistics[0][key])


def test_what_is_there_is_not_trained_again_and_its_cost_is_told_once(
    run: Run, ask: Asked, told: tuple[Run, ArrayDataset]
) -> None:
    records: list[dict[str, Any]] = []
    first = ask(on_record=records.append)
    (run.folder / "metrics.jsonl").write_text(json.dumps(records[0]) + "\n")
    again = ask(on_record=records.append, on_step=lambda *_: pytest.fail("it was trained again"))
    assert torch.equal(says(first, run, told[1]), says(again, run, told[1]))
    assert len(records) == 1


def test_one_that_was_cut_off_is_taken_up_and_ends_the_same(
    run: Run, ask: Asked, told: tuple[Run, ArrayDataset], tmp_path: Path
) -> None:
    whole = ask()

    class KilledError(Exception):
        pass

    def kill(step: int, *_: Any) -> None:
        if step == 3:
            raise KilledError

    other = dataclasses.replace(run, folder=tmp_path / "other")
    with pytest.raises(KilledError):
        ask(of=other, on_step=kill)
    steps: list[int] = []
    resumed = ask(of=other, on_step=lambda step, *_: steps.append(step))
    assert steps == [3, 4]
    assert torch.equal(says(whole, run, told[1]), says(resumed, run, told[1]))


def test_a_folder_with_another_teacher_is_refused_and_kept(run: Run, ask: Asked, finished: Path) -> None:
    shutil.copytree(finished, run.folder / "teacher")
    ask("kd", on_step=lambda *_: pytest.fail("it was trained again"))
    before = {path.name: path.read_bytes() for path in (run.folder / "teacher").iterdir()}
    with pytest.raises(RunError, match="holds another teacher") as caught:
        ask("hsakd")
    assert "sad" in str(caught.value.expected)
    relabelled = dataclasses.replace(run, windows="0" * 32)
    with pytest.raises(RunError, match=r"holds another teacher(.|\n)*windows 00000000"):
        ask("kd", of=relabelled)
    assert {path.name: path.read_bytes() for path in (run.folder / "teacher").iterdir()} == before


def test_a_finished_run_can_teach_others_of_the_same_windows(
    run: Run, ask: Asked, told: tuple[Run, ArrayDataset], tmp_path: Path
) -> None:
    """Another seed, another method: the same teacher, and its cost as it was."""
    own = ask()
    config = run.config.model_copy(update={"seed": 5, "out": str(tmp_path / "five")})
    other = dataclasses.replace(run, folder=tmp_path / "five", config=config)
    shared, records = str(run.folder / "teacher"), list[dict[str, Any]]()
    for method in ("hsakd", "sskd", "kd"):
        teacher = ask(method, of=other, shared=shared, on_record=records.append)
    assert not (tmp_path / "five").exists()
    assert torch.equal(says(ask(of=other, shared=shared), run, told[1]), says(own, run, told[1]))
    assert not teacher.network.fused_auxiliaries, "kd needs verdicts alone"
    assert all(record["teacher"]["shared"] for record in records)
    assert all(record["teacher"]["seconds"] > 0 for record in records)
    assert stats_of_teacher(shared) == run.stats
    assert stats_of_teacher(None) is None


@pytest.mark.parametrize(
    ("changes", "told_of"),
    [
        ({"windows": "0" * 32}, "training windows and labels"),
        ({"classes": ("hot", "ok", "torn")}, "classes"),
        ({"trained_prior": (0.5, 0.25, 0.25)}, "class shares"),
    ],
)
def test_a_run_that_knows_other_labels_cannot_teach(
    run: Run, ask: Asked, finished: Path, changes: dict[str, Any], told_of: str
) -> None:
    other = dataclasses.replace(run, **changes)
    with pytest.raises(RunError, match="not of the same windows, labels and inputs") as caught:
        ask("kd", of=other, shared=str(finished))
    assert list(caught.value.found) == [told_of]  # type: ignore[call-overload]
    assert caught.value.inside == "method.teacher_run"


def test_weights_that_were_chosen_by_what_is_judged_cannot_teach(
    run: Run, ask: Asked, told: tuple[Run, ArrayDataset]
) -> None:
    training = run.config.training.model_copy(update={"weights": "best"})
    config = run.config.model_copy(update={"training": training})
    chosen = dataclasses.replace(run, config=config, groups={**run.groups, "dev": ("p4",), "test": ()})
    teacher_for(chosen, told[1], recipe_of(chosen, "kd"), dev=told[1])
    shared = str(chosen.folder / "teacher")
    judged = dataclasses.replace(run, folder=run.folder.parent / "judged")
    assert "p4" in judged.groups["test"]
    with pytest.raises(RunError, match="this run is to be judged by") as caught:
        ask("kd", of=judged, shared=shared)
    assert "p4" in str(caught.value.found)
    judged.folder.mkdir()
    ask("kd", of=dataclasses.replace(judged, groups={**run.groups, "test": ()}), shared=shared)


def test_a_run_behind_other_frontends_cannot_teach(run: Run, ask: Asked, finished: Path) -> None:
    """Floats are prepared once, by the student's."""
    stats = {**run.stats, "heat": dataclasses.replace(run.stats["heat"], mean=(1.0,))}
    with pytest.raises(RunError, match="frontend constants"):
        ask("kd", of=dataclasses.replace(run, stats=stats), shared=str(finished))


def test_a_run_without_auxiliaries_teaches_verdicts_alone(ask: Asked, finished: Path) -> None:
    ask("kd", shared=str(finished))
    with pytest.raises(RunError, match="no auxiliaries, or others") as caught:
        ask("hsakd", shared=str(finished))
    assert "method ce" in str(caught.value.found)


def test_a_run_that_was_not_finished_cannot_teach(ask: Asked, finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "begun")
    (tmp_path / "begun" / "averaged.safetensors").unlink()
    with pytest.raises(RunError, match="not finished"):
        ask("kd", shared=str(tmp_path / "begun"))
    with pytest.raises(RunError, match="not a run folder"):
        ask("kd", shared=str(tmp_path / "nobody"))


def test_the_size_can_be_chosen_and_the_largest_student_has_none_above(run: Run, ask: Asked) -> None:
    assert ask("kd", size="tiny").network.student.classifier.in_features == 64
    largest = run.config.model.model_copy(update={"size": "small"})
    config = run.config.model_copy(update={"model": largest})
    other = dataclasses.replace(run, folder=run.folder.parent / "other", config=config)
    with pytest.raises(ConfigError, match="no size is larger") as caught:
        ask("kd", of=other)
    assert caught.value.inside == "method.teacher_size"
    assert not other.folder.exists()
    with pytest.raises(ConfigError, match="no model size 'huge'"):
        ask("kd", of=other, size="huge")


def test_a_method_without_a_teacher_asks_for_none(ask: Asked) -> None:
    with pytest.raises(ConfigError, match="has no teacher"):
        ask("lsskd")


def test_the_teacher_sees_the_labels_of_the_run_and_no_others(
    run: Run, told: tuple[Run, ArrayDataset]
) -> None:
    """The very windows it is given are those it is trained on, few as they are."""
    few = told[1].select(np.arange(9))
    teacher_for(run, few, recipe_of(run, "kd"))
    about = load_tensors(run.folder / "teacher" / "last.safetensors")[1]
    assert about["identity"]["windows"] == 9


def test_a_run_is_taught_from_its_configuration(press: Path, tmp_path: Path) -> None:
    """By a teacher of its own, whose cost stands first in its log; then another seed by the same one."""
    training = {"steps": 2, "batch_size": 8}
    first = train_run(press_config(press, tmp_path / "one", method={"name": "hsakd"}, training=training))
    shared = str(first.folder / "teacher")
    method = {"name": "sskd", "teacher_run": shared}
    second = train_run(press_config(press, tmp_path / "two", method=method, training=training, seed=3))
    assert second.stats == first.stats
    assert not (second.folder / "teacher").exists()
    for run, term in ((first, "joint"), (second, "relation")):
        log = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
        assert log[0]["teacher"]["run"] == shared
        assert log[1][term] > 0
        # What ships is a tiny student, whoever taught it.
        assert sum(p.numel() for p in run.student().parameters()) < log[0]["teacher"]["parameters"]


def test_a_run_that_was_cut_off_while_its_teacher_learned_is_resumed_like_any_other(
    press: Path, tmp_path: Path
) -> None:
    told = {"method": {"name": "hsakd"}, "training": {"steps": 4, "epoch_steps": 2, "batch_size": 8}}
    whole = train_run(press_config(press, tmp_path / "whole", **told))

    class KilledError(Exception):
        pass

    def kill(step: int, *_: Any) -> None:
        if step == 3:
            raise KilledError

    config = press_config(press, tmp_path / "cut", **told)
    with pytest.raises(KilledError):
        train_run(config, on_step=kill)
    assert (tmp_path / "cut" / "teacher").is_dir()
    steps: list[int] = []
    resumed = train_run(config, resume=True, on_step=lambda step, *_: steps.append(step))
    # The teacher goes on from its first epoch, and then the student begins.
    assert steps == [3, 4, 1, 2, 3, 4]
    before, after = (run.student().state_dict() for run in (whole, resumed))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_what_the_loop_would_refuse_is_told_before_a_teacher_is_trained(
    press: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensorkd.runs.train.teacher_for", pytest.fail)
    config = press_config(press, tmp_path / "run", method={"name": "hsakd", "views": 9})
    with pytest.raises(ConfigError, match="more views than there are transforms"):
        train_run(config)
