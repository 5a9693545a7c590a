"""A run folder: the resolved configuration, what the model expects, and its weights."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from sensorkd._version import __version__
from sensorkd.adapters import SensorAdapter
from sensorkd.durable import write_whole
from sensorkd.encoding import InputEncoding
from sensorkd.errors import ConfigError, RunError
from sensorkd.models.frontend import ChannelStats
from sensorkd.models.layered import LayeredStudent
from sensorkd.models.student import Student
from sensorkd.runs.build import Families, adapters_for, build_layered, build_student, families_of
from sensorkd.runs.config import RunConfig
from sensorkd.runs.config_file import parse_config
from sensorkd.training.checkpoint import load_tensors
from sensorkd.training.priors import class_shares, shift_classifier
from sensorkd.training.state_files import STATE
from sensorkd.windows.health import SensorHealth
from sensorkd.windows.splits import Split

__all__ = ["Run"]

CONFIG, ABOUT, LOG = "config.yaml", "run.json", "metrics.jsonl"
WEIGHTS = {"averaged": "averaged.safetensors", "last": "final.safetensors", "best": "best.safetensors"}


@dataclass(frozen=True)
class Run:
    """folder: holds `config.yaml`, `run.json`, `metrics.jsonl` and weights.

    groups: the groups that were trained on, chosen by (`dev`) and held out (`test`). trained_prior: the class
    shares that the weights answer for; training's, unless it evened them out. health: of each sensor in the
    labelled training windows. windows: a digest of which those are, and of their labels. left_out: what was
    wrong with files that could not be read, or not whole.
    """

    folder: Path
    config: RunConfig
    encodings: Mapping[str, InputEncoding]
    stats: Mapping[str, ChannelStats]
    classes: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]]
    trained_prior: tuple[float, ...]
    health: Mapping[str, SensorHealth] = field(default_factory=dict)
    windows: str = ""
    left_out: tuple[str, ...] = ()

    def save(self) -> None:
        """Write configuration and description; weights are written by training."""
        self.folder.mkdir(parents=True, exist_ok=True)
        tree = self.config.model_dump(mode="json")
        about = {
            "sensorkd": __version__,
            "classes": list(self.classes),
            "groups": {side: list(names) for side, names in self.groups.items()},
            "trained_prior": list(self.trained_prior),
            "windows": self.windows,
            "left_out": list(self.left_out),
            "health": {name: item.to_json() for name, item in self.health.items()},
            "inputs": {name: encoding.to_json() for name, encoding in self.encodings.items()},
            "stats": {name: dataclasses.asdict(stats) for name, stats in self.stats.items()},
        }
        write_whole(self.folder / ABOUT, json.dumps(about, indent=1).encode())
        # Last, since a folder with a configuration holds a run.
        write_whole(self.folder / CONFIG, yaml.safe_dump(tree, sort_keys=False).encode())

    @classmethod
    def load(cls, folder: str | Path) -> Run:
        """Open a run folder.

        Raises:
            RunError: it is none, or damaged.
        """
        folder = Path(folder)
        try:
            tree = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
            about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise RunError(
                "not a run folder",
                file=folder,
                found=", ".join(sorted(item.name for item in folder.glob("*"))) or "nothing",
                expected=f"{CONFIG} and {ABOUT}, as `sensorkd train` writes them",
            ) from error
        except (ValueError, yaml.YAMLError) as error:
            raise RunError("the run folder is damaged", file=folder, found=error) from error
        try:
            return cls._from_trees(folder, tree, about)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunError(
                "the run folder is damaged, or another version of sensorkd wrote it",
                file=folder / ABOUT,
                found=repr(error),
                expected=f"what sensorkd {__version__} writes",
                mend="train again, or use the version that wrote it",
            ) from error

    @classmethod
    def _from_trees(cls, folder: Path, tree: Any, about: Mapping[str, Any]) -> Run:
        return cls(
            folder=folder,
            config=parse_config(tree, source=folder / CONFIG),
            encodings={name: InputEncoding.from_json(item) for name, item in about["inputs"].items()},
            stats={
                name: ChannelStats(tuple(item["mean"]), tuple(item["std"]))
                for name, item in about["stats"].items()
            },
            classes=tuple(about["classes"]),
            groups={side: tuple(names) for side, names in about["groups"].items()},
            trained_prior=tuple(about["trained_prior"]),
            health={name: SensorHealth(**item) for name, item in about["health"].items()},
            windows=about["windows"],
            left_out=tuple(about.get("left_out", ())),  # earlier versions told none
        )

    @property
    def adapters(self) -> dict[str, SensorAdapter]:
        """The adapter of each input, with the run's options."""
        options = {name: dict(item.options) for name, item in self.config.inputs.items()}
        return adapters_for(self.encodings, options)

    @property
    def split(self) -> Split:
        """The groups on each side, as they were when it was trained; archives may have come or gone since."""
        return Split(**self.groups)

    @property
    def families(self) -> Families:
        """The transforms of each input in training."""
        chosen = {name: item.pretext for name, item in self.config.inputs.items()}
        return families_of(self.adapters, self.encodings, chosen)

    def fresh_student(self) -> Student:
        """The student as it is before training."""
        return build_student(
            self.encodings,
            self.stats,
            self.adapters,
            classes=self.classes,
            size=self.config.model.model_size(),
            seed=self.config.seed,
        )

    def fresh_layered(self) -> LayeredStudent:
        """The student as it is before training, with the auxiliaries of the configuration around it."""
        model = self.config.model
        return build_layered(
            self.fresh_student(),
            self.families,
            seed=self.config.seed,
            depth=model.auxiliary_depth,
            norm=model.norm,
        )

    @property
    def prior(self) -> tuple[float, ...]:
        """The class shares that `student()` answers for: the plant's if the configuration says them.

        Raises:
            ConfigError: they do not name every class, or others.
        """
        told = self.config.deployment_prior
        return self.trained_prior if told is None else self._shares(told, "deployment_prior")

    @property
    def unlabelled_shares(self) -> tuple[float, ...] | Literal["labels"] | None:
        """The class shares of the windows without a label, as the recipe takes them.

        Raises:
            ConfigError: they do not name every class, or others.
        """
        told = self.config.unlabelled_shares
        if told == "uniform":
            return (1 / len(self.classes),) * len(self.classes)
        return self._shares(told, "unlabelled_shares") if isinstance(told, Mapping) else told

    def _shares(self, told: Mapping[str, float], key: str) -> tuple[float, ...]:
        """By class name -> by class number."""
        if set(told) != set(self.classes):
            raise ConfigError(
                "the class shares are not of these classes",
                inside=key,
                found=sorted(told),
                expected=list(self.classes),
                mend=f"name every class with its share in `{key}`",
            )
        return tuple(class_shares([told[name] for name in self.classes], key).tolist())

    @property
    def finished(self) -> bool:
        """Whether all steps were taken: weights that ship are written after the last one."""
        return (self.folder / WEIGHTS[self.config.training.weights]).exists()

    def student(self) -> Student:
        """The trained student, ready to judge, answering for the class shares of `prior`.

        Raises:
            RunError: training was not finished, or the weights are damaged.
        """
        if not self.finished:
            raise RunError(
                "this run was not finished", file=self.folder, mend="sensorkd train CONFIG --resume"
            )
        path = self.folder / WEIGHTS[self.config.training.weights]
        student = self.fresh_student()
        try:
            student.load_state_dict(load_tensors(path)[0])
        except RunError as error:
            if self.config.training.weights != "best" and (self.folder / STATE).exists():
                error.mend = "remove the file: sensorkd train CONFIG --resume makes it anew from the state"
            raise
        if self.config.deployment_prior is not None:
            shift_classifier(student, self.trained_prior, self.prior)
        return student.eval()
