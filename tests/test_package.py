"""The package as it is installed: what it lists, what it imports, and what it says of itself."""

from __future__ import annotations

import configparser
import doctest
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import sensorkd

ROOT = Path(__file__).parents[1]


def setup() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def test_the_listed_packages_are_those_on_disk() -> None:
    on_disk = {
        ".".join(path.parent.relative_to(root).parts)
        for root, package in ((ROOT, "sensorkd"), (ROOT / "adapters", "sensorkd_adapters"))
        for path in (root / package).rglob("__init__.py")
    } | {"sensorkd.data_schemas"}
    assert set(setup()["options"]["packages"].split()) == on_disk


def test_importing_sensorkd_imports_neither_torch_nor_h5py() -> None:
    code = "import sys, sensorkd; print(sorted({'torch', 'h5py', 'pandas', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_can_be_had() -> None:
    for name in sensorkd.__all__:
        assert getattr(sensorkd, name) is not None


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    assert not hasattr(sensorkd, "nothing_of_this_name")


@pytest.mark.parametrize("group", ["sensorkd.adapters", "sensorkd.importers"])
def test_every_entry_point_names_a_class_that_exists(group: str) -> None:
    for line in setup()["options.entry_points"][group].strip().splitlines():
        module, kind = line.split("=")[1].strip().split(":")
        path = ROOT / "adapters" / Path(*module.split(".")).with_suffix(".py")
        assert f"class {kind}" in path.read_text()


@pytest.mark.parametrize(
    "name", ["timeline", "quality", "recordings.writer", "models.encoders", "evaluation.tables"]
)
def test_the_examples_in_docstrings_are_true(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"sensorkd.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
