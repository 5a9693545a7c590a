"""What a run is judged by, beyond the metrics of its verdicts: sensors, alarms, class shares."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import softmax

from sensorkd.errors import WindowError
from sensorkd.evaluation.alarm_curve import alarm_curve, at_budget
from sensorkd.evaluation.alarm_metrics import alarm_metrics
from sensorkd.evaluation.alarm_windows import ScoredWindows
from sensorkd.evaluation.evaluate import Evaluation, evaluate_run, evaluate_windows
from sensorkd.evaluation.run_windows import RunWindows, windows_for
from sensorkd.runs import Run, train_run
from sensorkd.runs.alarm_config import AlarmConfig
from sensorkd.training.inference import predict_logits
from sensorkd.training.metrics import classification_metrics
from tests.press_run import CALM, press_config, write_press


@pytest.fixture(scope="module")
def unseen(press_run: Run) -> RunWindows:
    return windows_for(press_run)


@pytest.fixture(scope="module")
def judged(press_run: Run, unseen: RunWindows) -> Evaluation:
    return evaluate_windows(press_run, unseen)


def with_config(run: Run, **changes: Any) -> Run:
    return dataclasses.replace(run, config=run.config.model_copy(update=changes))


def scored(run: Run, windows: RunWindows) -> ScoredWindows:
    """Scores straight from the student: what speaks against `ok`."""
    shares = softmax(predict_logits(run.student(), windows.dataset).astype(np.float64), axis=1)
    scores = 1 - shares[:, run.classes.index("ok")]
    return ScoredWindows(windows.arrays.recording, windows.arrays.t_ref, scores, windows.labels, run.classes)


def test_metrics_are_of_the_labelled_windows_with_every_sensor_that_is_there(
    press_run: Run, unseen: RunWindows, judged: Evaluation
) -> None:
    known = unseen.labels >= 0
    assert (len(known), known.sum()) == (60, 52)
    logits = predict_logits(press_run.student(), unseen.dataset)[known]
    np.testing.assert_allclose(judged.logits, logits, atol=1e-5)
    np.testing.assert_array_equal(judged.labels, unseen.labels[known])
    assert judged.overall.to_json() == classification_metrics(judged.logits, judged.labels).to_json()
    assert judged.overall.accuracy > 0.85, "a student that has learned nothing would prove nothing"
    assert judged.groups == ["p4"] * 52
    np.testing.assert_array_equal(judged.t_ref, unseen.arrays.t_ref[known])


def test_the_run_as_a_whole_is_judged_by_its_test_groups(press_run: Run, judged: Evaluation) -> None:
    assert evaluate_run(press_run).to_json() == judged.to_json()


def test_reached_is_the_share_of_windows_that_have_any_of_the_sensors(
    unseen: RunWindows, judged: Evaluation
) -> None:
    here = unseen.arrays.presence[unseen.labels >= 0] > 0
    assert judged.reached == {
        "shake": here[:, 0].mean(),
        "heat": here[:, 1].mean(),
        "shake+heat": here.any(axis=1).mean(),
    }
    assert judged.reached["heat"] < 1, "the first windows are too early for its span"


def test_health_is_told_of_all_windows_labelled_or_not(judged: Evaluation) -> None:
    shake, heat = judged.health["shake"], judged.health["heat"]
    assert (shake.windows, shake.present, shake.not_logged, shake.faulty) == (60, 60, 0, 0)
    assert (heat.windows, heat.present, heat.not_logged, heat.faulty) == (60, 57, 3, 0)


def test_the_threshold_is_chosen_on_the_dev_groups_and_judged_on_the_test_groups(
    press_run: Run, unseen: RunWindows, judged: Evaluation
) -> None:
    alarm = press_run.config.alarm
    assert alarm is not None
    dev = windows_for(press_run, side="dev")
    assert set(dev.groups) == {"p3"}
    best = at_budget(alarm_curve(scored(press_run, dev), alarm.rule()), 500.0)
    assert best is not None
    assert judged.alarms is not None
    assert judged.alarms.chosen == "chosen on the dev groups for 500 false alarms a day"
    assert judged.alarms.metrics.rule == best.rule
    assert (best.rule.raise_count, best.rule.raise_within) == (2, 3)
    expected = alarm_metrics(scored(press_run, unseen), best.rule)
    assert judged.alarms.metrics == expected
    assert judged.alarms.metrics.recall == 1.0


def test_without_a_budget_the_rule_is_as_configured(press_run: Run, unseen: RunWindows) -> None:
    alarm = AlarmConfig(normal=("ok",), threshold=0.9)
    found = evaluate_windows(with_config(press_run, alarm=alarm), unseen).alarms
    assert found is not None
    assert found.chosen == "as configured"
    assert found.metrics.rule == alarm.rule()
    assert found.best is None


def test_without_dev_groups_a_budget_is_for_hindsight_alone(press_run: Run, unseen: RunWindows) -> None:
    run = dataclasses.replace(press_run, groups={**press_run.groups, "dev": ()})
    found = evaluate_windows(run, unseen).alarms
    assert found is not None
    assert found.chosen == "as configured"
    assert found.metrics.rule.threshold == 0.5
    assert found.best is not None


def test_other_archives_are_judged_where_those_of_training_are_not(
    press_run: Run, press: Path, tmp_path: Path
) -> None:
    """The dev groups would choose the threshold; that they are away is said beside the one that was used."""
    run = with_config(press_run, data=(str(tmp_path / "elsewhere"),))
    found = evaluate_run(run, [str(press / "p4.h5")]).alarms
    assert found is not None
    assert found.metrics.rule.threshold == 0.5
    assert found.chosen == (
        "as configured, since the archives of the dev groups cannot be read: no such file or folder"
    )


def test_without_an_alarm_rule_there_are_no_alarms(press_run: Run, unseen: RunWindows) -> None:
    found = evaluate_windows(with_config(press_run, alarm=None), unseen)
    assert found.alarms is None
    assert found.to_json()["alarms"] is None


def test_unlabelled_windows_take_part_in_alarms(
    press_run: Run, unseen: RunWindows, judged: Evaluation
) -> None:
    assert judged.alarms is not None
    assert judged.alarms.metrics.windows == 60 > judged.overall.windows
    # The same shift, but nobody wrote down the second fault: its alarm is neither true nor false.
    hot = unseen.labels == press_run.classes.index("hot")
    quiet = dataclasses.replace(unseen, labels=np.where(hot, -1, unseen.labels))
    found = evaluate_windows(press_run, quiet)
    assert found.alarms is not None
    assert found.overall.windows == 40
    assert found.alarms.metrics.windows == 60
    assert len(found.alarms.metrics.episodes) == 1
    assert found.alarms.metrics.unjudged_alarms >= 1
    assert found.alarms.metrics.true_alarms + found.alarms.metrics.unjudged_alarms >= 2


def test_the_prior_that_was_answered_for_stands_beside_the_one_that_was_found(
    press_run: Run, unseen: RunWindows, judged: Evaluation
) -> None:
    classes = press_run.classes
    assert judged.prior.answered == dict(zip(classes, press_run.trained_prior, strict=True))
    assert judged.prior.judged == {"hot": 12 / 52, "ok": 28 / 52, "worn": 12 / 52}
    assert list(judged.prior.estimated.values()) == pytest.approx([12 / 52, 28 / 52, 12 / 52], abs=0.15)
    calm = evaluate_windows(with_config(press_run, deployment_prior=CALM), unseen)
    assert calm.prior.answered == pytest.approx(CALM)
    # Turned back by the estimate, which does not know that the shares were moved before.
    np.testing.assert_allclose(
        list(calm.prior.estimated.values()), list(judged.prior.estimated.values()), atol=0.05
    )


def test_it_all_survives_as_json(judged: Evaluation) -> None:
    tree = json.loads(json.dumps(judged.to_json(), allow_nan=False))
    assert tree["subsets"]["heat"]["reached"] == pytest.approx(49 / 52)
    assert set(tree["sensors"]) == {"shake", "heat"}
    assert tree["alarms"]["chosen"].startswith("chosen on the dev groups")
    assert set(tree["prior"]["answered"]) == set(tree["classes"]) == {"hot", "ok", "worn"}


def test_a_side_that_holds_no_group_is_told(press_run: Run) -> None:
    run = dataclasses.replace(press_run, groups={**press_run.groups, "test": ()})
    with pytest.raises(WindowError, match=r"the run holds out no test groups(.|\n)*--data") as caught:
        evaluate_run(run)
    assert caught.value.inside == "split.test"


def test_archives_without_labels_cannot_be_judged_by(press_run: Run, tmp_path: Path) -> None:
    path = write_press(tmp_path, "p9", seed=9, labelled=False)
    with pytest.raises(
        WindowError, match=r"no labelled window to judge by(.|\n)*60 windows, none with target"
    ):
        evaluate_run(press_run, [str(path)])
    assert (windows_for(press_run, [str(path)]).labels == -1).all()


def test_a_label_table_of_their_own_labels_other_archives(press_run: Run, tmp_path: Path) -> None:
    path, table = write_press(tmp_path, "p9", seed=9, labelled=False), tmp_path / "labels.csv"
    table.write_text("machine,target,t0,t1,class\np9,state,0,20,ok\np9,state,20,32,worn\nnone,state,0,1,ok\n")
    judged = evaluate_run(press_run, [str(path)], labels=str(table))
    assert judged.overall.windows == 32
    assert judged.prior.judged == {"hot": 0.0, "ok": 20 / 32, "worn": 12 / 32}
    assert [note for note in judged.notes if note.startswith("label row fits no recording: line 4")]
    assert judged.alarms is not None
    assert judged.alarms.metrics.windows == 60


def test_archives_that_were_trained_on_are_told(press_run: Run, press: Path) -> None:
    judged = evaluate_run(press_run, [str(press / "p0.h5")])
    assert judged.notes == ["judged only on groups that were trained on: ['p0']"]
    both = [str(press / name) for name in ("p0.h5", "p4.h5")]
    assert "judged also on groups that were trained on: ['p0']" in evaluate_run(press_run, both).notes


@pytest.fixture
def folded(tmp_path: Path) -> Run:
    """Trained on four of five presses, with the fifth drawn as a fold to be judged by."""
    (tmp_path / "presses").mkdir()
    for number in range(5):
        write_press(tmp_path / "presses", f"p{number}", seed=number)
    split = {"by": "machine", "folds": 5, "fold": 1}
    training = {"steps": 4, "batch_size": 8}
    return train_run(press_config(tmp_path / "presses", tmp_path / "run", split=split, training=training))


def test_a_run_is_judged_by_what_it_held_out_whatever_came_since(folded: Run, tmp_path: Path) -> None:
    (held,) = folded.groups["test"]
    before = evaluate_run(folded)
    assert set(before.groups) == {held} and before.notes == []
    write_press(tmp_path / "presses", "a-new-one", seed=7)
    after = evaluate_run(folded)
    assert set(after.groups) == {held}
    assert np.array_equal(before.logits, after.logits)
    assert after.notes == ["not judged, since they came after the run: ['a-new-one']; name them with --data"]


def test_a_run_is_judged_by_what_it_held_out_whatever_went_since(folded: Run, tmp_path: Path) -> None:
    (held,) = folded.groups["test"]
    before = evaluate_run(folded)
    trained = folded.groups["train"][0]
    (tmp_path / "presses" / f"{trained}.h5").unlink()
    after = evaluate_run(folded)
    assert set(after.groups) == {held} and np.array_equal(before.logits, after.logits)
    (tmp_path / "presses" / f"{held}.h5").write_bytes(b"")
    with pytest.raises(WindowError, match="no window of the run's test groups") as caught:
        evaluate_run(folded)
    assert f"{held}.h5" in str(caught.value.found) and held in str(caught.value.expected)
