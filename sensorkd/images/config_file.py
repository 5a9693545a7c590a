"""Reads the configuration of a run on images from YAML, with dotted overrides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml
from pydantic import ValidationError

from sensorkd.errors import ConfigError
from sensorkd.images.config import ImageRunConfig
from sensorkd.runs.config_file import _expanded, _override

__all__ = ["load_image_config"]


def load_image_config(path: str | Path, overrides: Sequence[str] = ()) -> ImageRunConfig:
    """Read a YAML configuration and apply `key.sub=value` overrides.

    A relative `data` of the file is relative to the file, that of an override to the working folder.

    Raises:
        ConfigError: with every mistake at once.
    """
    path = Path(path)
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError("this is no configuration in YAML", file=path, found=error) from error
    if not isinstance(tree, dict):
        raise ConfigError("not a configuration", file=path, found=type(tree).__name__, expected="a mapping")
    if isinstance(tree.get("data"), str):
        tree["data"] = str(path.parent / _expanded(tree["data"]))
    before = tree.get("data")
    for override in overrides:
        _override(tree, override)
    if isinstance(tree.get("data"), list):
        tree["data"] = tree["data"][0] if len(tree["data"]) == 1 else before
    try:
        return ImageRunConfig.model_validate(tree)
    except ValidationError as error:
        told = "".join(f"\n    {'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise ConfigError("the configuration is not valid", file=path, found=told) from error
