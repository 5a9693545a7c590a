"""The smallest configuration that is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sensorkd.errors import ConfigError
from sensorkd.runs import RunConfig
from sensorkd.runs.config_file import parse_config

TREE: dict[str, Any] = {
    "data": ["plant"],
    "target": "state",
    "inputs": {"shake": {"span": 1.0}},
    "windows": {"reference": "hop", "hop": 2.0},
    "split": {"by": "machine"},
    "out": "runs/x",
}


@pytest.fixture
def configured() -> Callable[..., RunConfig]:
    """The configuration with some keys changed."""
    return lambda **changes: parse_config({**TREE, **changes})


@pytest.fixture
def refused() -> Callable[..., str]:
    """What is told of a configuration that is not valid."""

    def told(**changes: Any) -> str:
        with pytest.raises(ConfigError, match="the configuration is not valid") as caught:
            parse_config({**TREE, **changes})
        return str(caught.value.found)

    return told
