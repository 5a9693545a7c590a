"""Tensors and a little JSON in one safetensors file, written so that a kill leaves the old or the new."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from sensorkd.durable import sync
from sensorkd.errors import RunError

__all__ = ["digest_of", "load_tensors", "prefixed", "save_tensors", "without_prefix"]


def save_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write atomically: a temporary file beside it, flushed to disk, then renamed.

    The temporary file has one name, so that runs that were killed leave no more than one; a lock of the
    folder keeps other processes away.

    Raises:
        RunError: the disk is full, or the folder cannot be written to; an older file is as it was.
    """
    part = path.with_name(f".{path.name}.part")
    contiguous = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    told = json.dumps(about)
    try:
        save_file(contiguous, part, metadata={"about": told, "sha256": _digest(contiguous, told)})
        sync(part)
        part.replace(path)
        sync(path.parent)
    except (SafetensorError, OSError) as error:
        part.unlink(missing_ok=True)
        raise RunError(
            "the weights cannot be written",
            file=path,
            found=error,
            mend="make room, or name a folder that can be written to",
        ) from error


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote.

    Raises:
        RunError: the file is missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as handle:
            metadata = handle.metadata() or {}
            tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
        told = metadata.get("about", "{}")
        # safetensors checks the frame only; a flipped bit in a weight shows here.
        if metadata.get("sha256", "") not in ("", _digest(tensors, told)):
            raise ValueError("its content is not what was written")
        return tensors, json.loads(told)
    except FileNotFoundError as error:
        raise RunError("no such weights", file=path, mend="finish the training run first") from error
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise RunError(
            "the weights cannot be read",
            file=path,
            found=error,
            mend="put the file back from a copy, or train again",
        ) from error


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    """Tells one set of tensors from another."""
    return _digest({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, "")


def _digest(tensors: Mapping[str, Tensor], told: str) -> str:
    """SHA-256 over names, dtypes, shapes and bytes of all tensors, and what is told about them."""
    content = hashlib.sha256(told.encode())
    for name, tensor in sorted(tensors.items()):
        content.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        content.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return content.hexdigest()


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
