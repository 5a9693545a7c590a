"""What the README and the examples tell a stranger to do works, with training shortened."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sensorkd.cli import demo
from sensorkd.cli.__main__ import main
from sensorkd.runs.config_file import parse_config
from tests.examples.documents import DATA, README, REAL, ROOT, SHORT, blocks, run, shell_lines


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the examples and what `sensorkd demo` leaves, of the same machines but brief."""
    folder = tmp_path_factory.mktemp("stranger")
    shutil.copytree(ROOT / "examples", folder / "examples")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "FULL", demo.Scale(machines=12, unseen=5, seconds=11.0, steps=2))
        patch.chdir(folder)
        assert main(["demo"]) == 0
    return folder


def test_the_demo_leaves_what_it_promises(workplace: Path) -> None:
    left = {path.name for path in (workplace / "demo-out").iterdir()}
    assert {"bundle", "plant", "runs", "predictions.csv", "results.json"} <= left
    assert {"learning_curves.png", "confusion.png", "windows.png", "report.html"} <= left


def test_the_demo_never_deletes_a_folder_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    assert main(["demo", "--out", str(tmp_path)]) == 2
    assert (tmp_path / "thesis.txt").exists()


def test_every_command_of_the_readme_runs(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    commands = shell_lines(README)
    own = [shlex.split(line) for line in commands if not any(name in line for name in REAL)]
    assert len(own) == 12
    for command in own:
        run(command)


def test_the_python_of_the_readme_runs(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    (code,) = blocks("python")
    shortened = code.replace('"seed=1"]', f'"seed=1", {", ".join(map(repr, SHORT))}]')
    assert shortened != code
    exec(compile(shortened, "README.md", "exec"), {})


def test_every_fragment_of_the_page_on_plant_data_is_a_configuration() -> None:
    page = (ROOT / "docs" / "plant_data.md").read_text(encoding="utf-8")
    fragments = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    assert len(fragments) == 5
    for fragment in fragments:
        tree = {
            "data": ["plant"],
            "target": "state",
            "inputs": {"acceleration": {"span": 1.0}},
            "windows": {"reference": "hop", "hop": 1.0},
            "split": {"by": "machine"},
            "out": "runs/plant",
            **yaml.safe_load(fragment),
        }
        parse_config(tree)


def test_the_logger_of_the_page_on_logging_runs(tmp_path: Path) -> None:
    (code,) = blocks("python", (ROOT / "docs" / "logging.md").read_text(encoding="utf-8"))
    (tmp_path / "acquire.py").write_text(code, encoding="utf-8")
    command = [sys.executable, "acquire.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "20231114T221320Z.h5" in done.stdout
    assert main(["validate", str(tmp_path / "log"), "--importance", "critical"]) == 0


def test_every_command_of_the_page_on_archives_runs(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    monkeypatch.setenv("SENSORKD_DATA", str(DATA))
    commands = shell_lines((ROOT / "docs" / "archives.md").read_text(encoding="utf-8"))
    assert len(commands) == 4
    for line in commands:
        real = "$SENSORKD_DATA" in line
        if not real or DATA.is_dir():
            # What is wrong with the real ones is to be found.
            assert main(shlex.split(os.path.expandvars(line))[1:]) == int(real), line


def test_the_examples_run(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    run(["python", "examples/01_train_and_export.py", *SHORT])
    run(["python", "examples/02_from_arrays.py", "4"])
    run(["python", "examples/03_life_tests.py", *SHORT])
    assert "alarm:" in (workplace / "life-out" / "report.html").read_text(encoding="utf-8")
