"""The configuration of a run: one frozen, typed tree, read from YAML with dotted overrides."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sensorkd import timeline
from sensorkd.distillation.methods import METHODS, Method, method_named
from sensorkd.errors import ConfigError, SensorkdError, nearest
from sensorkd.models.size import SIZES
from sensorkd.training.config import TrainingConfig
from sensorkd.windows.encode import InputRequest
from sensorkd.windows.labels import LabelRule

__all__ = ["InputConfig", "MethodConfig", "RunConfig", "load_config", "parse_config"]

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class InputConfig(_Strict):
    """One input, named after the stream it reads.

    span: seconds before each reference (windows by hop). steps: samples a whole recording is resampled
    to (whole windows). required: windows without it are left out. options: for the adapter.
    """

    span: Positive | None = None
    steps: Annotated[int, Field(ge=1)] | None = None
    required: bool = False
    min_coverage: Annotated[float, Field(gt=0, le=1)] = 0.8
    options: Mapping[str, Any] = {}

    def request(self) -> InputRequest:
        """The same in nanoseconds."""
        span = None if self.span is None else round(self.span * timeline.SECOND)
        return InputRequest(span, self.steps, self.required, self.min_coverage, self.options)


class WindowsConfig(_Strict):
    """reference: `whole` for one window a recording, `hop` for one every `hop` seconds."""

    reference: Literal["whole", "hop"]
    hop: Positive | None = None

    @model_validator(mode="after")
    def _hop_goes_with_hop(self) -> WindowsConfig:
        if (self.reference == "hop") != (self.hop is not None):
            raise ValueError("`hop: SECONDS` goes with `reference: hop`, and only with it")
        return self


class SplitConfig(_Strict):
    """by: the identity that must not stand on two sides. All groups not named here are trained on."""

    by: str
    dev: tuple[str, ...] = ()
    test: tuple[str, ...] = ()


class ModelConfig(_Strict):
    """size: how large the student is."""

    size: str = "tiny"

    @model_validator(mode="after")
    def _size_exists(self) -> ModelConfig:
        if self.size not in SIZES:
            raise ValueError(
                f"no model size {self.size!r}; {nearest(self.size, SIZES)}there are {sorted(SIZES)}"
            )
        return self


class MethodConfig(_Strict):
    """A method by name, and any of its numbers changed."""

    name: str = "lsskd"
    sad: float | None = None
    cross: float | None = None
    deep: float | None = None
    feat: float | None = None
    out: float | None = None
    views: int | None = None
    temperature: float | None = None
    earlier: Literal["none", "snapshot", "ema"] | None = None
    alpha: float | None = None
    warmup: float | None = None

    @model_validator(mode="after")
    def _method_exists(self) -> MethodConfig:
        if self.name not in METHODS:
            raise ValueError(
                f"no method {self.name!r}; {nearest(self.name, METHODS)}there are {sorted(METHODS)}"
            )
        try:
            self.method()
        except SensorkdError as error:
            raise ValueError(str(error)) from error
        return self

    def method(self) -> Method:
        """The method with the changes made."""
        return method_named(self.name, self.model_dump(exclude={"name"}, exclude_none=True))


class RunConfig(_Strict):
    """Everything a run depends on.

    data: files and folders; `~` and `$VARIABLES` are expanded. layout: for foreign trees. target: which
    label is learned. labels: a CSV or Parquet table of labels. labels_per_class: learn from so few.
    Paths in a file are relative to that file, on the command line to the working folder.
    """

    data: Annotated[tuple[str, ...], Field(min_length=1)]
    layout: str | None = None
    target: str
    labels: str | None = None
    label_rule: LabelRule = "reference"
    inputs: Annotated[Mapping[str, InputConfig], Field(min_length=1)]
    windows: WindowsConfig
    split: SplitConfig
    labels_per_class: Annotated[int, Field(ge=1)] | None = None
    model: ModelConfig = ModelConfig()
    method: MethodConfig = MethodConfig()
    training: TrainingConfig = TrainingConfig()
    seed: Annotated[int, Field(ge=0)] = 0
    out: str

    @property
    def requests(self) -> dict[str, InputRequest]:
        """What is wanted of each stream."""
        return {name: value.request() for name, value in self.inputs.items()}

    @property
    def hop(self) -> int | None:
        """Nanoseconds between references; None for whole windows."""
        return None if self.windows.hop is None else round(self.windows.hop * timeline.SECOND)


PATHS = ("data", "layout", "labels", "out")


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a YAML configuration and apply `key.sub=value` overrides.

    Raises:
        ConfigError: with every mistake at once, and the nearest name for an unknown key.
    """
    path = Path(path)
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError) as error:
        raise ConfigError("no such configuration", file=path, mend="name an existing YAML file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError("not a YAML file", file=path, found=error) from error
    if not isinstance(tree, dict):
        raise ConfigError(
            "not a configuration", file=path, found=type(tree).__name__, expected="keys and values"
        )
    tree = _with_paths(tree, path.parent)
    for override in overrides:
        _override(tree, override)
    return parse_config(tree, source=path)


def parse_config(tree: Mapping[str, Any], *, source: object = "configuration") -> RunConfig:
    """Check a parsed tree against the configuration model; see `load_config`."""
    try:
        return RunConfig.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(
            "the configuration is not valid",
            file=source,
            found="".join(f"\n    {_told(item)}" for item in error.errors()),
            mend="correct these keys; `sensorkd train CONFIG --print-config` shows what is understood",
        ) from error


def _told(item: Any) -> str:
    """One mistake in a line."""
    place = [str(part) for part in item["loc"]]
    if item["type"] != "extra_forbidden":
        return f"{'.'.join(place)}: {item['msg']}"
    known = _fields_at(place[:-1])
    return f"{'.'.join(place)}: unknown key; {nearest(place[-1], known)}known here: {sorted(known)}"


def _fields_at(place: Sequence[str]) -> set[str]:
    models: dict[str, type[BaseModel]] = {
        "windows": WindowsConfig,
        "split": SplitConfig,
        "model": ModelConfig,
        "method": MethodConfig,
        "training": TrainingConfig,
        "inputs": InputConfig,
    }
    model = models.get(place[0], RunConfig) if place else RunConfig
    return set(model.model_fields)


def _with_paths(tree: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Paths of a file, made absolute from where the file lies. `out` stays relative to the working folder."""

    def absolute(text: str) -> str:
        text = _expanded(text)
        return text if Path(text).is_absolute() else str((folder / text).resolve())

    changed = dict(tree)
    for key in ("layout", "labels"):
        if isinstance(changed.get(key), str):
            changed[key] = absolute(changed[key])
    data = changed.get("data")
    if isinstance(data, str):
        changed["data"] = [absolute(data)]
    elif isinstance(data, list):
        changed["data"] = [absolute(item) if isinstance(item, str) else item for item in data]
    return changed


def _expanded(text: str) -> str:
    """`~` and `$NAME` put in; a name that is not set stays, and the missing file's error shows it."""
    return os.path.expandvars(Path(text).expanduser())


def _override(tree: dict[str, Any], text: str) -> None:
    key, sign, value = text.partition("=")
    parts = key.strip().split(".")
    if not sign or not all(re.fullmatch(r"[\w-]+", part) for part in parts):
        raise ConfigError("not an override", found=text, expected="key.sub=value, e.g. training.steps=200")
    node = tree
    for part in parts[:-1]:
        below = node.get(part)
        node[part] = dict(below) if isinstance(below, dict) else {}
        node = node[part]
    try:
        node[parts[-1]] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError("the value of an override is not YAML", found=text) from error
    if parts == ["data"] and isinstance(node["data"], str):
        node["data"] = [node["data"]]
