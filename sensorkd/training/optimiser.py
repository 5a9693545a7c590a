"""The optimiser of a run, and its learning rate step by step.

`adamw` with `cosine` is sensorkd's own; `sgd` with `steps` is how the published image students are trained
(CRD, Tian et al., ICLR 2020; HSAKD, Yang et al., IJCAI 2021: on CIFAR-100 Nesterov, 0.05, tenfold lower at
150, 180 and 210 of 240 epochs, weight decay 5e-4; on ImageNet plain momentum, see examples/images).
"""

from __future__ import annotations

import math

import torch
from torch import nn

from sensorkd.training.config import TrainingConfig

__all__ = ["learning_rate_at", "optimiser_for"]


def optimiser_for(network: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """AdamW, which decays neither biases nor norms, or SGD with momentum, which decays all."""
    if config.optimiser == "sgd":
        return torch.optim.SGD(
            network.parameters(),
            lr=config.learning_rate,
            momentum=config.momentum,
            nesterov=config.nesterov and config.momentum > 0,
            weight_decay=config.weight_decay,
        )
    weights = [parameter for parameter in network.parameters() if parameter.dim() > 1]
    others = [parameter for parameter in network.parameters() if parameter.dim() <= 1]
    groups = [
        {"params": weights, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate)


def learning_rate_at(step: int, steps: int, config: TrainingConfig) -> float:
    """Linear warm-up, then a half cosine to zero, or `decay` times lower from each milestone on."""
    if config.schedule == "steps":
        warm = config.warmup * steps
        passed = sum(step >= milestone * steps for milestone in config.milestones)
        # No step at all is warmed up where the share says less than one: published runs start at once.
        rise = min(1.0, (step + 1) / (warm + 1)) if warm >= 1 else 1.0
        return config.learning_rate * rise * config.decay**passed
    warm = max(1.0, config.warmup * steps)
    if step < warm:
        return config.learning_rate * (step + 1) / (warm + 1)
    progress = (step - warm) / max(1.0, steps - warm)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
