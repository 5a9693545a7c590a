"""The configuration of a run on plain images: one frozen, typed tree."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sensorkd.distillation.augmentation import Augmentation
from sensorkd.distillation.methods import Method
from sensorkd.distillation.pretext import ROTATIONS, Transform
from sensorkd.errors import nearest
from sensorkd.images.augmentation import HorizontalFlip, PaddedCrop, ResizedCrop
from sensorkd.images.dataset import ImageFormat
from sensorkd.models.frontend import ChannelStats
from sensorkd.models.image_networks import NETWORKS
from sensorkd.runs.method_config import MethodConfig
from sensorkd.runs.trained_teacher import METHOD_OF
from sensorkd.training.config import Seed, TrainingConfig

__all__ = ["ImageRunConfig"]

Colours = tuple[float, float, float]


class ImageRunConfig(BaseModel):
    """Everything a run on plain images depends on.

    data: an HDF5 file or a folder; `~` and `$VARIABLES` are expanded. student: a published network.
    teacher_student: the larger one that is trained first and teaches, for methods that have a teacher; others
    leave it alone. A finished run may teach instead: method.teacher_run.
    side: pixels a side of the images in memory. fit: shorter side to `side`, then the middle. size: pixels a
    side that the network sees, the middle of `side`. mean, std: of the colours, from 0 to 1.
    augmentation: `crop` pads by `padding` pixels, cuts and flips (CIFAR); `resized_crop` takes a part of any
    size and flips (ImageNet). labels_share: share of the labels of each class that is used; the other
    images are left out, or serve without labels where the method has a weight for them.
    epochs: passes over the labelled images; given, they set training.steps and training.epoch_steps.
    channels_last: how maps lie in memory. threads: decoders at once.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: str
    format: ImageFormat
    student: str
    teacher_student: str | None = None
    side: Annotated[int, Field(ge=8)] = 32
    fit: bool = False
    size: Annotated[int, Field(ge=8)] | None = None
    mean: Colours = (0.5071, 0.4867, 0.4408)
    std: Colours = (0.2675, 0.2565, 0.2761)
    augmentation: Literal["crop", "resized_crop", "none"] = "crop"
    padding: Annotated[int, Field(ge=0)] = 4
    labels_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    method: MethodConfig = MethodConfig()
    training: TrainingConfig = TrainingConfig()
    epochs: Annotated[int, Field(ge=1)] | None = None
    channels_last: bool = False
    threads: Annotated[int, Field(ge=1)] = 1
    seed: Seed = 0
    out: str

    @model_validator(mode="after")
    def _names_and_sizes(self) -> ImageRunConfig:
        for name in (self.student, self.teacher_student):
            if name is not None and name not in NETWORKS:
                raise ValueError(
                    f"no image network {name!r}; {nearest(name, NETWORKS)}there are {sorted(NETWORKS)}"
                )
        if self.size is not None and self.size > self.side:
            raise ValueError(f"size {self.size} is more than side {self.side}, of which it is the middle")
        if self.size not in (None, self.side) and self.augmentation == "crop":
            raise ValueError("`augmentation: crop` keeps the size: leave `size` out, or take resized_crop")
        if self.method.method().auxiliaries == "modality":
            raise ValueError("method.auxiliaries: an image has no stages of a modality; take `fused`")
        if self.training.weights == "best":
            raise ValueError("training.weights: `best` is chosen by dev groups, which images have none of")
        if min(self.std) <= 0:
            raise ValueError(f"std {list(self.std)} must be above 0")
        return self

    @model_validator(mode="after")
    def _teacher_is_named(self) -> ImageRunConfig:
        if self.method.teacher_size is not None:
            raise ValueError(
                "method.teacher_size is of sensors' students: name a network in `teacher_student`"
            )
        if not self.has_teacher or self.method.teacher_run is not None:
            return self
        if self.teacher_student is None:
            raise ValueError(
                f"method {self.method.name!r} needs a teacher: name its network in `teacher_student`, or a "
                "finished run in `method.teacher_run`"
            )
        stages = {name: len(NETWORKS[name].stages) for name in (self.student, self.teacher_student)}
        if self.method.method().teacher == "layered" and len(set(stages.values())) > 1:
            raise ValueError(f"stage teaches stage, and these networks have unlike numbers of them: {stages}")
        return self

    @property
    def seen(self) -> int:
        """Pixels a side that the network sees."""
        return self.side if self.size is None else self.size

    @property
    def stats(self) -> ChannelStats:
        """Of the colours, from 0 to 255."""
        mean, std = (tuple(255 * value for value in values) for values in (self.mean, self.std))
        return ChannelStats(mean, std)

    @property
    def resolved_method(self) -> Method:
        """The method without `cross`: that teaches modalities by their fusion, and an image is one."""
        method = self.method.method()
        return dataclasses.replace(method, cross=0.0) if method.cross else method

    def method_for(self, labelled: int, unlabelled: int = 0) -> Method:
        """`resolved_method`, for so many images.

        A last visit counts until the next one, as in PS-KD, whose code knows no age: two passes, unless the
        configuration says otherwise.
        """
        method = self.resolved_method
        if method.earlier != "last_visit" or self.method.max_age is not None:
            return method
        images = max(labelled, unlabelled if method.unlabelled else 0)
        return dataclasses.replace(
            method, max_age=max(method.max_age, 2 * (images // self.training.batch_size))
        )

    @property
    def has_teacher(self) -> bool:
        """Whether a larger network teaches."""
        return self.method.method().teacher != "none"

    @property
    def teacher_method(self) -> MethodConfig | None:
        """How the larger network is trained, where it is trained for this run."""
        kind = self.method.method().teacher
        return None if kind == "none" or self.method.teacher_run else MethodConfig(name=METHOD_OF[kind])

    @property
    def numbers(self) -> dict[str, Any]:
        """What the methods of the run, and of a teacher trained for it, come to; by flat names."""
        told = {f"method.{key}": value for key, value in self.resolved_method.changed().items()}
        taught = self.teacher_method
        numbers = {} if taught is None else taught.method().changed()
        return told | {f"teacher.{key}": value for key, value in numbers.items()}

    @property
    def family(self) -> tuple[Transform, ...]:
        """What auxiliaries tell apart beside the class: quarter turns."""
        return ROTATIONS

    def lengthened(self, factor: float) -> ImageRunConfig:
        """The same, trained for so many times as long."""
        if self.epochs is not None:
            return self.model_copy(update={"epochs": max(1, round(self.epochs * factor))})
        steps = max(1, round(self.training.steps * factor))
        return self.model_copy(update={"training": self.training.model_copy(update={"steps": steps})})

    def training_of(self, labelled: int) -> TrainingConfig:
        """The loop's numbers for so many labelled images."""
        if self.epochs is None:
            return self.training
        one_pass = max(1, labelled // self.training.batch_size)
        length = self.training.epoch_steps or one_pass
        return self.training.model_copy(update={"steps": self.epochs * one_pass, "epoch_steps": length})

    def augmentations(self) -> tuple[Augmentation, ...]:
        """Of prepared images, in their order."""
        black = tuple(-mean / std for mean, std in zip(self.mean, self.std, strict=True))
        if self.augmentation == "crop":
            return (PaddedCrop(self.padding, black), HorizontalFlip())
        return (ResizedCrop(self.seen), HorizontalFlip()) if self.augmentation == "resized_crop" else ()
