"""A sensor that whole training recordings lack: nothing stops, and nothing of it comes from blanks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sensorkd.errors import ArchiveError
from sensorkd.evaluation.evaluate import evaluate_run
from sensorkd.recordings import open_recordings
from sensorkd.runs import Run, train_run
from sensorkd.runs.data import plan_run
from sensorkd.runs.stats import channel_stats
from tests.press_run import press_config, write_press


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """p0 has both sensors; p1 and p2, trained on as well, no temperature at all; p4 is held out."""
    folder = tmp_path_factory.mktemp("absent")
    for number in (0, 1, 2, 4):
        write_press(folder, f"p{number}", seed=number, heat_until=0 if number in (1, 2) else 60)
    return folder


@pytest.fixture(scope="module")
def run(plant: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("runs") / "absent"
    method = {"name": "lsskd"}
    return train_run(press_config(plant, folder, method=method, training={"steps": 24, "batch_size": 16}))


def test_its_statistics_come_from_the_recordings_that_have_it(plant: Path, run: Run) -> None:
    (logged,) = open_recordings(plant / "p0.h5")
    samples = logged.streams["heat"].read(0, logged.streams["heat"].source.count).astype(np.float64)
    assert run.stats["heat"].mean[0] == pytest.approx(samples.mean(), abs=1.0)
    assert run.stats["heat"].std[0] == pytest.approx(samples.std(), rel=0.2)


def test_training_says_in_how_many_windows_it_was_not_logged(run: Run) -> None:
    shake, heat = run.health["shake"], run.health["heat"]
    assert (shake.windows, shake.present, shake.not_logged) == (156, 156, 0)
    assert heat.present + heat.not_logged == heat.windows == 156
    assert heat.present == 49  # of p0, without its first three seconds
    assert not any(heat.faults.values())


def test_every_subset_is_judged(run: Run) -> None:
    judged = evaluate_run(run)
    assert set(judged.subsets) == {"shake", "heat", "shake+heat"}
    for metrics in judged.subsets.values():
        assert metrics.windows == judged.overall.windows == 52
        assert np.isfinite([metrics.accuracy, metrics.macro_f1, metrics.nll, metrics.ece]).all()
    assert judged.reached["shake"] == judged.reached["shake+heat"] == 1.0
    assert judged.reached["heat"] == pytest.approx(49 / 52)
    assert judged.subsets["shake"].accuracy > 0.5


def test_an_archive_without_it_is_judged(run: Run, plant: Path) -> None:
    judged = evaluate_run(run, [str(plant / "p1.h5")])
    assert judged.reached == {"shake": 1.0, "heat": 0.0, "shake+heat": 1.0}
    np.testing.assert_array_equal(judged.logits, judged.subset_logits["shake"])
    # From nothing at all, every window is judged alike.
    np.testing.assert_allclose(
        judged.subset_logits["heat"], judged.subset_logits["heat"][:1].repeat(52, axis=0)
    )


@pytest.mark.parametrize("seed", range(6))
def test_a_sensor_of_a_few_windows_is_found_however_the_sample_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Statistics look at some windows only; one in forty has a temperature here."""
    for number in (0, 1, 2, 4):
        write_press(tmp_path, f"p{number}", seed=number, heat_until=6 if number == 0 else 0)
    config = press_config(tmp_path, tmp_path / "run", seed=seed)
    planned = plan_run(config)
    monkeypatch.setattr("sensorkd.runs.stats.STATS_WINDOWS", 24)
    stats = channel_stats(planned, config)
    assert stats["heat"].mean[0] == pytest.approx(40, abs=10)
    assert stats["heat"].std[0] < 5


def test_a_sensor_that_no_window_has_is_told(tmp_path: Path) -> None:
    for number in (0, 1, 4):
        write_press(tmp_path, f"p{number}", seed=number, heat_until=1.0)
    config: Any = press_config(tmp_path, tmp_path / "run")
    with pytest.raises(ArchiveError, match="input 'heat' is absent from every training window") as caught:
        train_run(config)
    assert "leave it out of `inputs`" in str(caught.value)
    assert not (tmp_path / "run").exists()
