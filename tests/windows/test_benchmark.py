"""benchmarks/windows.py runs, and writes the figures it prints."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "parts",
    [["large", "planning"], pytest.param(["shares", "growth", "training"], marks=pytest.mark.slow)],
    ids=str,
)
def test_the_benchmark_of_windows_runs(tmp_path: Path, parts: list[str]) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "windows.py"), "--quick", "--only", *parts]
    done = subprocess.run([*command, "--out", str(tmp_path / "w.json")], check=True, capture_output=True)
    figures = json.loads((tmp_path / "w.json").read_text())
    assert set(figures) == {"quick", *parts}
    if "shares" in parts:
        assert b"share of a RAM copy" in done.stdout
        assert figures["shares"]["rates"]["sealed cache"] > 0
    if "large" in parts:
        assert figures["large"]["windows"] == 999
    if "planning" in parts:
        assert figures["planning"]["windows"] == 1000
        assert b"peak_mb" in done.stdout
