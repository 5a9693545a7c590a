"""What a student costs on the device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from sensorkd.models.student import Student

__all__ = ["Cost", "cost_of"]


@dataclass(frozen=True)
class Cost:
    """parameters; macs: multiply-accumulates for one window; weight_bytes: of the weights in float32."""

    parameters: int
    macs: int
    weight_bytes: int


@torch.no_grad()
def cost_of(student: Student, examples: Mapping[str, Tensor]) -> Cost:
    """Count a student on one example window of each input, (1, *shape)."""
    training = student.training
    student.eval()
    parameters = sum(parameter.numel() for parameter in student.parameters())
    with FlopCounterMode(display=False) as counter:
        student(examples, torch.ones(1, len(student.modalities)))
    student.train(training)
    return Cost(parameters, counter.get_total_flops() // 2, 4 * parameters)
