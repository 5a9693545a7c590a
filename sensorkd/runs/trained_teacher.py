"""A network that was trained to teach: its weights from a folder, and the statistics that it answers by."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from sensorkd.distillation.augmentation import Augmentation, AugmentationDraw
from sensorkd.distillation.pretext import Transform
from sensorkd.distillation.teacher import Teacher, view_statistics
from sensorkd.errors import RunError
from sensorkd.models.layered import LayeredStudent
from sensorkd.runs.run import WEIGHTS
from sensorkd.training.batches import Batch, WindowSource, collate
from sensorkd.training.checkpoint import load_tensors, without_prefix
from sensorkd.training.device import moved
from sensorkd.training.state_files import STATE
from sensorkd.training.step import augmented

__all__ = ["METHOD_OF", "TeacherKind", "ready_teacher", "trained_network"]

TeacherKind = Literal["plain", "layered"]
Weights = Literal["averaged", "last", "best"]
# What teaches verdicts needs no auxiliaries; what teaches stages was trained to have good ones.
METHOD_OF: Mapping[TeacherKind, str] = {"plain": "ce", "layered": "sad"}
# As `recompute_norms` takes them, so that the identity's statistics are those that would ship.
STATISTICS_BATCH, STATISTICS_BATCHES = 64, 32


def trained_network(
    layered: LayeredStudent, kind: TeacherKind, folder: Path, *, weights: Weights, method: str
) -> LayeredStudent:
    """A fresh network with the weights that were trained in a folder, ready to teach.

    Args:
        kind: `plain` takes the weights that ship, and does without auxiliaries; `layered` the last ones.
        weights: which of them ship. method: by which they were trained, for the error.

    Raises:
        RunError: they are missing, damaged, or have no auxiliaries where these should teach.
    """
    if kind == "plain":
        layered.student.load_state_dict(load_tensors(folder / WEIGHTS[weights])[0])
        return layered.without_auxiliaries()
    path = folder / STATE
    try:
        layered.load_state_dict(without_prefix("network", load_tensors(path)[0]))
    except RuntimeError as error:
        raise RunError(
            "the run that should teach has no auxiliaries, or others",
            file=path,
            inside="method.teacher_run",
            found=f"method {method}: {str(error)[:300]}",
            expected=f"a run by {METHOD_OF['layered']} or lsskd",
        ) from error
    return layered


def ready_teacher(
    network: LayeredStudent,
    kind: TeacherKind,
    windows: WindowSource,
    *,
    families: Mapping[str, Sequence[Transform]],
    augmentations: Mapping[str, Sequence[Augmentation]] | None,
    device: torch.device,
) -> Teacher:
    """A trained network that answers as it was trained to.

    Of verdicts, it is what ships. Of stages, it answers every view by statistics of that view: trained view
    by view, it fits no mixture of them.

    Args:
        windows: to take statistics of, the student's own. augmentations: of the windows that it takes them
            of, where norms of such ship (training.norms); None takes windows as they were logged.
    """
    if kind == "plain":
        return Teacher(network)
    chance = torch.Generator().manual_seed(1)

    def changed(prepared: dict[str, Tensor], presence: Tensor) -> Mapping[str, Tensor]:
        assert augmentations is not None
        return augmented(prepared, augmentations, AugmentationDraw(len(presence), chance))

    network = network.to(device)
    batches = (moved(batch, device) for batch in _statistics_batches(windows))
    statistics = view_statistics(network, batches, families, None if augmentations is None else changed)
    return Teacher(network, statistics)


def _statistics_batches(windows: WindowSource) -> Iterator[Batch]:
    """Windows as they were logged, drawn as `recompute_norms` draws them; the same at every call."""
    loader: DataLoader[Batch] = DataLoader(
        windows,  # type: ignore[arg-type]
        batch_size=min(STATISTICS_BATCH, len(windows)),
        shuffle=True,
        drop_last=True,
        generator=torch.Generator().manual_seed(0),
        collate_fn=collate,
    )
    return itertools.islice(iter(loader), STATISTICS_BATCHES)
