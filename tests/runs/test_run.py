"""A run folder, and for which class shares what it holds answers."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import softmax

from sensorkd.edge import EdgeBundle, EdgePredictor
from sensorkd.errors import ConfigError, RunError
from sensorkd.evaluation.run_windows import RunWindows, windows_for
from sensorkd.export.seal import export_run
from sensorkd.runs import Run
from sensorkd.training.inference import predict_logits
from tests.press_run import CALM


@pytest.fixture(scope="module")
def unseen(press_run: Run) -> RunWindows:
    """Windows of the press that was held out."""
    return windows_for(press_run)


def for_plant(run: Run, shares: Mapping[str, float] | None) -> Run:
    return dataclasses.replace(run, config=run.config.model_copy(update={"deployment_prior": shares}))


def reweighted(probabilities: np.ndarray, run: Run, shares: Mapping[str, float]) -> np.ndarray:
    """By Bayes: each class by how much more often it occurs, then to a sum of 1."""
    factors = [shares[name] / before for name, before in zip(run.classes, run.trained_prior, strict=True)]
    turned = probabilities * np.array(factors)
    return turned / turned.sum(axis=1, keepdims=True)


def test_a_run_is_read_back_as_it_was_saved(press_run: Run) -> None:
    again = Run.load(press_run.folder)
    assert again == press_run
    assert again.health == press_run.health
    assert {name: item.windows for name, item in again.health.items()} == {"shake": 156, "heat": 156}


def test_the_prior_is_saved_to_the_last_bit(press_run: Run, tmp_path: Path) -> None:
    third = (1 / 3, 1 / 7, 1 - 1 / 3 - 1 / 7)
    run = dataclasses.replace(for_plant(press_run, CALM), folder=tmp_path / "run", trained_prior=third)
    run.save()
    again = Run.load(tmp_path / "run")
    assert again.trained_prior == third
    assert again.config.deployment_prior == CALM
    assert again.prior == run.prior


def test_without_a_deployment_prior_training_decides(press_run: Run) -> None:
    assert press_run.prior == press_run.trained_prior
    assert sum(press_run.prior) == pytest.approx(1)


def test_shares_of_the_plant_come_in_the_order_of_the_classes(press_run: Run) -> None:
    assert press_run.classes == ("hot", "ok", "worn")
    assert for_plant(press_run, CALM).prior == pytest.approx((0.12, 0.7, 0.18))
    # Shares are written by people: 0.999 is a sum of 1.
    assert sum(for_plant(press_run, {"ok": 0.333, "worn": 0.333, "hot": 0.333}).prior) == pytest.approx(1)


@pytest.mark.parametrize(
    "shares", [CALM, {"ok": 0.95, "worn": 0.03, "hot": 0.02}, {"ok": 0.001, "worn": 0.001, "hot": 0.998}]
)
def test_the_student_answers_for_the_plant_exactly_as_reweighting_says(
    press_run: Run, unseen: RunWindows, shares: dict[str, float]
) -> None:
    before = softmax(predict_logits(press_run.student(), unseen.dataset).astype(np.float64), axis=1)
    after = softmax(
        predict_logits(for_plant(press_run, shares).student(), unseen.dataset).astype(np.float64), axis=1
    )
    np.testing.assert_allclose(after, reweighted(before, press_run, shares), atol=1e-6)
    assert np.abs(after - before).max() > 0.05


def test_to_answer_for_what_was_trained_changes_nothing(press_run: Run, unseen: RunWindows) -> None:
    same = for_plant(press_run, dict(zip(press_run.classes, press_run.trained_prior, strict=True)))
    before, after = (predict_logits(run.student(), unseen.dataset) for run in (press_run, same))
    np.testing.assert_allclose(after, before, atol=1e-6)


@pytest.mark.parametrize(
    ("told", "shares"),
    [
        (None, None),
        ("labels", "labels"),
        ("uniform", (1 / 3, 1 / 3, 1 / 3)),
        ({"ok": 0.9, "worn": 0.1, "hot": 0.0}, (0.0, 0.9, 0.1)),
    ],
)
def test_shares_of_windows_without_a_label_come_in_the_order_of_the_classes(
    press_run: Run, told: Any, shares: Any
) -> None:
    run = dataclasses.replace(
        press_run, config=press_run.config.model_copy(update={"unlabelled_shares": told})
    )
    assert run.unlabelled_shares == (pytest.approx(shares) if isinstance(shares, tuple) else shares)


def test_the_shift_is_not_added_twice(press_run: Run) -> None:
    run = for_plant(press_run, CALM)
    first, second = run.student().classifier.bias, run.student().classifier.bias
    assert (first == second).all()


def test_what_ships_answers_for_the_plant_too(press_run: Run, unseen: RunWindows, press_bundle: Path) -> None:
    """`press_bundle` was exported for CALM shares; the weights on disk stay as they were trained."""
    before = softmax(predict_logits(press_run.student(), unseen.dataset).astype(np.float64), axis=1)
    predictor = EdgePredictor(EdgeBundle.open(press_bundle))
    found = predictor.predict(unseen.arrays.inputs, unseen.arrays.presence)
    assert found.classes == press_run.classes
    np.testing.assert_allclose(found.probabilities, reweighted(before, press_run, CALM), atol=1e-4)


@pytest.mark.parametrize(
    ("shares", "told"),
    [
        (
            {"ok": 0.9, "worn": 0.1},
            r"not of these classes(.|\n)*found: \['ok', 'worn'\](.|\n)*\['hot', 'ok', 'worn'\]",
        ),
        ({**CALM, "cold": 0.0001}, "'cold'"),
        ({"OK": 0.7, "worn": 0.18, "hot": 0.12}, "name every class with its share in `deployment_prior`"),
        ({"ok": 0.5, "worn": 0.03, "hot": 0.02}, r"0\.03\], which sum to 0\.55(.|\n)*summing to 1"),
        ({"ok": 1.0, "worn": 0.03, "hot": 0.02}, r"which sum to 1\.05"),
    ],
)
def test_shares_that_do_not_fit_are_refused(
    press_run: Run, tmp_path: Path, shares: dict[str, float], told: str
) -> None:
    run = for_plant(press_run, shares)
    for act in (lambda: run.prior, run.student, lambda: export_run(run, tmp_path / "bundle")):
        with pytest.raises(ConfigError, match=told):
            act()
    assert not (tmp_path / "bundle").exists()


def test_what_is_no_run_folder_is_told_with_what_is_there(press_run: Run, tmp_path: Path) -> None:
    with pytest.raises(
        RunError, match=r"not a run folder(.|\n)*found: nothing(.|\n)*config\.yaml and run\.json"
    ):
        Run.load(tmp_path)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(RunError, match=r"found: notes\.txt"):
        Run.load(tmp_path)
    with pytest.raises(RunError, match="not a run folder"):
        Run.load(press_run.folder / "config.yaml")


@pytest.mark.parametrize("missing", ["trained_prior", "classes", "inputs", "stats", "groups", "health"])
def test_a_description_that_lacks_something_is_damaged(press_run: Run, tmp_path: Path, missing: str) -> None:
    shutil.copytree(press_run.folder, tmp_path / "run")
    path = tmp_path / "run" / "run.json"
    about = json.loads(path.read_text())
    del about[missing]
    path.write_text(json.dumps(about))
    with pytest.raises(RunError, match=f"damaged(.|\n)*{missing}") as caught:
        Run.load(tmp_path / "run")
    assert caught.value.file == str(path)


def test_a_description_that_is_no_json_is_damaged(press_run: Run, tmp_path: Path) -> None:
    shutil.copytree(press_run.folder, tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text("{")
    with pytest.raises(RunError, match="damaged"):
        Run.load(tmp_path / "run")
