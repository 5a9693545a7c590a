"""A user's error is a short paragraph and an exit code, never a traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sensorkd.cli.__main__ import main
from sensorkd.errors import SensorkdError
from tests.plant_run import CONFIG


def failing(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(list(arguments))
    told = capsys.readouterr().err
    assert "Traceback" not in told
    assert told.count("\n") < 16, told
    return code, told


def test_a_missing_file_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, told = failing(capsys, "evaluate", str(tmp_path / "nowhere"))
    assert code == 2
    assert "not a run folder" in told
    assert "nowhere" in told


def test_every_mistake_of_a_configuration_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    code, told = failing(capsys, "train", str(CONFIG), "training.stepz=3", "method.name=lskd", "seed=-1")
    assert code == 2
    assert "did you mean 'steps'" in told
    assert "did you mean 'lsskd'" in told
    assert "seed" in told


def test_a_group_on_both_sides_is_refused(capsys: pytest.CaptureFixture[str], overrides: list[str]) -> None:
    code, told = failing(capsys, "train", str(CONFIG), *overrides, "split.dev=[m02]", "out=never")
    assert code == 2
    assert "both sides" in told


def test_an_unset_variable_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    code, told = failing(capsys, "train", str(CONFIG), "data=[$NO_SUCH_VARIABLE/x]")
    assert code == 2
    assert "variable that is not set" in told


def test_an_unknown_verb_and_option_are_usage_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert failing(capsys, "trian")[0] == 2
    assert failing(capsys, "verify", "--nope")[0] == 2


def test_a_folder_that_holds_a_run_is_not_overwritten(
    capsys: pytest.CaptureFixture[str], run_folder: Path, overrides: list[str]
) -> None:
    code, told = failing(capsys, "train", str(CONFIG), *overrides, f"out={run_folder}")
    assert code == 2
    assert "--resume" in told


def test_one_bad_file_does_not_hide_the_good_ones(
    capsys: pytest.CaptureFixture[str], plant: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty.h5").write_bytes(b"")
    code = main(["inspect", str(tmp_path / "empty.h5"), str(plant / "m00.h5")])
    printed = capsys.readouterr().out
    assert code == 1
    assert "6 recordings" in printed
    assert "the logger likely died" in printed


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    with pytest.raises(SensorkdError):
        main(["evaluate", str(tmp_path / "nowhere"), "--debug"])


def test_a_missing_extra_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['typer'] = None\n"
        "from sensorkd.cli.__main__ import main; sys.exit(main(['inspect']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'sensorkd[train]'" in done.stderr


@pytest.mark.parametrize(
    "verb",
    [
        "demo",
        "import",
        "inspect",
        "validate",
        "train",
        "evaluate",
        "report",
        "export",
        "verify",
        "windows",
        "predict",
    ],
)
def test_every_verb_has_help_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    printed = capsys.readouterr().out
    assert "Example: sensorkd" in printed
    assert "--json" in printed
