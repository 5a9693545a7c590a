"""The training loop: flat, and the same for every method. Read it from top to bottom.

What a step sees is made in `step`, what it costs in `step_loss`.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from sensorkd.distillation.alive import AliveCheck
from sensorkd.distillation.balance import TermBalance
from sensorkd.distillation.last_visit import LastVisit
from sensorkd.distillation.soft_targets import earlier_self
from sensorkd.errors import RunError
from sensorkd.models.layered import LayeredStudent
from sensorkd.models.student import Student
from sensorkd.training.auxiliaries import with_auxiliaries_of
from sensorkd.training.averaging import average_in
from sensorkd.training.batches import WindowSource
from sensorkd.training.checkpoint import load_tensors, save_tensors
from sensorkd.training.device import device_named
from sensorkd.training.inference import predict_labelled, recompute_norms
from sensorkd.training.joined import Joined
from sensorkd.training.metrics import classification_metrics
from sensorkd.training.optimiser import learning_rate_at, optimiser_for
from sensorkd.training.order import EpochBatches, seeded
from sensorkd.training.recipe import Recipe
from sensorkd.training.state import TrainingState
from sensorkd.training.state_files import STATE, keep_before
from sensorkd.training.step import step_batch
from sensorkd.training.step_loss import StepLoss
from sensorkd.training.tally import EpochTally
from sensorkd.training.visiting import Visiting

__all__ = ["Recipe", "train"]

Record = dict[str, Any]
# Until the last step is taken, or a run that was cut off would pass for a finished one.
BEST, BEST_SO_FAR = "best.safetensors", "best_so_far.safetensors"


def train(
    layered: LayeredStudent,
    windows: WindowSource,
    recipe: Recipe,
    folder: Path,
    *,
    dev: WindowSource | None = None,
    unlabelled: WindowSource | None = None,
    resume: bool = False,
    on_step: Callable[[int, int, Mapping[str, float]], None] | None = None,
    on_epoch: Callable[[Record], None] | None = None,
) -> Student:
    """Train and return the student whose weights the configuration asks for, with fresh statistics.

    Args:
        windows: training windows. dev: windows to choose the best weights by; nothing else is.
        unlabelled: training windows whose labels, if they have any, are not looked at; methods with
            `unlabelled` above 0 draw some of them in every step, others leave them alone.
        folder: where `last.safetensors` (the state to resume from, and the one before it), and at the end
            `averaged.safetensors` and, with dev, `best.safetensors` (students only) are kept.
        on_step: called with (step, steps, terms). on_epoch: called with a record to log.

    Raises:
        ConfigError: the recipe does not fit the student or the windows.
        DeadTermError: a term of the method does nothing.
        RunError: there is nothing to resume from, or it belongs to another recipe; the loss is not finite.
    """
    method, config = recipe.method, recipe.config
    if not method.unlabelled or not unlabelled:
        unlabelled = None
    recipe.check(layered, windows, dev, unlabelled)
    recipe.check_teacher(layered)
    classes, modalities = layered.student.classes, layered.student.modalities
    class_balance, adjustment = recipe.balance(windows, classes), recipe.adjustment(windows, classes)
    layered = with_auxiliaries_of(method, layered, seed=recipe.seed)
    device = device_named(config.device)
    layered = layered.to(device)
    adjustment = None if adjustment is None else adjustment.to(device)
    steps, epoch_steps = config.total_steps, config.steps_per_epoch(len(windows))
    balance = TermBalance(method.weights()).to(device) if method.balance == "auto" else None
    optimiser = optimiser_for(layered, config)
    if balance is not None:
        optimiser.add_param_group({"params": list(balance.parameters()), "weight_decay": 0.0})
    free = 0 if unlabelled is None else len(unlabelled)
    past = earlier_self(method, layered, every=epoch_steps)
    if method.earlier == "last_visit":
        past = LastVisit(layered, folder, windows=len(windows) + free, max_age=method.max_age)
    alignment = None if unlabelled is None else recipe.alignment(windows, classes)
    average = copy.deepcopy(layered.student)
    state = TrainingState(layered, optimiser, past, average, balance=balance, alignment=alignment)
    identity = recipe.identity(len(windows), free)
    if resume:
        state.load(folder / STATE, identity)
    else:
        # At once, so that a run cut off in its first epoch can be resumed like any other.
        folder.mkdir(parents=True, exist_ok=True)
        state.save(folder / STATE, identity)
    epoch = state.epoch
    losses = StepLoss(recipe, layered, steps, past, adjustment, alignment, balance)
    visiting = None
    if past is not None and unlabelled is not None and method.pseudo_from_visit:
        visiting = Visiting(recipe, layered, past, windows, unlabelled)
    # All sensors as they were logged, which is what ships: its statistics come from them.
    logged = windows if unlabelled is None else Joined([windows, unlabelled], modalities)
    alive = AliveCheck(layered, begun=epoch > 0)

    while epoch * epoch_steps < steps:
        first, last = epoch * epoch_steps, min(steps, (epoch + 1) * epoch_steps)
        # All chance in an epoch follows from (seed, epoch), so a resumed run repeats what it lost.
        generator = seeded(recipe.seed, epoch)
        started, tally = time.monotonic(), EpochTally(layered, last)
        layered.train()
        sizes = config.batch_size, config.unlabelled_batch or config.batch_size
        draws = EpochBatches(
            windows, unlabelled, sizes=sizes, count=last - first, generator=generator, balance=class_balance
        )
        visited = None
        if visiting is not None and method.visits_at(first, steps):
            visited = visiting.at(first, draws.unlabelled_rows)
        with draws:
            for step, draw in enumerate(draws, start=first):
                batch = step_batch(draw, recipe, layered, generator)
                told = losses.of(batch, step, visited)
                if not bool(torch.isfinite(told.loss)):
                    raise RunError(
                        "the loss is not finite",
                        file=folder,
                        found={name: float(term.detach()) for name, term in told.terms.items()},
                        mend="lower training.learning_rate, or look for broken samples: `sensorkd inspect`",
                    )
                alive.check(told.terms)
                optimiser.zero_grad(set_to_none=True)
                told.loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(layered.parameters(), config.gradient_clip)
                rate = learning_rate_at(step, steps, config)
                for group in optimiser.param_groups:
                    group["lr"] = rate
                optimiser.step()

                if past:
                    past.observe(layered, step + 1)
                if step >= config.average_from * steps or step == steps - 1:
                    state.averaged = average_in(average, layered.student, state.averaged)
                values = tally.add(step, batch, told)
                if on_step is not None:
                    on_step(step + 1, steps, values)

        epoch = state.epoch = epoch + 1
        record: Record = {
            "epoch": epoch,
            "step": last,
            **tally.means(),
            "alpha": method.alpha_at(last - 1, steps),
            "learning_rate": learning_rate_at(last - 1, steps, config),
            "seconds": time.monotonic() - started,
            "waited": draws.seconds,
        }
        if balance is not None:
            record["balance"] = balance.weights()
        if dev is not None:
            record["dev"] = _keep_best(state, dev, logged, recipe, folder / BEST_SO_FAR)
        keep_before(folder)
        state.save(folder / STATE, identity)
        if on_epoch is not None:
            on_epoch(record)

    if (folder / BEST_SO_FAR).exists():
        (folder / BEST_SO_FAR).replace(folder / BEST)
    if config.weights == "best":
        average.load_state_dict(load_tensors(folder / BEST)[0])
        return average.eval()
    student = {"last": layered.student, "averaged": average}[config.weights]
    record = {**_mended(student, windows, logged, recipe), "idle": alive.waiting}
    if dev is not None:
        record["dev"] = _judge(student, dev)
    save_tensors(
        folder / f"{record['final']}.safetensors".replace("last.", "final."), student.state_dict(), record
    )
    if on_epoch is not None:
        on_epoch(record)
    return student.eval()


def _keep_best(
    state: TrainingState, dev: WindowSource, logged: WindowSource, recipe: Recipe, path: Path
) -> dict[str, float]:
    """Judge the student of an epoch by dev windows, and keep the best so far in a file."""
    candidate = copy.deepcopy(state.layered.student)
    _refresh_norms(candidate, logged, recipe)
    metrics = _judge(candidate, dev)
    if metrics["macro_f1"] > state.best:
        state.best = metrics["macro_f1"]
        save_tensors(path, candidate.state_dict(), {"epoch": state.epoch, **metrics})
    return metrics


def _mended(student: Student, windows: WindowSource, logged: WindowSource, recipe: Recipe) -> Record:
    """Give the student the statistics that ship; what that did to it, for the log."""
    before = _judge(student, windows)["accuracy"]
    _refresh_norms(student, logged, recipe)
    return {
        "final": recipe.config.weights,
        "train_accuracy_before_norms": before,
        "train_accuracy": _judge(student, windows)["accuracy"],
    }


def _refresh_norms(student: Student, windows: WindowSource, recipe: Recipe) -> None:
    """Give a student the batch-norm statistics that ship, as the configuration says."""
    if recipe.config.norms != "running":
        changed = recipe.augmentations if recipe.config.norms == "augmented" else None
        recompute_norms(student, windows, augmentations=changed)


def _judge(student: Student, windows: WindowSource) -> dict[str, float]:
    training = student.training
    metrics = classification_metrics(*predict_labelled(student, windows))
    student.train(training)
    return {name: getattr(metrics, name) for name in ("accuracy", "macro_f1", "nll", "ece")}
