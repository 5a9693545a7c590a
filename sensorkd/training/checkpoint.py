"""Tensors and a little JSON in one safetensors file, written so that a kill leaves the old or the new."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from sensorkd.errors import RunError

__all__ = ["load_tensors", "prefixed", "save_tensors", "without_prefix"]


def save_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write atomically: a temporary file beside it, flushed to disk, then renamed."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    contiguous = {name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}
    save_file(contiguous, part, metadata={"about": json.dumps(about)})
    with part.open("rb") as handle:
        os.fsync(handle.fileno())
    part.replace(path)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote.

    Raises:
        RunError: the file is missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as handle:
            about = json.loads((handle.metadata() or {}).get("about", "{}"))
            return {name: handle.get_tensor(name) for name in handle.keys()}, about  # noqa: SIM118
    except FileNotFoundError as error:
        raise RunError("no such weights", file=path, mend="finish the training run first") from error
    except (SafetensorError, OSError, ValueError) as error:
        raise RunError(
            "the weights cannot be read",
            file=path,
            found=error,
            mend="remove the file and resume, or train again",
        ) from error


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names with a prefix, so that several sets share a file."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def without_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The set that was saved under a prefix."""
    start = f"{prefix}."
    return {name[len(start) :]: tensor for name, tensor in tensors.items() if name.startswith(start)}


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimiser's state as flat names: `<parameter index>.<quantity>`."""
    state = optimiser.state_dict()["state"]
    return {f"{index}.{name}": value for index, values in state.items() for name, value in values.items()}


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `optimiser_tensors`."""
    tree = optimiser.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, quantity = name.split(".", 1)
        state.setdefault(int(index), {})[quantity] = value
    tree["state"] = state
    optimiser.load_state_dict(tree)
