"""Archives are checked as the command does it, and findings looked up by the check that made them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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
