"""The teacher of a run: a larger student, trained beforehand by the same loop on the same windows."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

from sensorkd.distillation.methods import method_named
from sensorkd.distillation.teacher import Teacher
from sensorkd.errors import ConfigError, RunError
from sensorkd.models.frontend import ChannelStats
from sensorkd.models.layered import LayeredStudent
from sensorkd.models.size import SIZES, size_named
from sensorkd.runs.differences import run_differences
from sensorkd.runs.method_config import MethodConfig
from sensorkd.runs.run import CONFIG, LOG, Run
from sensorkd.runs.trained_teacher import METHOD_OF, TeacherKind, ready_teacher, trained_network
from sensorkd.training.batches import WindowSource
from sensorkd.training.device import device_named
from sensorkd.training.log import TrainingLog
from sensorkd.training.loop import Recipe, train
from sensorkd.training.state_files import sound_state

__all__ = ["stats_of_teacher", "teacher_for"]

FOLDER = "teacher"

Record = dict[str, Any]


def teacher_for(
    run: Run,
    windows: WindowSource,
    recipe: Recipe,
    *,
    size: str | None = None,
    shared: str | None = None,
    dev: WindowSource | None = None,
    on_note: Callable[[str], None] | None = None,
    on_step: Callable[[int, int, Mapping[str, float]], None] | None = None,
    on_record: Callable[[Record], None] | None = None,
) -> Teacher:
    """The teacher of a run: loaded where it is finished, taken up where it was cut off, else trained.

    It lies in `<run>/teacher`, a run folder like any other: it can be evaluated, and shared.

    Args:
        windows, recipe: the run's own. The teacher sees no window and no label beyond them. Of the method's
            teachers, `plain` teaches verdicts and is trained by `ce`; its weights are those that such a run
            would ship. `layered` teaches auxiliaries as well and is trained by `sad`; its weights are the
            last ones: averages are kept of the student alone, and the learning rate is down to 0 by then.
        size: default the next larger one.
        shared: a finished run to take instead, of the same windows, labels and constants.
        dev: used only where the configuration asks for the best weights by it.
        on_record: told what the teacher cost, once: a benchmark must count its seconds.

    Raises:
        ConfigError: the method has none, or no size is larger.
        RunError: a folder holds another teacher than this, or one that was not finished.
    """
    kind = recipe.method.teacher
    if kind == "none":
        raise ConfigError("the method has no teacher", inside="method.teacher", found=recipe.method.name)
    if shared is None:
        taught = _described(run, kind, size)
        _train(taught, windows, recipe, kind, dev, on_note, on_step)
    else:
        taught = Run.load(shared)
        _check_shared(taught, run, kind)
    began = time.monotonic()
    network = trained_network(
        taught.fresh_layered(),
        kind,
        taught.folder,
        weights=taught.config.training.weights,
        method=taught.config.method.name,
    )
    augmentations = recipe.augmentations if recipe.config.norms == "augmented" else None
    teacher = ready_teacher(
        network,
        kind,
        windows,
        families=taught.families,
        augmentations=augmentations,
        device=device_named(recipe.config.device),
    )
    record = _cost(taught, network, time.monotonic() - began) | {"shared": shared is not None}
    if on_record is not None and not any(
        "teacher" in record for record in TrainingLog(run.folder / LOG).records()
    ):
        on_record({"teacher": record})
    return teacher


def stats_of_teacher(shared: str | None) -> Mapping[str, ChannelStats] | None:
    """The constants of the frontends that a shared teacher was trained behind; None without one.

    A run with that teacher takes them over: floats are prepared once, by the student's frontends. Its own
    would differ with its seed, which draws the windows that they are taken from.
    """
    return None if shared is None else Run.load(shared).stats


def _described(run: Run, kind: TeacherKind, size: str | None) -> Run:
    """The same run with a larger student and the teacher's method."""
    config = run.config
    model = config.model.model_copy(update={"size": size or _next_larger(config.model.size)})
    size_named(model.size)
    folder = run.folder / FOLDER
    changes = {"model": model, "method": MethodConfig(name=METHOD_OF[kind]), "out": str(folder)}
    return dataclasses.replace(run, folder=folder, config=config.model_copy(update=changes))


def _next_larger(size: str) -> str:
    names = list(SIZES)
    after = names[names.index(size) + 1 :]
    if not after:
        raise ConfigError(
            "no size is larger than the student's",
            inside="method.teacher_size",
            found=size,
            expected=f"a size before the last of {names}",
            mend="choose a smaller model.size, or name method.teacher_size",
        )
    return after[0]


def _train(
    taught: Run,
    windows: WindowSource,
    recipe: Recipe,
    kind: TeacherKind,
    dev: WindowSource | None,
    on_note: Callable[[str], None] | None,
    on_step: Callable[[int, int, Mapping[str, float]], None] | None,
) -> None:
    """Train it into its folder, unless it is there."""
    folder = taught.folder
    if (folder / CONFIG).exists():
        _check_own(Run.load(folder), taught)
        if taught.finished:
            return
    else:
        taught.save()
    log = TrainingLog(folder / LOG)
    resume = sound_state(folder, log, on_note)
    if on_note is not None:
        told = f"{taught.config.model.size}, by {METHOD_OF[kind]}"
        on_note(f"{'going on with' if resume else 'training'} the teacher first ({told}): {folder}")
    if not resume:
        log.begin()

    layered = taught.fresh_layered()
    # Without what belongs to the student's own method: earlier selves, unlabelled windows, a teacher.
    own = Recipe(
        method=method_named(METHOD_OF[kind]),
        config=recipe.config,
        families=taught.families,
        augmentations=recipe.augmentations,
        seed=recipe.seed,
    )
    judged_by = dev if recipe.config.weights == "best" else None
    train(layered, windows, own, folder, dev=judged_by, resume=resume, on_step=on_step, on_epoch=log.write)


def _check_own(found: Run, taught: Run) -> None:
    """What lies in the teacher's folder must be what would be trained into it."""
    was, will = run_differences(found.config, taught.config)
    if was or found.windows != taught.windows:
        raise RunError(
            "the folder holds another teacher",
            file=taught.folder,
            found=was or f"windows {found.windows[:8]}...",
            expected=will or f"windows {taught.windows[:8]}...",
            mend="train into another folder with out=FOLDER, or remove this teacher",
        )


def _check_shared(taught: Run, run: Run, kind: TeacherKind) -> None:
    """A shared teacher answers the same question, behind the same frontends, and knows nothing more."""
    if not taught.finished:
        raise RunError(
            "the run that should teach was not finished",
            file=taught.folder,
            inside="method.teacher_run",
            mend="finish it: sensorkd train CONFIG --resume",
        )
    seen = sorted(set(taught.groups["dev"]) & set(run.groups["test"]))
    if kind == "plain" and taught.config.training.weights == "best" and seen:
        raise RunError(
            "the weights that should teach were chosen by groups that this run is to be judged by",
            file=taught.folder,
            inside="method.teacher_run",
            found=f"dev groups {seen}",
            expected="none of its dev groups among the test groups of this run",
            mend="train the teacher with another training.weights, or another split",
        )
    mine, theirs = _shared_parts(taught), _shared_parts(run)
    differing = [name for name in mine if mine[name] != theirs[name]]
    if differing:
        raise RunError(
            "the run that should teach is not of the same windows, labels and inputs",
            file=taught.folder,
            inside="method.teacher_run",
            found={name: mine[name] for name in differing},
            expected={name: theirs[name] for name in differing},
            mend="leave method.teacher_run out: a teacher of its own is trained. One that saw other labels "
            "or groups would tell this run more than its labels do",
        )


def _shared_parts(run: Run) -> dict[str, object]:
    return {
        "classes": run.classes,
        "training windows and labels": run.windows,
        "inputs": run.encodings,
        "options": {name: dict(item.options) for name, item in run.config.inputs.items()},
        "frontend constants": run.stats,
        "class shares": run.trained_prior,
    }


def _cost(taught: Run, network: LayeredStudent, seconds: float) -> Record:
    """What it took to have it, and how good it is on what it was trained on."""
    records = TrainingLog(taught.folder / LOG).records()
    final: Record = next((item for item in reversed(records) if "final" in item), {})
    return {
        "run": str(taught.folder),
        "method": taught.config.method.name,
        "size": taught.config.model.size,
        "steps": taught.config.training.total_steps,
        "parameters": sum(parameter.numel() for parameter in network.student.parameters()),
        "seconds": seconds
        + sum(item["seconds"] - item.get("waited", 0.0) for item in records if "step" in item),
        "train_accuracy": final.get("train_accuracy"),
    }
