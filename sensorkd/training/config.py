"""What a training run is told about its loop; the rest of a run's configuration lies in `runs`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["Sampling", "Seed", "TrainingConfig"]

Sampling = Literal["natural", "balanced"]
# NumPy's older generators, which scikit-learn draws by, take no more.
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class TrainingConfig(BaseModel):
    """The loop's numbers. The budget is counted in steps, so that methods compare at equal budget.

    steps: optimiser steps. max_steps: stop after so many, for a trial run; the schedule follows it.
    epoch_steps: steps between log lines, checkpoints and dev evaluations; default a pass over the
    training windows, or a twentieth of the steps where a pass is shorter.
    unlabelled_batch: windows without a label in a step, for methods that use them; default batch_size.
    modality_dropout: probability that a present modality is hidden from the fusion, in training; one is
    always left, so that any subset of sensors answers.
    average_from: share of the steps after which weights are averaged.
    weights: which weights are the result; `best` needs a dev group.
    sampling: `natural` passes over the windows as they are; `balanced` shows every class as often as the
    others, by repeating windows of rare classes and leaving out some of common ones.
    logit_adjustment: tau; the loss sees logits + tau * log(class share), so that with 1 the student
    answers as if all classes were equally frequent, and rare ones are not drowned; 0 leaves it off.
    optimiser, momentum: AdamW, or SGD with momentum, which decays biases and norms as well. nesterov: whether
    that momentum is Nesterov's.
    schedule: after the warm-up a half cosine to 0, or `steps`: `decay` times the rate from each of the
    `milestones` on, shares of the steps.
    precision: bf16 computes convolutions and products in bfloat16, losses in float32. A CPU that has no
        instructions for it (`lscpu` tells: avx512_bf16, amx_bf16) is many times slower than in fp32.
    device: auto takes a GPU where there is one.
    norms: what batch-norm statistics ship with the weights: new ones of windows as they were `logged`, or
    `augmented` as in training, or the `running` ones of training, which mix all views.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: Annotated[int, Field(ge=1)] = 600
    max_steps: Annotated[int, Field(ge=1)] | None = None
    epoch_steps: Annotated[int, Field(ge=1)] | None = None
    batch_size: Annotated[int, Field(ge=2)] = 32
    unlabelled_batch: Annotated[int, Field(ge=2)] | None = None
    learning_rate: Annotated[float, Field(gt=0)] = 4e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    warmup: Annotated[float, Field(gt=0, lt=1)] = 0.2
    modality_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.25
    augment: bool = True
    average_from: Annotated[float, Field(gt=0, lt=1)] = 0.75
    weights: Literal["averaged", "last", "best"] = "averaged"
    gradient_clip: Annotated[float, Field(gt=0)] = 5.0
    sampling: Sampling = "natural"
    logit_adjustment: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    optimiser: Literal["adamw", "sgd"] = "adamw"
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    nesterov: bool = True
    schedule: Literal["cosine", "steps"] = "cosine"
    milestones: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = ()
    decay: Annotated[float, Field(gt=0, le=1)] = 0.1
    precision: Literal["fp32", "bf16"] = "fp32"
    device: Literal["cpu", "cuda", "auto"] = "cpu"
    norms: Literal["logged", "augmented", "running"] = "logged"

    @model_validator(mode="after")
    def _adjustment_does_something(self) -> TrainingConfig:
        if self.sampling == "balanced" and self.logit_adjustment > 0:
            raise ValueError(
                "`logit_adjustment` does nothing with `sampling: balanced`, which makes all class shares "
                "equal; choose one of them"
            )
        return self

    @model_validator(mode="after")
    def _milestones_go_with_steps(self) -> TrainingConfig:
        if bool(self.milestones) != (self.schedule == "steps"):
            raise ValueError("`milestones` goes with `schedule: steps`, and only with it")
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(f"milestones {list(self.milestones)} must rise")
        return self

    @model_validator(mode="after")
    def _norms_are_of_training(self) -> TrainingConfig:
        if self.norms == "augmented" and not self.augment:
            raise ValueError("`norms: augmented` needs `augment: true`: training sees no other windows")
        return self

    @property
    def total_steps(self) -> int:
        """Steps that will be taken."""
        return self.steps if self.max_steps is None else min(self.steps, self.max_steps)

    def steps_per_epoch(self, windows: int) -> int:
        """Length of an epoch for so many training windows."""
        if self.epoch_steps is not None:
            return min(self.epoch_steps, self.total_steps)
        one_pass = max(1, windows // self.batch_size)
        return min(self.total_steps, max(one_pass, -(-self.total_steps // 20)))
