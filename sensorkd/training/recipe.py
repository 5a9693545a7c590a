"""What a run trains by: method, numbers, transforms, augmentations and seed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sensorkd.distillation.augmentation import Augmentation
from sensorkd.distillation.methods import Method
from sensorkd.distillation.pretext import Transform
from sensorkd.errors import ConfigError
from sensorkd.models.layered import LayeredStudent
from sensorkd.training.batches import WindowSource
from sensorkd.training.config import TrainingConfig

__all__ = ["Recipe"]


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
        return {
            **{f"method.{key}": value for key, value in dataclasses.asdict(self.method).items()},
            **{f"training.{key}": value for key, value in self.config.model_dump(mode="json").items()},
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
