"""What a run trains by: method, numbers, transforms, augmentations and seed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sensorkd.distillation.augmentation import Augmentation
from sensorkd.distillation.methods import Method
from sensorkd.distillation.pretext import Transform
from sensorkd.errors import ConfigError
from sensorkd.models.layered import LayeredStudent
from sensorkd.training.batches import WindowSource, labels_of
from sensorkd.training.config import TrainingConfig
from sensorkd.training.priors import sampled_prior

__all__ = ["Recipe"]

# Left out of a recipe's identity at their defaults: a run begun before they existed can be resumed.
LATER = ("sampling", "logit_adjustment")


@dataclass(frozen=True)
class Recipe:
    """How to train: the method, the loop's numbers, and each modality's transforms and augmentations."""

    method: Method
    config: TrainingConfig
    families: Mapping[str, Sequence[Transform]]
    augmentations: Mapping[str, Sequence[Augmentation]]
    seed: int

    def identity(self, windows: int) -> dict[str, Any]:
        """What a resumed run must share with the one that was cut off, as flat plain values."""
        config = self.config.model_dump(mode="json")
        defaults = {key: TrainingConfig.model_fields[key].default for key in LATER}
        told = {key: value for key, value in config.items() if key not in LATER or value != defaults[key]}
        return {
            **{f"method.{key}": value for key, value in dataclasses.asdict(self.method).items()},
            **{f"training.{key}": value for key, value in told.items()},
            "transforms": [f"{name}: {t.name}" for name, family in self.families.items() for t in family],
            "augmentations": [
                f"{name}: {type(a).__name__}" for name, some in self.augmentations.items() for a in some
            ],
            "seed": self.seed,
            "windows": windows,
        }

    def check(self, layered: LayeredStudent, windows: WindowSource, dev: WindowSource | None) -> None:
        """Refuse at once what would fail, or silently do less, later.

        Raises:
            ConfigError: the recipe does not fit the student or the windows.
        """
        method, config = self.method, self.config
        if not len(windows):
            raise ConfigError("there is no window to train on", found=0, expected="at least one")
        if config.weights == "best" and dev is None:
            raise ConfigError(
                "`best` weights need a dev group", inside="training.weights", mend="name split.dev groups"
            )
        sizes = {name: len(family) for name, family in self.families.items()}
        if sizes != layered.families:
            raise ConfigError(
                "the recipe's transforms are not those the auxiliaries were built for",
                found=sizes,
                expected=layered.families,
            )
        if method.views > layered.transforms:
            raise ConfigError(
                "a method asks for more views than there are transforms",
                inside="method.views",
                found=method.views,
                expected=f"at most {layered.transforms}",
            )

    def balance(self, windows: WindowSource, classes: int) -> NDArray[np.int64] | None:
        """(W,) labels to balance every pass by, or None to take the windows as they are.

        Raises:
            ConfigError: the windows do not tell their labels, or a class has none.
        """
        if self.config.sampling == "natural":
            return None
        labels = labels_of(windows, asked_by="training.sampling")
        sampled_prior(labels, classes=classes, sampling=self.config.sampling)
        return labels

    def adjustment(self, windows: WindowSource, classes: int) -> Tensor | None:
        """(N,) tau log pi that the loss adds to logits, or None for nothing; see `losses.adjusted`.

        Raises:
            ConfigError: the windows do not tell their labels, or a class has none.
        """
        if self.config.logit_adjustment == 0:
            return None
        labels = labels_of(windows, asked_by="training.logit_adjustment")
        prior = sampled_prior(labels, classes=classes, sampling=self.config.sampling)
        return torch.tensor(self.config.logit_adjustment * np.log(prior), dtype=torch.float32)
