"""What a run trains by: method, numbers, transforms, augmentations and seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sensorkd.distillation.augmentation import Augmentation
from sensorkd.distillation.methods import Method
from sensorkd.distillation.pretext import IDENTITY, Transform
from sensorkd.distillation.pseudo_labels import Alignment
from sensorkd.distillation.teacher import Teacher
from sensorkd.errors import ConfigError
from sensorkd.models.layered import LayeredStudent
from sensorkd.training.batches import ArrayDataset, WindowSource, labels_of
from sensorkd.training.checkpoint import digest_of
from sensorkd.training.config import TrainingConfig
from sensorkd.training.priors import sampled_prior

__all__ = ["Recipe"]

# Left out of a recipe's identity at their defaults: a run begun before they existed can be resumed.
LATER = (
    "sampling",
    "logit_adjustment",
    "unlabelled_batch",
    "optimiser",
    "momentum",
    "nesterov",
    "schedule",
    "milestones",
    "decay",
    "precision",
    "device",
    "norms",
)


@dataclass(frozen=True)
class Recipe:
    """How to train: the method, the loop's numbers, and each modality's transforms and augmentations.

    teacher: for methods that have one, a finished network over the same inputs. unlabelled_shares: (N,) how
    common classes are among windows without a label, where that is known; `labels`: as among the labelled.
    voices: who is asked of which class a window without a label is: the first of these subsets of the sensors
    that it has whole, nobody where it has none; None: all sensors that it has.
    """

    method: Method
    config: TrainingConfig
    families: Mapping[str, Sequence[Transform]]
    augmentations: Mapping[str, Sequence[Augmentation]]
    seed: int
    teacher: Teacher | None = None
    unlabelled_shares: tuple[float, ...] | Literal["labels"] | None = None
    voices: tuple[tuple[str, ...], ...] | None = None

    @property
    def transforms(self) -> Mapping[str, Sequence[Transform]]:
        """Each modality's transforms in this method: the identity alone where there is no pretext."""
        return self.families if self.method.pretext else dict.fromkeys(self.families, (IDENTITY,))

    def identity(self, windows: int, unlabelled: int = 0) -> dict[str, Any]:
        """What a resumed run must share with the one that was cut off, as flat plain values."""
        fields = TrainingConfig.model_fields
        left_out = {key for key in LATER if getattr(self.config, key) == fields[key].default}
        told = self.config.model_dump(mode="json", exclude=left_out)
        shares = self.unlabelled_shares
        return {
            **{f"method.{key}": value for key, value in self.method.changed().items()},
            **{f"training.{key}": value for key, value in told.items()},
            "transforms": [f"{name}: {t.name}" for name, family in self.families.items() for t in family],
            "augmentations": [
                f"{name}: {type(a).__name__}" for name, some in self.augmentations.items() for a in some
            ],
            "seed": self.seed,
            "windows": windows,
            **({"unlabelled": unlabelled} if unlabelled else {}),
            # As it is read back.
            **(
                {}
                if shares is None
                else {"unlabelled_shares": shares if shares == "labels" else list(shares)}
            ),
            **({} if self.voices is None else {"voices": [list(subset) for subset in self.voices]}),
            **({} if self.teacher is None else {"teacher": digest_of(self.teacher.network.state_dict())}),
        }

    def check(
        self,
        layered: LayeredStudent,
        windows: WindowSource,
        dev: WindowSource | None,
        unlabelled: WindowSource | None = None,
    ) -> None:
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
        if method.unlabelled and not method.layered and not unlabelled:
            raise ConfigError(
                f"the method {method.name!r} lives on windows without a label, and there is none",
                inside="method.unlabelled",
                found=0,
                expected="at least one",
                mend="train with `ce`, or leave some training windows without a label: labels_per_class",
            )
        self._check_visits(len(windows))

    def check_teacher(self, layered: LayeredStudent) -> None:
        """Refuse a teacher that is missing, idle, or of another kind; it may be trained after `check`.

        Raises:
            ConfigError: there is none where the method needs one, or the other way round, or it does not fit.
        """
        method = self.method
        if (self.teacher is None) != (method.teacher == "none"):
            raise ConfigError(
                "a method with a teacher needs one, and others have no use for it",
                inside="method.teacher",
                found=f"teacher: {method.teacher}, with {'none' if self.teacher is None else 'one'} at hand",
                mend="give Recipe.teacher, or choose another method",
            )
        if self.teacher is not None:
            self.teacher.check(layered)

    def will_visit(self, windows: int) -> bool:
        """Whether an epoch begins after the warm-up; so many windows have a label."""
        steps = self.config.total_steps
        epochs = range(0, steps, self.config.steps_per_epoch(windows))
        return any(self.method.visits_at(step, steps) for step in epochs)

    def _check_visits(self, windows: int) -> None:
        """Windows must be seen again before their last visit is too long ago."""
        method, config = self.method, self.config
        one_pass = max(1, windows // config.batch_size)
        epoch = config.steps_per_epoch(windows)
        # With max_steps a run is cut short on purpose: a trial of whether it runs at all.
        single = epoch >= config.total_steps and config.max_steps is None
        if method.earlier == "snapshot" and not method.pseudo_from_visit and single:
            raise ConfigError(
                "no epoch is before another, so there is no earlier network to listen to",
                inside="method.earlier",
                found=f"snapshot, with epochs of {epoch} steps, of {config.total_steps} in all",
                expected="at least two epochs",
                mend="lower training.epoch_steps, raise training.steps, or set method.earlier=ema",
            )
        if method.earlier == "last_visit" and one_pass > min(method.max_age, config.total_steps - 1):
            raise ConfigError(
                "no window is seen again in time for its last visit to soften anything",
                inside="method.earlier",
                found=f"a pass of {one_pass} steps, of {config.total_steps} in all, "
                f"with method.max_age {method.max_age}",
                expected="at least two passes, and a longer max_age than one of them",
                mend="raise training.steps or method.max_age, or set method.earlier=ema",
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
        mass = windows.label_mass(classes) if isinstance(windows, ArrayDataset) else None
        prior = sampled_prior(labels, classes=classes, sampling=self.config.sampling, mass=mass)
        return torch.tensor(self.config.logit_adjustment * np.log(prior), dtype=torch.float32)

    def alignment(self, windows: WindowSource, classes: int) -> Alignment | None:
        """Brings pseudo-labels of single batches to the class shares, where the method asks for it.

        Raises:
            ConfigError: see `class_shares`.
        """
        shares = None if self.method.pseudo_from_visit else self.class_shares(windows, classes)
        return None if shares is None else Alignment(shares)

    def class_shares(self, windows: WindowSource, classes: int) -> Tensor | None:
        """(N,) shares of the classes that pseudo-labels are brought to; None: they stay as they are.

        Raises:
            ConfigError: the shares are not of the classes; or they should be those of the labels, and the
                windows do not tell these, or a class has none.
        """
        told = self.unlabelled_shares
        if told is None or not (self.method.pseudo_labels and self.method.align):
            return None
        if told == "labels":
            labels = labels_of(windows, asked_by="unlabelled_shares")
            mass = windows.label_mass(classes) if isinstance(windows, ArrayDataset) else None
            told = tuple(sampled_prior(labels, classes=classes, sampling="natural", mass=mass).tolist())
        if len(told) != classes:
            raise ConfigError(
                "the class shares are not of the student's classes",
                inside="unlabelled_shares",
                found=f"{len(told)} shares",
                expected=f"{classes}, one a class",
            )
        return torch.tensor(told, dtype=torch.float32)
