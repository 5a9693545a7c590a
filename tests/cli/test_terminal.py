"""Verbs at a terminal, where bars are drawn; everywhere else standard error is a pipe or a file."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.press_run import press_tree, write_press


def at_terminal(*arguments: str) -> tuple[int, str]:
    """The exit code, and what a terminal of 80 columns was sent."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "80", "TERM": "xterm"}
    command = [sys.executable, "-m", "sensorkd.cli", *arguments]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        sent = bytearray()
        while True:
            try:
                part = os.read(ours, 65_536)
            except OSError:  # how Linux tells that the other end was closed
                break
            if not part:
                break
            sent += part
    os.close(ours)
    return process.returncode, sent.decode(errors="replace")


@pytest.fixture
def presses(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    for number in (3, 4):
        write_press(tmp_path / "data", f"p{number}", seed=number)
    return tmp_path / "data"


def test_training_shows_a_bar_with_its_steps_and_loss(presses: Path, tmp_path: Path) -> None:
    tree = press_tree(presses, tmp_path / "run", training={"steps": 3, "batch_size": 8})
    (tmp_path / "press.yaml").write_text(yaml.safe_dump(tree))
    code, sent = at_terminal("train", str(tmp_path / "press.yaml"))
    assert code == 0, sent
    assert "3/3" in sent and re.search(r"loss \d", sent), sent
    assert f"next: sensorkd evaluate {tmp_path / 'run'}" in sent.replace("\r\n", "")


def test_validating_shows_a_bar(presses: Path) -> None:
    code, sent = at_terminal("validate", str(presses))
    assert code == 0, sent
    assert "2/2" in sent


def test_importing_shows_a_bar(tmp_path: Path) -> None:
    mapping = {
        **{"schema": "import-1.0", "importer": "csv", "name": "lab", "clock": "relative"},
        "time": {"column": "t", "unit": "s"},
        "streams": {"flow": {"modality": "flow", "unit": "l/min", "columns": ["flow"]}},
    }
    (tmp_path / "lab.yaml").write_text(yaml.safe_dump(mapping))
    (tmp_path / "night.csv").write_text("t,flow\n0,1\n1,2\n")
    told = ["--importer", "csv", "--mapping", str(tmp_path / "lab.yaml"), "--out", str(tmp_path / "out")]
    code, sent = at_terminal("import", str(tmp_path / "night.csv"), *told)
    assert code == 0, sent
    assert "1/1" in sent and "1 archive written" in sent
