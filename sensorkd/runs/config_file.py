"""Reads the configuration of a run from YAML, with dotted overrides; tells every mistake at once."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from sensorkd.errors import ConfigError
from sensorkd.runs.alarm_config import AlarmConfig
from sensorkd.runs.cache_config import CacheConfig
from sensorkd.runs.config import (
    InputConfig,
    ModelConfig,
    RunConfig,
    SplitConfig,
    WindowsConfig,
)
from sensorkd.runs.label_config import EventConfig, LabelConfig, LifeFraction, TableConfig
from sensorkd.runs.method_config import MethodConfig
from sensorkd.training.config import TrainingConfig
from sensorkd.yaml_files import mistakes, read_yaml

__all__ = ["apply_override", "beside", "load_config", "parse_config"]


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a YAML configuration and apply `key.sub=value` overrides.

    Raises:
        ConfigError: with every mistake at once, and the nearest name for an unknown key.
    """
    path = Path(path)
    tree = read_yaml(path, what="configuration", examples="examples/configs")
    if not isinstance(tree, dict):
        raise ConfigError(
            "not a configuration", file=path, found=type(tree).__name__, expected="keys and values"
        )
    tree = _with_paths(tree, path.parent)
    for override in overrides:
        apply_override(tree, override)
    return parse_config(tree, source=path)


def parse_config(tree: Mapping[str, Any], *, source: object = "configuration") -> RunConfig:
    """Check a parsed tree against the configuration model; see `load_config`."""
    try:
        return RunConfig.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(
            "the configuration is not valid",
            file=source,
            found=mistakes(error, _fields_at),
            mend="correct these keys; `sensorkd train CONFIG --print-config` shows what is understood",
        ) from error


def _fields_at(place: Sequence[str]) -> set[str]:
    models: dict[str, type[BaseModel]] = {
        "cache": CacheConfig,
        "windows": WindowsConfig,
        "split": SplitConfig,
        "model": ModelConfig,
        "method": MethodConfig,
        "training": TrainingConfig,
        "inputs": InputConfig,
        "alarm": AlarmConfig,
        "labels": LabelConfig,
        "labels.derive": LifeFraction,
        "labels.events": EventConfig,
        "labels.more": TableConfig,
    }
    below = models.get(place[0], RunConfig) if place else RunConfig
    model = models.get(".".join(place[:2]), below)
    return set(model.model_fields)


def _with_paths(tree: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Paths of a file, made absolute from where the file lies. `out` stays relative to the working folder."""

    def with_path(part: Any, key: str) -> Any:
        found = isinstance(part, dict) and isinstance(part.get(key), str)
        return {**part, key: beside(folder, part[key])} if found else part

    changed: dict[str, Any] = with_path(with_path(tree, "layout"), "labels")
    for key, path in (("method", "teacher_run"), ("cache", "folder")):
        if key in changed:
            changed = {**changed, key: with_path(changed[key], path)}
    labels = changed.get("labels")
    if isinstance(labels, dict):
        changed["labels"] = {**with_path(labels, "table")}
        if isinstance(labels.get("more"), list):
            changed["labels"]["more"] = [with_path(item, "table") for item in labels["more"]]
    data = changed.get("data")
    if isinstance(data, str):
        changed["data"] = [beside(folder, data)]
    elif isinstance(data, list):
        changed["data"] = [beside(folder, item) if isinstance(item, str) else item for item in data]
    return changed


def beside(folder: Path, text: str) -> str:
    """A path of a file in a folder, made absolute.

    `~` and `$NAME` are put in; a name that is not set stays, and the missing file's error shows it.
    """
    expanded = Path(os.path.expandvars(Path(text).expanduser()))
    return str(expanded if expanded.is_absolute() else (folder / expanded).resolve())


def apply_override(tree: dict[str, Any], text: str) -> None:
    """Put `key.sub=value` into a tree; the value is read as YAML.

    Raises:
        ConfigError: it is no such text.
    """
    key, sign, value = text.partition("=")
    parts = key.strip().split(".")
    if not sign or not all(re.fullmatch(r"[\w-]+", part) for part in parts):
        raise ConfigError("not an override", found=text, expected="key.sub=value, e.g. training.steps=200")
    if isinstance(tree.get("labels"), str):
        # Short for the table; another key of `labels` must not push it out.
        tree["labels"] = {"table": tree["labels"]}
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
