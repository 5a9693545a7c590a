"""The teacher of an image run: a larger network, trained beforehand by a run of its own on the same images.

Axes: B images, M transforms.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from sensorkd.distillation.teacher import Teacher
from sensorkd.errors import RunError
from sensorkd.images.config import ImageRunConfig
from sensorkd.images.network import fresh_network
from sensorkd.images.run_folder import result_of, run_in
from sensorkd.models.layered import LayeredStudent
from sensorkd.models.plain import IMAGE
from sensorkd.runs.trained_teacher import ready_teacher, trained_network
from sensorkd.training.batches import WindowSource
from sensorkd.training.device import device_named

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
    return ready_teacher(
        network,
        kind,
        images,
        families={IMAGE: config.family},
        augmentations={IMAGE: config.augmentations()} if config.training.norms == "augmented" else None,
        device=device_named(config.training.device),
    )


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
