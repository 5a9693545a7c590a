"""Archives are checked as the command does it, and findings looked up by the check that made them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from sensorkd.checks import Finding, validate

Found = Callable[..., dict[str, list[Finding]]]


@pytest.fixture
def found() -> Found:
    """Findings by check."""

    def check(*paths: Path, layout: Any = None, **options: Any) -> dict[str, list[Finding]]:
        by_check: dict[str, list[Finding]] = {}
        for finding in validate(paths, layout, **{"jobs": 1, **options}).findings:
            by_check.setdefault(finding.check, []).append(finding)
        return by_check

    return check


@pytest.fixture
def layout_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a layout of three axes of acceleration at 50 Hz; keyword arguments change the stream."""

    def write(top: dict[str, Any] | None = None, **stream: Any) -> Path:
        defaults = {
            "modality": "acceleration",
            "samples": "data",
            "axes": ["time", "channel"],
            "unit": "g",
            "rate": 50.0,
        }
        told = {key: value for key, value in {**defaults, **stream}.items() if value is not None}
        tree = {"schema": "layout-1.0", "name": "lab", "clock": "relative", "streams": {"shake": told}}
        path = tmp_path / "lab.yaml"
        path.write_text(yaml.safe_dump({**tree, **(top or {})}), encoding="utf-8")
        return path

    return write
