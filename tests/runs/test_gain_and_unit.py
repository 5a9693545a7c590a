"""Archives that differ in gain or unit alone: training on one and judging another is no different."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sensorkd.evaluation.run_windows import windows_for
from sensorkd.runs import Run, train_run
from sensorkd.training.inference import predict_logits
from tests.plant_run import same_weights
from tests.press_run import press_config, write_press

KINDS: dict[str, dict[str, Any]] = {"plain": {}, "louder": {"gain": 2}, "in g": {"in_g": True}}


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {name: tmp_path_factory.mktemp("kind") for name in KINDS}
    for name, folder in folders.items():
        for number in (0, 1, 4):
            write_press(folder, f"p{number}", seed=number, **KINDS[name])
    return folders


@pytest.fixture(scope="module")
def runs(archives: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    training = {"steps": 16, "batch_size": 16}
    return {
        name: train_run(press_config(folder, tmp_path_factory.mktemp("run"), training=training))
        for name, folder in archives.items()
    }


def test_each_run_takes_the_encoding_of_its_archives_in_the_unit_of_the_modality(
    runs: dict[str, Run],
) -> None:
    scales = {name: run.encodings["shake"].scale for name, run in runs.items()}
    assert scales == pytest.approx({"plain": 0.001, "louder": 0.0005, "in g": 0.001})
    assert {run.encodings["shake"].unit for run in runs.values()} == {"m/s2"}


def test_statistics_are_in_physical_units(runs: dict[str, Run]) -> None:
    for run in runs.values():
        assert run.stats["shake"].mean == pytest.approx(runs["plain"].stats["shake"].mean)
        assert run.stats["shake"].std == pytest.approx(runs["plain"].stats["shake"].std)


def test_a_gain_of_two_leaves_the_weights_alike_to_the_bit(runs: dict[str, Run]) -> None:
    assert same_weights(runs["plain"].folder, runs["louder"].folder)


@pytest.mark.parametrize("trained", KINDS)
def test_whatever_was_trained_on_all_archives_are_judged_alike(
    runs: dict[str, Run], archives: dict[str, Path], trained: str
) -> None:
    run = runs[trained]
    found = {}
    for name, folder in archives.items():
        windows = windows_for(run, [str(folder / "p4.h5")])
        assert windows.arrays.presence[:, 0].all()
        found[name] = predict_logits(run.student(), windows.dataset)
    assert len(set(found["plain"].argmax(axis=1).tolist())) > 1
    reference = found[trained]
    for name, logits in found.items():
        # A stored step is a thousandth of m/s2 in all of them; twice the samples can be halved exactly.
        np.testing.assert_allclose(logits, reference, atol=1e-3, err_msg=name)
        np.testing.assert_array_equal(logits.argmax(axis=1), reference.argmax(axis=1))


def test_students_of_different_archives_agree(runs: dict[str, Run], archives: dict[str, Path]) -> None:
    found = {
        name: predict_logits(run.student(), windows_for(run, [str(archives["plain"] / "p4.h5")]).dataset)
        for name, run in runs.items()
    }
    np.testing.assert_array_equal(found["louder"], found["plain"])
    np.testing.assert_array_equal(found["in g"].argmax(axis=1), found["plain"].argmax(axis=1))
