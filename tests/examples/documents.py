"""What the documents tell a stranger to type, and how it runs here: in this process, training shortened."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from sensorkd.cli.__main__ import main

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# What a command on real recordings names, and the folder of the data.
REAL = {"utd": "utd_mhad", "femto": "femto", "hydraulic": "hydraulic", "skab": "skab"}
SHORT = ["training.max_steps=2", "training.batch_size=4"]
DATA = Path(os.environ.get("SENSORKD_DATA", ROOT.parent / "shared" / "data"))


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def shell_lines(text: str) -> list[str]:
    """Commands of the shell blocks, with continued lines joined."""
    return "".join(blocks("sh", text)).replace("\\\n", " ").splitlines()


def run(command: list[str]) -> None:
    """One command line of the README, in this process where it is ours."""
    if command[0] == "sensorkd":
        short = SHORT if command[1] == "train" else []
        assert main([*command[1:], *short]) == 0, command
        return
    assert command[0] == "python"
    if command[1].endswith(".py"):
        # In this process, which has torch already.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", command[1:])
            runpy.run_path(command[1], run_name="__main__")
        return
    done = subprocess.run([sys.executable, *command[1:]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
