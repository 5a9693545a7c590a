"""The commands of the README and the page of results for real recordings run, with training shortened."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

import pytest

from tests.examples.documents import DATA, README, REAL, ROOT, run, shell_lines

RESULTS = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", REAL)
def test_the_commands_on_real_recordings_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = DATA / REAL[name]
    if not folder.is_dir():
        pytest.skip(f"{REAL[name]} is not in SENSORKD_DATA")
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SENSORKD_DATA", str(DATA))
    # Some commands stand in both; a run is not begun twice.
    commands = dict.fromkeys(line for text in (README, RESULTS) for line in shell_lines(text) if name in line)
    assert len(commands) >= 3
    for line in commands:
        run(shlex.split(os.path.expandvars(line)))
