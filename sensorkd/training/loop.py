"""The training loop: flat, and the same for every method. Read it from top to bottom.

Axes: B windows of a batch, V views of each, K modalities.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sensorkd.distillation.augmentation import Augmentation, AugmentationDraw
from sensorkd.distillation.methods import Method
from sensorkd.distillation.pretext import transform_all
from sensorkd.distillation.soft_targets import earlier_self
from sensorkd.distillation.terms import check_alive, loss_terms
from sensorkd.errors import RunError
from sensorkd.models.layered import LayeredStudent
from sensorkd.models.student import Student
from sensorkd.training.batches import WindowSource
from sensorkd.training.checkpoint import load_tensors, save_tensors
from sensorkd.training.config import TrainingConfig
from sensorkd.training.inference import predict_labelled, recompute_norms
from sensorkd.training.metrics import classification_metrics
from sensorkd.training.prefetch import Waiting, batches_of
from sensorkd.training.recipe import Recipe
from sensorkd.training.sampling import balanced_pass, natural_pass
from sensorkd.training.state import TrainingState

__all__ = ["Recipe", "train"]

Record = dict[str, Any]


def train(
    layered: LayeredStudent,
    windows: WindowSource,
    recipe: Recipe,
    folder: Path,
    *,
    dev: WindowSource | None = None,
    resume: bool = False,
    on_step: Callable[[int, int, Mapping[str, float]], None] | None = None,
    on_epoch: Callable[[Record], None] | None = None,
) -> Student:
    """Train and return the student whose weights the configuration asks for, with fresh statistics.

    Args:
        windows: training windows. dev: windows to choose the best weights by; nothing else is.
        folder: where `last.safetensors` (the state to resume from), `averaged.safetensors` and, with
            dev, `best.safetensors` (students only) are kept.
        on_step: called with (step, steps, terms). on_epoch: called with a record to log.

    Raises:
        ConfigError: the recipe does not fit the student or the windows.
        DeadTermError: a term of the method does nothing.
        RunError: there is nothing to resume from, or it belongs to another recipe; the loss is not finite.
    """
    method, config = recipe.method, recipe.config
    recipe.check(layered, windows, dev)
    classes = layered.student.classes
    balance, adjustment = recipe.balance(windows, classes), recipe.adjustment(windows, classes)
    if not method.layered:
        layered = layered.without_auxiliaries()
    steps, epoch_steps = config.total_steps, config.steps_per_epoch(len(windows))
    optimiser = _optimiser(layered, config)
    past = earlier_self(method, layered, every=epoch_steps)
    average = copy.deepcopy(layered.student)
    state = TrainingState(layered, optimiser, past, average)
    identity = recipe.identity(len(windows))
    if resume:
        state.load(folder / "last.safetensors", identity)
    else:
        # At once, so that a run cut off in its first epoch can be resumed like any other.
        folder.mkdir(parents=True, exist_ok=True)
        state.save(folder / "last.safetensors", identity)
    epoch = state.epoch

    while epoch * epoch_steps < steps:
        first, last = epoch * epoch_steps, min(steps, (epoch + 1) * epoch_steps)
        # All chance in an epoch follows from (seed, epoch), so a resumed run repeats what it lost.
        generator = _seeded(recipe.seed, epoch)
        started, sums = time.monotonic(), dict[str, float]()
        layered.train()
        with _batches(windows, config.batch_size, last - first, generator, balance) as batches:
            for step, batch in enumerate(batches, start=first):
                labels, presence = batch["label"], batch["presence"]
                prepared = layered.student.prepare({name: batch[name] for name in layered.student.modalities})
                if config.augment:
                    prepared = _augmented(
                        prepared, recipe.augmentations, AugmentationDraw(len(labels), generator)
                    )
                views = _views(method, layered.transforms, generator)
                rows = transform_all(prepared, recipe.families, views)
                row_presence = presence.repeat(len(views), 1)
                fusion_presence = _hide(row_presence, config.modality_dropout, generator)

                output = layered.by_view(rows, row_presence, fusion_presence, views=len(views))
                alpha = method.alpha_at(step, steps)
                earlier = (
                    past.recall(rows, row_presence, fusion_presence, views=len(views))
                    if past and alpha > 0
                    else None
                )
                terms = loss_terms(
                    output,
                    method=method,
                    labels=labels,
                    presence=fusion_presence,
                    views=views,
                    families=layered.families,
                    earlier=earlier,
                    alpha=alpha,
                    adjustment=adjustment,
                )
                loss = torch.stack([weight * terms[name] for name, weight in method.weights().items()]).sum()
                if not bool(torch.isfinite(loss)):
                    raise RunError(
                        "the loss is not finite",
                        file=folder,
                        found={name: float(term.detach()) for name, term in terms.items()},
                        mend="lower training.learning_rate, or look for broken samples: `sensorkd inspect`",
                    )
                if step == 0:
                    check_alive(terms, layered)

                optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(layered.parameters(), config.gradient_clip)
                rate = _learning_rate(step, steps, config)
                for group in optimiser.param_groups:
                    group["lr"] = rate
                optimiser.step()

                if past:
                    past.observe(layered, step + 1)
                if step >= config.average_from * steps or step == steps - 1:
                    state.averaged = _average(average, layered.student, state.averaged)
                values = {"loss": float(loss.detach())} | {
                    name: float(term.detach()) for name, term in terms.items()
                }
                for name, value in values.items():
                    sums[name] = sums.get(name, 0.0) + value
                if on_step is not None:
                    on_step(step + 1, steps, values)

        epoch += 1
        record: Record = {
            "epoch": epoch,
            "step": last,
            **{name: value / (last - first) for name, value in sums.items()},
            "alpha": method.alpha_at(last - 1, steps),
            "learning_rate": _learning_rate(last - 1, steps, config),
            "seconds": time.monotonic() - started,
            "waited": batches.seconds,
        }
        if dev is not None:
            candidate = copy.deepcopy(layered.student)
            recompute_norms(candidate, windows)
            metrics = _judge(candidate, dev)
            record["dev"] = metrics
            if metrics["macro_f1"] > state.best:
                state.best = metrics["macro_f1"]
                save_tensors(folder / "best.safetensors", candidate.state_dict(), {"epoch": epoch, **metrics})
        state.epoch = epoch
        state.save(folder / "last.safetensors", identity)
        if on_epoch is not None:
            on_epoch(record)

    result = {"last": layered.student, "averaged": average}
    if config.weights == "best":
        average.load_state_dict(load_tensors(folder / "best.safetensors")[0])
        return average.eval()
    student = result[config.weights]
    before = _judge(student, windows)["accuracy"]
    recompute_norms(student, windows)
    record = {
        "final": config.weights,
        "train_accuracy_before_norms": before,
        "train_accuracy": _judge(student, windows)["accuracy"],
    }
    if dev is not None:
        record["dev"] = _judge(student, dev)
    save_tensors(
        folder / f"{config.weights}.safetensors".replace("last.", "final."), student.state_dict(), record
    )
    if on_epoch is not None:
        on_epoch(record)
    return student.eval()


def _optimiser(layered: LayeredStudent, config: TrainingConfig) -> torch.optim.Optimizer:
    """AdamW; biases and norms are not decayed."""
    weights = [parameter for parameter in layered.parameters() if parameter.dim() > 1]
    others = [parameter for parameter in layered.parameters() if parameter.dim() <= 1]
    groups = [
        {"params": weights, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate)


def _learning_rate(step: int, steps: int, config: TrainingConfig) -> float:
    """Linear warm-up, then a half cosine to zero."""
    warm = max(1.0, config.warmup * steps)
    if step < warm:
        return config.learning_rate * (step + 1) / (warm + 1)
    progress = (step - warm) / max(1.0, steps - warm)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


def _seeded(seed: int, epoch: int) -> torch.Generator:
    """Seeds dropout (global) and everything drawn explicitly (the generator returned)."""
    first, second = np.random.SeedSequence([seed, epoch]).generate_state(2, np.uint64)
    torch.manual_seed(int(first >> np.uint64(1)))
    return torch.Generator().manual_seed(int(second >> np.uint64(1)))


def _batches(
    windows: WindowSource,
    batch_size: int,
    count: int,
    generator: torch.Generator,
    balance: NDArray[np.int64] | None = None,
) -> Waiting:
    """`count` batches: passes over the windows in new orders, without a short batch at the end.

    balance: (W,) labels to show every class equally often by; None shows every window equally often.
    """
    size = min(batch_size, len(windows))
    rows: list[int] = []
    while len(rows) < count * size:
        if balance is None:
            order = natural_pass(len(windows), generator)
        else:
            order = balanced_pass(balance, generator)
        rows += order[: len(order) // size * size]
    # A DataLoader draws one when it begins: with it, runs of earlier versions repeat bit for bit.
    torch.empty((), dtype=torch.int64).random_()
    return Waiting(
        batches_of(windows, [rows[start : start + size] for start in range(0, count * size, size)])
    )


def _augmented(
    prepared: Mapping[str, Tensor],
    augmentations: Mapping[str, Sequence[Augmentation]],
    draw: AugmentationDraw,
) -> dict[str, Tensor]:
    changed = dict(prepared)
    for name, x in prepared.items():
        for augmentation in augmentations[name]:
            x = augmentation(x, draw)
        changed[name] = x
    return changed


def _views(method: Method, transforms: int, generator: torch.Generator) -> list[int]:
    """The identity, and views - 1 other transform indices without repetition."""
    others = torch.randperm(transforms - 1, generator=generator)[: method.views - 1] + 1
    return [0, *others.tolist()]


def _hide(presence: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """What the fusion may see: each present modality hidden with a probability, never all of them."""
    scores = torch.rand(presence.shape, generator=generator) * presence
    keep = (scores >= probability) | (scores == scores.max(dim=1, keepdim=True).values)
    return presence * keep


def _average(average: Student, student: Student, count: int) -> int:
    """Take a student's weights into the running mean of `count` others."""
    with torch.no_grad():
        for mean, value in zip(average.parameters(), student.parameters(), strict=True):
            mean.data.lerp_(value.data, 1.0 / (count + 1))
        for kept, buffer in zip(average.buffers(), student.buffers(), strict=True):
            kept.copy_(buffer)
    return count + 1


def _judge(student: Student, windows: WindowSource) -> dict[str, float]:
    training = student.training
    metrics = classification_metrics(*predict_labelled(student, windows))
    student.train(training)
    return {name: getattr(metrics, name) for name in ("accuracy", "macro_f1", "nll", "ece")}
