"""Reads the configuration of a run on images from YAML, with dotted overrides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError

from sensorkd.errors import ConfigError
from sensorkd.images.config import ImageRunConfig
from sensorkd.runs.config_file import apply_override, beside
from sensorkd.runs.method_config import MethodConfig
from sensorkd.training.config import TrainingConfig
from sensorkd.yaml_files import mistakes, read_yaml

__all__ = ["load_image_config"]


def load_image_config(path: str | Path, overrides: Sequence[str] = ()) -> ImageRunConfig:
    """Read a YAML configuration and apply `key.sub=value` overrides.

    A relative `data` or `teacher_run` of the file is relative to the file, that of an override to the working
    folder.

    Raises:
        ConfigError: with every mistake at once.
    """
    path = Path(path)
    tree = read_yaml(path, what="configuration", examples="examples/images")
    if not isinstance(tree, dict):
        raise ConfigError("not a configuration", file=path, found=type(tree).__name__, expected="a mapping")
    if isinstance(tree.get("data"), str):
        tree["data"] = beside(path.parent, tree["data"])
    method = tree.get("method")
    if isinstance(method, dict) and isinstance(method.get("teacher_run"), str):
        tree["method"] = {**method, "teacher_run": beside(path.parent, method["teacher_run"])}
    before = tree.get("data")
    for override in overrides:
        apply_override(tree, override)
    if isinstance(tree.get("data"), list):
        tree["data"] = tree["data"][0] if len(tree["data"]) == 1 else before
    try:
        return ImageRunConfig.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(
            "the configuration is not valid",
            file=path,
            found=mistakes(error, _fields_at),
            mend="correct these keys; examples/images has some that work",
        ) from error


def _fields_at(place: Sequence[str]) -> set[str]:
    models: dict[str, type[BaseModel]] = {"method": MethodConfig, "training": TrainingConfig}
    return set((models.get(place[0], ImageRunConfig) if place else ImageRunConfig).model_fields)
