"""The teacher of an image run: a larger network, trained beforehand by a run of its own on the same images.

Axes: B images, M transforms.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from sensorkd.distillation.augmentation import AugmentationDraw
from sensorkd.distillation.pretext import transform_all
from sensorkd.distillation.teacher import Teacher
from sensorkd.errors import RunError
from sensorkd.images.config import ImageRunConfig
from sensorkd.images.network import fresh_network
from sensorkd.images.run_folder import result_of, run_in
from sensorkd.models.layered import LayeredStudent
from sensorkd.models.plain import IMAGE
from sensorkd.models.plain_layered import LayeredPlain
from sensorkd.runs.teacher import statistics_batches, trained_network
from sensorkd.training.batches import WindowSource
from sensorkd.training.device import created_on, device_named, device_of, moved
from sensorkd.training.step import augmented

__all__ = ["loaded_teacher", "own_teacher", "shared_teacher"]

FOLDER = "teacher"


def own_teacher(config: ImageRunConfig) -> ImageRunConfig:
    """The run that trains a teacher for this one, in `<run>/teacher`: the same but for network and method."""
    changes = {
        "student": config.teacher_student,
        "teacher_student": None,
        "method": config.teacher_method,
        "out": str(Path(config.out) / FOLDER),
    }
    return config.model_copy(update=changes)


def shared_teacher(config: ImageRunConfig) -> ImageRunConfig:
    """The finished run that is to teach this one.

    Raises:
        RunError: it was not finished, or saw other images, other labels, or images of another size.
    """
    folder = Path(str(config.method.teacher_run))
    taught = run_in(folder)
    if result_of(folder) is None:
        raise RunError(
            "the run that should teach was not finished",
            file=folder,
            inside="method.teacher_run",
            mend="run it to its end",
        )
    mine, theirs = _shared_parts(taught), _shared_parts(config)
    differing = [name for name in mine if mine[name] != theirs[name]]
    if differing:
        raise RunError(
            "the run that should teach is not of the same images and labels",
            file=folder,
            inside="method.teacher_run",
            found={name: mine[name] for name in differing},
            expected={name: theirs[name] for name in differing},
            mend="leave method.teacher_run out and name a network in `teacher_student`, to train one for it; "
            "one that saw other labels would tell this run more than its labels do",
        )
    return taught


def loaded_teacher(
    taught: ImageRunConfig, config: ImageRunConfig, images: WindowSource, *, classes: int
) -> Teacher:
    """The network that a finished run trained, ready to teach.

    Of verdicts, it is what ships. Of stages, it answers every view by statistics of that view, of the images
    by which norms ship (training.norms): trained view by view, it fits no mixture of them.

    Args:
        taught: the run that trained it. config: the run that is taught. images: to learn from, of that run.

    Raises:
        RunError: its weights are missing, or it has no auxiliaries where these should teach.
    """
    kind = config.resolved_method.teacher
    assert kind != "none"
    # Training asks nothing of it that it does not have; see models/protocols.py.
    network = trained_network(
        cast(LayeredStudent, fresh_network(taught, classes)),
        kind,
        Path(taught.out),
        weights=taught.training.weights,
        method=taught.method.name,
    )
    if kind == "plain":
        return Teacher(network)
    network = network.to(device_named(config.training.device))
    return Teacher(network, _statistics(cast(LayeredPlain, network), config, images))


def _shared_parts(config: ImageRunConfig) -> dict[str, Any]:
    return {
        "data": str(Path(config.data).resolve()),
        "format": config.format,
        "side": config.side,
        "fit": config.fit,
        "size": config.seen,
        "mean": config.mean,
        "std": config.std,
        "labels_share": config.labels_share,
        # It draws which labels are used, where not all are.
        "seed": config.seed if config.labels_share < 1 else None,
    }


@torch.no_grad()
def _statistics(
    network: LayeredPlain, config: ImageRunConfig, images: WindowSource
) -> list[dict[str, Tensor]]:
    """Batch-norm statistics of each view, in stages and auxiliaries alike; for `Teacher`.

    `view_statistics` runs what stands beside the trunk of sensors. Here the auxiliaries stand on the trunk.
    """
    networks = [copy.deepcopy(network).eval() for _ in range(network.transforms)]
    for norm in (norm for one in networks for norm in _norms(one).values()):
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the batches
        norm.train()
    for x, presence in _batches(network, config, images):
        for view, one in enumerate(networks):
            with created_on(device_of(network)):
                one(transform_all({IMAGE: x}, {IMAGE: config.family}, [view]), presence)
    return [
        {f"{name}.{kind}": value for name, norm in _norms(one).items() for kind, value in _kept(norm).items()}
        for one in networks
    ]


def _batches(
    network: LayeredPlain, config: ImageRunConfig, images: WindowSource
) -> Iterator[tuple[Tensor, Tensor]]:
    """Prepared floats (B, C, 1, H, W) and presence (B, 1), augmented where norms are to be those of such."""
    chance = torch.Generator().manual_seed(1)
    for batch in statistics_batches(images):
        here = moved(batch, device_of(network))
        prepared = network.student.prepare({IMAGE: here[IMAGE]})
        if config.training.norms == "augmented":
            draw = AugmentationDraw(len(here["presence"]), chance)
            prepared = augmented(prepared, {IMAGE: config.augmentations()}, draw)
        yield prepared[IMAGE], here["presence"]


def _norms(network: nn.Module) -> dict[str, nn.modules.batchnorm._BatchNorm]:
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
    }


def _kept(norm: nn.modules.batchnorm._BatchNorm) -> Mapping[str, Tensor]:
    assert norm.running_mean is not None and norm.running_var is not None
    return {"running_mean": norm.running_mean, "running_var": norm.running_var}
