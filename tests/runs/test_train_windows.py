"""Which windows a run hands to the loop: with and without a label, and never of a group it is judged by."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from sensorkd.errors import RunError, WindowError
from sensorkd.evaluation.report import write_report
from sensorkd.runs import Run, RunConfig, train_run
from sensorkd.runs import train as room
from sensorkd.runs.data import plan_run
from sensorkd.runs.run import LOG
from sensorkd.training.checkpoint import load_tensors
from sensorkd.training.cross_validation import RECORD, CrossValidation, cross_validate
from sensorkd.training.log import TrainingLog
from tests.press_run import press_config, write_press

SPLIT = {"by": "machine", "dev": ["p3"], "test": ["p4"]}
SHORT = {"steps": 2, "batch_size": 8}


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What `train` is called with, call by call; it trains all the same."""
    calls: list[dict[str, Any]] = []
    before = room.train

    def watched(layered: Any, windows: Any, recipe: Any, folder: Path, **options: Any) -> Any:
        calls.append({"windows": windows, "recipe": recipe, **options})
        return before(layered, windows, recipe, folder, **options)

    monkeypatch.setattr(room, "train", watched)
    return calls


def ids(source: Any) -> set[int]:
    return set(source[:]["window_id"].numpy().view(np.uint64).tolist())


def ids_of_groups(config: RunConfig, groups: tuple[str, ...]) -> set[int]:
    planned = plan_run(config)
    rows = [row for row, group in enumerate(planned.groups) if group in groups]
    return set(planned.plan.id[rows].tolist())


def test_few_labels_leave_the_rest_of_the_training_groups_and_nothing_else(
    press: Path, tmp_path: Path, handed: list[dict[str, Any]]
) -> None:
    method = {"name": "lsskd", "unlabelled": 1.0}
    config = press_config(
        press, tmp_path / "run", split=SPLIT, labels_per_class=2, method=method, training=SHORT
    )
    train_run(config)
    (call,) = handed
    labelled, free, dev = ids(call["windows"]), ids(call["unlabelled"]), ids(call["dev"])
    assert len(labelled) == 6 and (call["windows"].labels >= 0).all()
    assert (call["unlabelled"].labels == -1).all()
    assert labelled | free <= ids_of_groups(config, ("p0", "p1", "p2"))
    assert not labelled & free
    assert not (labelled | free) & ids_of_groups(config, ("p3", "p4"))
    assert dev <= ids_of_groups(config, ("p3",))
    assert len(free) > 40


def test_a_method_without_a_use_for_them_reads_labelled_windows_alone(
    press: Path, tmp_path: Path, handed: list[dict[str, Any]]
) -> None:
    train_run(
        press_config(
            press, tmp_path / "run", split=SPLIT, labels_per_class=2, method={"name": "ce"}, training=SHORT
        )
    )
    assert handed[0]["unlabelled"] is None


def test_a_run_that_was_cut_off_resumes_with_its_windows_without_labels(press: Path, tmp_path: Path) -> None:
    def cut(step: int, steps: int, terms: Any) -> None:
        if step == 3:
            raise KeyboardInterrupt

    training = {"steps": 4, "epoch_steps": 2, "batch_size": 8}
    kept = []
    for name in ("whole", "cut"):
        config = press_config(
            press,
            tmp_path / name,
            split=SPLIT,
            labels_per_class=3,
            method={"name": "mean_teacher"},
            training=training,
        )
        if name == "cut":
            with pytest.raises(KeyboardInterrupt):
                train_run(config, on_step=cut)
        train_run(config, resume=name == "cut")
        # Not byte by byte: the order of what a file tells of itself is not fixed.
        kept.append(load_tensors(tmp_path / name / "averaged.safetensors")[0])
    assert all(torch.equal(tensor, kept[1][name]) for name, tensor in kept[0].items())


@pytest.mark.parametrize("name", ["kd", "hsakd"])
def test_a_teacher_is_trained_first_and_handed_to_the_loop(
    press: Path, tmp_path: Path, handed: list[dict[str, Any]], name: str
) -> None:
    config = press_config(
        press, tmp_path / "run", split=SPLIT, labels_per_class=4, method={"name": name}, training=SHORT
    )
    train_run(config)
    recipe = handed[-1]["recipe"]
    assert recipe.teacher.network.student.classifier.in_features > 64
    assert (tmp_path / "run" / "teacher" / "config.yaml").exists()


def test_labels_that_were_held_out_decide_whether_windows_without_one_teach(
    press: Path, tmp_path: Path, handed: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After two steps nobody knows anything, and that shows."""
    machines: list[set[str]] = []

    def watched(layered: Any, windows: Any, groups: Any, recipe: Any) -> Any:
        machines.append(set(groups))
        assert len(groups) == len(windows)
        return cross_validate(layered, windows, groups, recipe)

    monkeypatch.setattr("sensorkd.training.cross_validation.cross_validate", watched)
    notes: list[str] = []
    method = {"name": "lsskd"}
    config = press_config(
        press, tmp_path / "run", split=SPLIT, labels_per_class=4, method=method, training=SHORT
    )
    run = train_run(config, on_note=notes.append)
    (call,) = handed
    assert call["recipe"].method.unlabelled == 0
    assert machines == [{"p0", "p1", "p2"}]
    (told,) = [note for note in notes if "left alone" in note]
    assert told in report_page(run)
    (doubts,) = [record[RECORD]["doubts"] for record in TrainingLog(run.folder / LOG).records()[:1]]
    assert [item["sensors"] for item in doubts] == [["shake"], ["heat"], ["shake", "heat"]]


def test_a_lesson_that_no_window_was_sure_enough_for_is_noted(press: Path, tmp_path: Path) -> None:
    notes: list[str] = []
    method = {"name": "pseudo_label", "threshold": 1.0}
    config = press_config(
        press, tmp_path / "run", split=SPLIT, labels_per_class=4, method=method, training=SHORT
    )
    train_run(config, on_note=notes.append)
    (told,) = [note for note in notes if "taught nothing" in note]
    assert told.startswith("pseudo ") and "lower method.threshold" in told


def test_a_precision_that_this_computer_is_slow_at_is_noted(
    press: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "AVX2")
    notes: list[str] = []
    training = {**SHORT, "precision": "bf16"}
    train_run(
        press_config(press, tmp_path / "run", split=SPLIT, training=training, method={"name": "ce"}),
        on_note=notes.append,
    )
    assert sum("training.precision=fp32" in note for note in notes) == 1


def report_page(run: Run) -> str:
    path = run.folder / "report.html"
    write_report(run, path)
    return path.read_text(encoding="utf-8")


def test_a_run_cut_off_asks_the_same_sensors_when_it_is_resumed(
    press: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels are held out once, and what they said is part of the run."""
    asked: list[tuple[str, ...]] = []

    def one_sensor(*_: object) -> CrossValidation:
        asked.append(("heat",))
        return CrossValidation({("heat",): 0.1, ("shake",): 0.5, ("shake", "heat"): 0.5}, 12)

    monkeypatch.setattr("sensorkd.training.cross_validation.cross_validate", one_sensor)

    def configured(name: str) -> RunConfig:
        method = {"name": "lsskd", "warmup": 0.25, "threshold": 0.0}
        training = {"steps": 8, "epoch_steps": 2, "batch_size": 6}
        where = tmp_path / name
        return press_config(press, where, split=SPLIT, labels_per_class=4, method=method, training=training)

    def cut(step: int, *_: object) -> None:
        if step == 5:
            raise KeyboardInterrupt

    train_run(configured("whole"))
    with pytest.raises(KeyboardInterrupt):
        train_run(configured("cut"), on_step=cut)
    train_run(configured("cut"), resume=True)
    assert len(asked) == 2
    whole, cut_off = (load_tensors(tmp_path / name / "averaged.safetensors")[0] for name in ("whole", "cut"))
    assert all(torch.equal(value, cut_off[name]) for name, value in whole.items())


def test_windows_without_a_label_that_came_since_are_told_on_resume(press: Path, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    shutil.copytree(press, archive)
    config = press_config(
        archive, tmp_path / "run", split=SPLIT, labels_per_class=4, method={"name": "lsskd"}, training=SHORT
    )
    train_run(config)
    write_press(archive, "p9", seed=9, labelled=False)
    with pytest.raises(RunError, match="the training windows or their labels are not those"):
        train_run(config, resume=True)


def test_labels_drawn_of_windows_that_turn_out_unusable_are_counted(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The temperature, which alone is asked for, breaks while it is hot, or before."""

    def trained(good: int, on_note: Any = None) -> Run:
        folder = tmp_path_factory.mktemp("breaks")
        for number in range(5):
            with h5py.File(write_press(folder, f"p{number}", seed=number), "r+") as file:
                samples = file["shift/streams/heat/samples"]
                samples[good * len(samples) // 60 :] = np.nan
        changes = {"inputs": {"heat": {"span": 4.0}}, "split": SPLIT, "training": SHORT}
        return train_run(press_config(folder, folder / "run", labels_per_class=8, **changes), on_note=on_note)

    notes: list[str] = []
    run = trained(47, notes.append)
    (told,) = [note for note in notes if "labels were drawn" in note]
    assert told.startswith("24 labels were drawn, and ")
    assert all(repr(name) in told for name in run.classes)
    with pytest.raises(WindowError, match="a class has no labelled window of which any input") as refused:
        trained(36)
    assert "'hot' 0" in str(refused.value.found)
