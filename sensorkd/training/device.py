"""Where a run computes, and how precisely."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from sensorkd.errors import ConfigError
from sensorkd.training.config import TrainingConfig

__all__ = ["autocast_for", "created_on", "device_named", "device_of", "moved", "slow_precision"]


def device_named(name: str) -> torch.device:
    """`cpu`, `cuda`, or with `auto` a GPU where there is one.

    Raises:
        ConfigError: `cuda` is asked for and there is none.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "there is no GPU that torch can use",
            inside="training.device",
            found="cuda",
            expected="cpu, or auto, which takes a GPU where there is one",
        )
    return torch.device(name)


def device_of(network: nn.Module) -> torch.device:
    """Where a network's weights lie."""
    return next(network.parameters()).device


def moved(batch: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """A batch where the network is; on the CPU, the very tensors."""
    return {name: values.to(device) for name, values in batch.items()}


def created_on(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Within, tensors that are made from nothing (row numbers, zeros) are made there.

    Not for what chance decides: that is drawn on the CPU, so that a run repeats wherever it computes.
    """
    return contextlib.nullcontext() if device.type == "cpu" else device


def autocast_for(config: TrainingConfig, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """In `bf16`, convolutions and products run in bfloat16; weights, norms and losses stay float32."""
    if config.precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def slow_precision(config: TrainingConfig) -> str | None:
    """What a user should know where this computer runs the precision that is asked for more slowly than fp32.

    None where nothing is known against it. An x86 CPU without AVX-512 has no kernels for bfloat16, and torch
    falls back to its reference.
    """
    if config.precision == "fp32" or device_named(config.device).type != "cpu":
        return None
    if torch.backends.cpu.get_cpu_capability() != "AVX2":
        return None
    return (
        "training.precision is bf16, for which this CPU has no instructions (it has AVX2 and no AVX-512): "
        "steps take many times as long as with training.precision=fp32"
    )
