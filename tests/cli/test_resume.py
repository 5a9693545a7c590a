"""`sensorkd train --resume` goes on from the last epoch."""

from __future__ import annotations

from pathlib import Path

import pytest

from sensorkd.cli.__main__ import main
from sensorkd.runs import load_config, train_run
from tests.plant_run import CONFIG, same_weights


def test_a_run_cut_off_ends_where_an_uninterrupted_one_does(
    overrides: list[str], run_folder: Path, tmp_path: Path
) -> None:
    config = load_config(CONFIG, [*overrides, f"out={tmp_path / 'cut'}"])

    def die(step: int, *_: object) -> None:
        if step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_run(config, on_step=die)
    assert main(["evaluate", str(tmp_path / "cut")]) == 2
    assert main(["train", str(CONFIG), *overrides, f"out={tmp_path / 'cut'}", "--resume"]) == 0
    assert same_weights(tmp_path / "cut", run_folder)


def test_a_refused_resume_leaves_the_run_as_it_was(
    overrides: list[str], run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (run_folder / "config.yaml").read_text()
    other = [*overrides, f"out={run_folder}", "training.learning_rate=0.1", "--resume"]
    assert main(["train", str(CONFIG), *other]) == 2
    assert "learning_rate" in capsys.readouterr().err
    assert (run_folder / "config.yaml").read_text() == before


def test_a_run_of_another_target_or_data_is_not_resumed(
    overrides: list[str], run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for change in ("target=machine", "labels_per_class=1", "inputs.video.required=true"):
        assert main(["train", str(CONFIG), *overrides, f"out={run_folder}", change, "--resume"]) == 2
        told = capsys.readouterr().err
        assert "begun with another configuration" in told
        assert change.split("=")[0].split(".")[0] in told


def test_there_must_be_something_to_resume(overrides: list[str], tmp_path: Path) -> None:
    assert main(["train", str(CONFIG), *overrides, f"out={tmp_path / 'none'}", "--resume"]) == 2
