"""Trains and judges a run on plain images: configuration in, folder with weights, log and result out."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from filelock import FileLock, Timeout

from sensorkd.errors import RunError
from sensorkd.images.config import ImageRunConfig
from sensorkd.images.dataset import ImageSet, labelled_rows, open_images
from sensorkd.models.image_networks import network_named
from sensorkd.models.layered import LayeredStudent
from sensorkd.models.plain import IMAGE, plain_student
from sensorkd.models.plain_layered import LayeredPlain, layered_plain
from sensorkd.models.student import Student
from sensorkd.training.cross_validation import settled
from sensorkd.training.inference import predict_labelled
from sensorkd.training.log import TrainingLog
from sensorkd.training.loop import train
from sensorkd.training.metrics import classification_metrics
from sensorkd.training.recipe import Recipe

__all__ = ["finished_run", "run_images"]

CONFIG, LOG, RESULT, STATE = "config.json", "metrics.jsonl", "result.json", "last.safetensors"
# What a resumed run may change: weights do not depend on it.
FREE = ("out", "threads")


def run_images(
    config: ImageRunConfig,
    *,
    on_step: Callable[[int, int, Mapping[str, float]], None] | None = None,
) -> dict[str, Any]:
    """The result of a run: read where it is finished, taken up where it was cut off, else trained.

    Returns:
        accuracy, macro_f1, nll, ece on the test images, seconds of training, parameters, and what was run;
        the same is in `result.json`.

    Raises:
        RunError: the folder holds another run, or another process is at it. SensorkdError: data or
            configuration cannot be used.
    """
    folder = Path(config.out)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            return finished_run(config) or _run(folder, config, on_step)
    except Timeout as error:
        raise RunError("another process is at this run", file=folder, mend="let it end") from error


def finished_run(config: ImageRunConfig) -> dict[str, Any] | None:
    """The result of a run, where it is finished.

    Raises:
        RunError: the folder holds another run.
    """
    path = Path(config.out) / RESULT
    _begun(path.parent, config)
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def _run(
    folder: Path, config: ImageRunConfig, on_step: Callable[[int, int, Mapping[str, float]], None] | None
) -> dict[str, Any]:
    begun = _begun(folder, config)
    images = open_images(
        Path(config.data), config.format, side=config.side, fit=config.fit, threads=config.threads
    )
    rows = labelled_rows(images.train.labels, share=config.labels_share, seed=config.seed)
    layered = _layered(config, len(images.classes))
    recipe = Recipe(
        method=config.resolved_method,
        config=config.training_of(len(rows)),
        families={IMAGE: config.family},
        augmentations={IMAGE: config.augmentations()},
        seed=config.seed,
        # The labels are a share of all, drawn at random.
        unlabelled_shares="labels",
    )
    log = TrainingLog(folder / LOG)
    if not begun:
        _write(folder / CONFIG, config.model_dump(mode="json"))
        log.begin()

    rest = np.setdiff1d(np.arange(len(images.hidden)), rows)
    labelled = images.train.select(rows)
    # Training asks nothing of it that it does not have; see models/protocols.py.
    network = cast(LayeredStudent, layered)
    if len(rest):
        recipe = settled(recipe, network, labelled, None, records=log.records(), on_record=log.write)
    student = train(
        network,
        labelled,
        recipe,
        folder,
        unlabelled=images.hidden.select(rest) if len(rest) else None,
        resume=begun,
        on_step=on_step,
        on_epoch=log.write,
    )
    result = {**_judged(student, images, config), "labelled": len(rows), "seconds": _seconds(log)}
    _write(folder / RESULT, result)
    return result


def _begun(folder: Path, config: ImageRunConfig) -> bool:
    """Whether the folder holds this run.

    Raises:
        RunError: it holds another.
    """
    if not (folder / CONFIG).exists():
        return False
    try:
        # Through the model, so that an option which came since stands there at its default.
        before = ImageRunConfig.model_validate_json((folder / CONFIG).read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError("the run is damaged", file=folder / CONFIG, found=error, mend="remove it") from error
    was, now = before.model_dump(mode="json"), config.model_dump(mode="json")
    differing = [key for key in now if key not in FREE and now[key] != was[key]]
    if differing:
        raise RunError(
            "the folder holds a run with another configuration",
            file=folder / CONFIG,
            found={key: was[key] for key in differing},
            expected={key: now[key] for key in differing},
            mend="name another folder, or go on with the configuration it was begun with",
        )
    # Without a state it was cut off before its first step.
    return (folder / STATE).exists()


def _layered(config: ImageRunConfig, classes: int) -> LayeredPlain:
    student = plain_student(
        network_named(config.student), classes=classes, stats=config.stats, size=config.seen, seed=config.seed
    )
    layered = layered_plain(student, transforms=len(config.family), seed=config.seed)
    if config.channels_last:
        layered = layered.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return layered


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


def _seconds(log: TrainingLog) -> float:
    """Of training, over every part of a run that was cut off and resumed."""
    return float(sum(record.get("seconds", 0.0) for record in log.records()))


def _write(path: Path, content: Mapping[str, Any]) -> None:
    """Whole or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    part.replace(path)
