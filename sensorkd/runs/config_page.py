"""The page of all configuration keys, docs/configuration.md, written from the models and their docstrings.

It is written anew by `python -m sensorkd.runs.config_page > docs/configuration.md`.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import textwrap
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from sensorkd.distillation.methods import METHODS, Method
from sensorkd.runs.alarm_config import AlarmConfig
from sensorkd.runs.cache_config import CacheConfig
from sensorkd.runs.config import InputConfig, ModelConfig, RunConfig, SplitConfig, WindowsConfig
from sensorkd.runs.label_config import EventConfig, LabelConfig, LifeFraction, TableConfig
from sensorkd.runs.method_config import MethodConfig
from sensorkd.training.config import TrainingConfig

__all__ = ["config_page"]

SECTIONS: Mapping[str, type[BaseModel]] = {
    "": RunConfig,
    "inputs.NAME": InputConfig,
    "windows": WindowsConfig,
    "labels": LabelConfig,
    "labels.more": TableConfig,
    "labels.derive.TARGET": LifeFraction,
    "labels.events": EventConfig,
    "split": SplitConfig,
    "model": ModelConfig,
    "method": MethodConfig,
    "training": TrainingConfig,
    "alarm": AlarmConfig,
    "cache": CacheConfig,
}
USUAL = Method("any")
HEAD = """# Configuration

Every key of a run, what it takes, and its default; written by `python -m sensorkd.runs.config_page`. On the
command line a key is dotted: `sensorkd train CONFIG training.steps=200 inputs.heat.span=4`. A mistake is told
with the nearest name that there is. `sensorkd train CONFIG --print-config` prints what was understood.
"""


def config_page() -> str:
    """Markdown."""
    parts = [HEAD]
    for place, model in SECTIONS.items():
        title = f"## `{place}`" if place else "## The run"
        parts.append(f"{title}\n\n{_prose(model)}\n\n{_keys(model)}")
    methods = "\n".join(
        textwrap.fill(f"{name:<16}{_numbers(method)}", 106, initial_indent="    ", subsequent_indent=" " * 20)
        for name, method in METHODS.items()
    )
    parts.append(
        f"## Methods\n\nThe numbers of `method` say what is learned:\n\n{_prose(Method)}\n\n"
        f"What each method sets; all else is as by default, and any of it can be changed:\n\n{methods}"
    )
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _prose(model: type[Any]) -> str:
    return inspect.cleandoc(model.__doc__ or "")


def _keys(model: type[BaseModel]) -> str:
    """A line a key: its name, what it takes, its default where it has one that says something."""
    schema = model.model_json_schema()
    rows = []
    for name, field in schema["properties"].items():
        default = getattr(USUAL, name) if _of_method(model, name) else field.get("default")
        told = "" if "$ref" in field or default in (None, {}, []) else f"default {json.dumps(default)}"
        needed = "needed" if name in schema.get("required", ()) else told
        rows.append((name, _takes(field), needed))
    widths = [max(len(row[column]) for row in rows) + 2 for column in (0, 1)]
    return "\n".join(f"    {a:<{widths[0]}}{b:<{widths[1]}}{c}".rstrip() for a, b, c in rows)


def _of_method(model: type[BaseModel], name: str) -> bool:
    return model is MethodConfig and name in {field.name for field in dataclasses.fields(Method)} - {"name"}


def _takes(field: Mapping[str, Any]) -> str:
    """A JSON schema in words."""
    if "anyOf" in field:
        return " or ".join(_takes(item) for item in field["anyOf"] if item.get("type") != "null")
    if "enum" in field or "const" in field:
        return " | ".join(map(str, field.get("enum", [field.get("const")])))
    if "$ref" in field:
        return "keys, see below"
    if field.get("type") == "object":
        below = field.get("additionalProperties")
        return f"NAME: {_takes(below) if isinstance(below, dict) else 'anything'}"
    if field.get("type") == "array":
        items = field.get("items") or field.get("prefixItems", [{}])[0]
        count = f"{len(field['prefixItems'])} " if "prefixItems" in field else ""
        return f"list of {count}{_takes(items)}" if items else "list"
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    limits = [f"{sign} {field[key]}" for key, sign in signs.items() if key in field]
    return " ".join([str(field.get("type", "anything")), ", ".join(limits)]).strip()


def _numbers(method: Method) -> str:
    """Those that are not the defaults of all methods."""
    usual = dataclasses.asdict(USUAL)
    own = {key: value for key, value in dataclasses.asdict(method).items() if value != usual[key]}
    return ", ".join(f"{key} {value}" for key, value in own.items() if key != "name")


if __name__ == "__main__":
    print(config_page(), end="")
