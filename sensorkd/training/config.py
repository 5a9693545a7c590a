"""What a training run is told about its loop; the rest of a run's configuration lies in `runs`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["Sampling", "TrainingConfig"]

Sampling = Literal["natural", "balanced"]


class TrainingConfig(BaseModel):
    """The loop's numbers. The budget is counted in steps, so that methods compare at equal budget.

    steps: optimiser steps. max_steps: stop after so many, for a trial run; the schedule follows it.
    epoch_steps: steps between log lines, checkpoints and dev evaluations; default a pass over the
    training windows, or a twentieth of the steps where a pass is shorter.
    modality_dropout: probability that a present modality is hidden from the fusion, in training; one is
    always left, so that any subset of sensors answers.
    average_from: share of the steps after which weights are averaged.
    weights: which weights are the result; `best` needs a dev group.
    sampling: `natural` passes over the windows as they are; `balanced` shows every class as often as the
    others, by repeating windows of rare classes and leaving out some of common ones.
    logit_adjustment: tau; the loss sees logits + tau * log(class share), so that with 1 the student
    answers as if all classes were equally frequent, and rare ones are not drowned; 0 leaves it off.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: Annotated[int, Field(ge=1)] = 600
    max_steps: Annotated[int, Field(ge=1)] | None = None
    epoch_steps: Annotated[int, Field(ge=1)] | None = None
    batch_size: Annotated[int, Field(ge=2)] = 32
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

    @model_validator(mode="after")
    def _adjustment_does_something(self) -> TrainingConfig:
        if self.sampling == "balanced" and self.logit_adjustment > 0:
            raise ValueError(
                "`logit_adjustment` does nothing with `sampling: balanced`, which makes all class shares "
                "equal; choose one of them"
            )
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
