"""Trains and judges a run on plain images: configuration in, folder with weights, log and result out."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from sensorkd.images.config import ImageRunConfig
from sensorkd.images.dataset import ImageSet, labelled_rows, open_images
from sensorkd.images.network import fresh_network
from sensorkd.images.run_folder import LOG, begin, finish, finished_run, is_described, result_of
from sensorkd.images.teacher import loaded_teacher, own_teacher, shared_teacher
from sensorkd.locks import only_process
from sensorkd.models.layered import LayeredStudent
from sensorkd.models.plain import IMAGE
from sensorkd.models.student import Student
from sensorkd.training.batches import ArrayDataset
from sensorkd.training.cross_validation import settled
from sensorkd.training.device import slow_precision
from sensorkd.training.inference import predict_labelled
from sensorkd.training.log import TrainingLog
from sensorkd.training.loop import train
from sensorkd.training.metrics import classification_metrics
from sensorkd.training.recipe import Recipe
from sensorkd.training.state_files import sound_state

__all__ = ["finished_run", "run_images"]

TEACHER = "teacher"  # in log and result
OnStep = Callable[[int, int, Mapping[str, float]], None]
OnNote = Callable[[str], None]


def run_images(
    config: ImageRunConfig, *, on_note: OnNote | None = None, on_step: OnStep | None = None
) -> dict[str, Any]:
    """The result of a run: read where it is finished, taken up where it was cut off, else trained.

    A method with a teacher trains that first, in `<run>/teacher`, an image run like any other; `on_step` is
    told of both. `on_note` is told what a user should know.

    Returns:
        accuracy, macro_f1, nll, ece on the test images, seconds of training, parameters, and what was run;
        the same is in `result.json`. teacher, of methods that have one: what it was, and its seconds, which
        are among those of the run, whoever trained it.

    Raises:
        RunError: the folder holds another run, or another process is at it; or what should teach cannot.
        SensorkdError: data or configuration cannot be used.
    """
    folder = Path(config.out)
    with only_process(folder, "run"):
        return finished_run(config) or _run(folder, config, on_note, on_step)


def _run(
    folder: Path, config: ImageRunConfig, on_note: OnNote | None, on_step: OnStep | None
) -> dict[str, Any]:
    if on_note and (slow := slow_precision(config.training)):
        on_note(slow)
    log = TrainingLog(folder / LOG)
    begun = is_described(config) and sound_state(folder, log, on_note)
    images = open_images(
        Path(config.data), config.format, side=config.side, fit=config.fit, threads=config.threads
    )
    rows = labelled_rows(images.train.labels, share=config.labels_share, seed=config.seed)
    rest = np.setdiff1d(np.arange(len(images.hidden)), rows)
    labelled, unlabelled = images.train.select(rows), images.hidden.select(rest) if len(rest) else None
    # Training asks nothing of it that it does not have; see models/protocols.py.
    network = cast(LayeredStudent, fresh_network(config, len(images.classes)))
    recipe = Recipe(
        method=config.method_for(len(rows), len(rest)),
        config=config.training_of(len(rows)),
        families={IMAGE: config.family},
        augmentations={IMAGE: config.augmentations()},
        seed=config.seed,
        # The labels are a share of all, drawn at random.
        unlabelled_shares="labels",
    )
    # What the loop would refuse, before a teacher is trained.
    recipe.check(network, labelled, None, unlabelled)
    if not begun:
        begin(config)
        log.begin()
    if config.has_teacher:
        recipe = _taught(recipe, config, labelled, len(images.classes), log, on_step)
    if unlabelled is not None:
        recipe = settled(
            recipe, network, labelled, None, records=log.records(), on_record=log.write, on_note=on_note
        )
    student = train(
        network,
        labelled,
        recipe,
        folder,
        unlabelled=unlabelled,
        resume=begun,
        on_step=on_step,
        on_epoch=log.write,
    )
    costs = {"labelled": len(rows), "seconds": _seconds(log)}
    teacher = {} if (found := _teacher_record(log)) is None else {TEACHER: found}
    result = {**_judged(student, images, config), **costs, **teacher}
    finish(config, result)
    return result


def _taught(
    recipe: Recipe,
    config: ImageRunConfig,
    labelled: ArrayDataset,
    classes: int,
    log: TrainingLog,
    on_step: OnStep | None,
) -> Recipe:
    """The recipe with its teacher, which is trained first where that is not done yet."""
    shared = config.method.teacher_run is not None
    run = shared_teacher(config) if shared else own_teacher(config)
    result = result_of(Path(run.out)) if shared else run_images(run, on_step=on_step)
    assert result is not None
    began = time.monotonic()
    teacher = loaded_teacher(run, config, labelled, classes=classes)
    if _teacher_record(log) is None:
        told = {name: result[name] for name in ("method", "student", "parameters", "accuracy")}
        seconds = result["seconds"] + time.monotonic() - began
        log.write({TEACHER: {"run": run.out, **told, "seconds": seconds, "shared": shared}})
    return dataclasses.replace(recipe, teacher=teacher)


def _judged(student: Student, images: ImageSet, config: ImageRunConfig) -> dict[str, Any]:
    metrics = classification_metrics(*predict_labelled(student, images.test))
    return {
        "method": config.method.name,
        "student": config.student,
        "labels_share": config.labels_share,
        "seed": config.seed,
        "accuracy": metrics.accuracy,
        "macro_f1": metrics.macro_f1,
        "nll": metrics.nll,
        "ece": metrics.ece,
        "images": metrics.windows,
        "parameters": sum(parameter.numel() for parameter in student.parameters()),
    }


def _teacher_record(log: TrainingLog) -> dict[str, Any] | None:
    """What the teacher was and cost, as it was found first."""
    return next((record[TEACHER] for record in log.records() if TEACHER in record), None)


def _seconds(log: TrainingLog) -> float:
    """Of training, over every part of a run that was cut off and resumed, and of its teacher."""
    own = sum(record.get("seconds", 0.0) for record in log.records())
    teacher = _teacher_record(log)
    return float(own + (0.0 if teacher is None else teacher["seconds"]))
