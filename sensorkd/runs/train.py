"""Trains a run: configuration in, folder with weights and log out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sensorkd.errors import RunError
from sensorkd.models.size import size_named
from sensorkd.runs.build import adapters_for, build_layered, build_student
from sensorkd.runs.config import RunConfig
from sensorkd.runs.data import channel_stats, plan_run, read_side
from sensorkd.runs.run import CONFIG, LOG, Run
from sensorkd.training.loop import Recipe, train

__all__ = ["train_run"]


def train_run(
    config: RunConfig,
    *,
    resume: bool = False,
    on_note: Callable[[str], None] | None = None,
    on_read: Callable[[int, int], None] | None = None,
    on_step: Callable[[int, int, Mapping[str, float]], None] | None = None,
) -> Run:
    """Train as configured, into `config.out`.

    Args:
        resume: go on from the last epoch of a run that was cut off.
        on_note: told what a user should know. on_read, on_step: progress.

    Raises:
        RunError: the folder holds another run already, or there is nothing to resume.
        SensorkdError: data or configuration cannot be used.
    """
    folder = Path(config.out)
    if (folder / CONFIG).exists() and not resume:
        raise RunError(
            "the folder holds a run already",
            file=folder,
            mend="add --resume to go on with it, or out=FOLDER to train into another",
        )
    if resume and not (folder / CONFIG).exists():
        raise RunError("there is no run to resume", file=folder, mend="train without --resume")
    planned = plan_run(config)
    for note in planned.notes:
        if on_note is not None:
            on_note(note)
    stats = channel_stats(planned, config.seed)
    run = Run(
        folder=folder,
        config=config,
        encodings=planned.encodings,
        stats=stats,
        classes=planned.classes,
        groups={"train": planned.split.train, "dev": planned.split.dev, "test": planned.split.test},
    )
    options = {name: dict(item.options) for name, item in config.inputs.items()}
    adapters = adapters_for(planned.encodings, options)
    student = build_student(
        planned.encodings,
        stats,
        adapters,
        classes=planned.classes,
        size=size_named(config.model.size),
        seed=config.seed,
    )
    recipe = Recipe(
        method=config.method.method(),
        config=config.training,
        families={name: adapter.pretext() for name, adapter in adapters.items()},
        augmentations={name: adapters[name].augmentations(planned.encodings[name]) for name in adapters},
        seed=config.seed,
    )
    dev_rows = planned.rows("dev")
    windows = read_side(planned, planned.rows("train"), on_read)
    dev = read_side(planned, dev_rows) if len(dev_rows) else None
    log = folder / LOG
    if not resume:
        # A resume that is refused must leave the run as it was described.
        run.save()
        log.write_text("", encoding="utf-8")

    def write(record: dict[str, Any]) -> None:
        with log.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(record) + "\n")

    layered = build_layered(student, adapters, seed=config.seed)
    train(layered, windows, recipe, folder, dev=dev, resume=resume, on_step=on_step, on_epoch=write)
    return run
