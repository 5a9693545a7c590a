"""Where the windows of a run lie in its embedding, as a bundle ships it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from sensorkd.edge import EdgeBundle, EdgePredictor
from sensorkd.edge.novelty import Novelty
from sensorkd.edge.statistics import Statistics
from sensorkd.export.statistics import (
    KEPT,
    Embedded,
    embed,
    embedded_windows,
    statistics_of,
    subsets_of,
    unknown_rule_of,
    write_statistics,
)


@pytest.fixture(scope="module")
def embedded(press_run):
    """Side -> its windows."""
    student = press_run.student()
    return {side: embedded_windows(press_run, student, side) for side in ("train", "dev")}


@pytest.fixture(scope="module")
def found(press_run, embedded):
    statistics = statistics_of(press_run.student(), embedded["train"], embedded["dev"])
    assert statistics is not None
    return statistics


def test_windows_are_embedded_under_each_subset_as_the_student_would(exported, make_windows):
    student, windows = exported["lsskd"].student.eval(), make_windows(12)
    embedding, seen = embed(student, windows)
    inputs = {name: torch.from_numpy(values) for name, values in windows.inputs.items()}
    for number, subset in enumerate(subsets_of(student)):
        presence = windows.presence * subset
        with torch.inference_mode():
            expected = student(inputs, torch.from_numpy(presence))[1].numpy()
        assert np.allclose(embedding[number], expected, atol=1e-6)
        assert np.array_equal(seen[number], (windows.presence >= subset).all(axis=1))
    # The shaking of window 1 and the picture of window 2 are missing.
    assert not seen[0, 1]
    assert not seen[0, 2]
    assert seen[0].sum() == 10


def test_sides_do_not_mix_and_dev_windows_have_labels(press_run, embedded):
    assert embedded["train"].groups == ("p0", "p1", "p2")
    assert embedded["dev"].groups == ("p3",)
    assert (embedded["dev"].labels >= 0).all()
    assert (embedded["train"].labels < 0).any()


def test_means_and_counts_are_those_of_the_labelled_windows(press_run, embedded, found):
    training, student = embedded["train"], press_run.student()
    known = training.labels >= 0
    assert np.array_equal(found.counts, np.bincount(training.labels[known]))
    only = dataclasses.replace(
        training,
        embedding=training.embedding[:, known],
        seen=training.seen[:, known],
        labels=training.labels[known],
    )
    statistics = statistics_of(student, only)
    for number, subset in enumerate(statistics.subsets):
        place = int(np.flatnonzero((subsets_of(student) == subset).all(axis=1))[0])
        for label in range(len(press_run.classes)):
            mine = only.embedding[place][(only.labels == label) & only.seen[place]]
            assert np.allclose(statistics.means[number, label], mine.mean(axis=0), atol=1e-5)


def test_the_covariance_is_that_within_the_classes(found, embedded, press_run):
    """Of plenty of windows that are drawn with a known one."""
    student, rng = press_run.student(), np.random.default_rng(0)
    size, classes = student.classifier.in_features, len(press_run.classes)
    root = rng.normal(size=(size, size)) / np.sqrt(size)
    labels = np.arange(6000) % classes
    x = (rng.normal(size=(6000, size)) @ root + 9.0 * labels[:, None]).astype(np.float32)
    subsets = len(subsets_of(student))
    made = Embedded(np.repeat(x[None], subsets, axis=0), np.ones((subsets, 6000), bool), labels, ("a",))
    covariance = statistics_of(student, made).covariance[0]
    truth = root.T @ root
    assert np.abs(covariance - truth).max() < 0.1 * np.abs(truth).max()


def test_the_classifier_of_the_statistics_is_that_of_the_student(press_run, embedded, found):
    x = embedded["train"].embedding[0]
    with torch.inference_mode():
        expected = press_run.student().classifier(torch.from_numpy(x)).numpy()
    assert np.allclose(found.logits(x), expected, atol=1e-4)


def test_what_judges_an_update_is_not_what_reminds_it(embedded, found):
    kept = found.kept
    assert kept.judged.any()
    assert not kept.judged.all()
    # Once as logged, once more without some sensor.
    assert np.bincount(kept.labels[~kept.judged]).max() <= 2 * KEPT
    dev = embedded["dev"].embedding.reshape(-1, kept.embedding.shape[1])
    for judged, expected in ((True, True), (False, False)):
        for row in kept.embedding[kept.judged == judged]:
            assert bool((dev == row).all(axis=1).any()) is expected


def test_without_dev_windows_the_training_windows_are_shared_out(press_run, embedded):
    kept = statistics_of(press_run.student(), embedded["train"]).kept
    halves = [{row.tobytes() for row in kept.embedding[kept.judged == side]} for side in (True, False)]
    assert halves[0]
    assert halves[1]
    assert not halves[0] & halves[1]


def test_the_rule_holds_on_the_windows_it_was_made_of(press_run, embedded, found):
    student = press_run.student()
    rule = unknown_rule_of(found, embedded["dev"], student.modalities, subsets=subsets_of(student), rate=0.1)
    assert rule.subsets[0] == "shake+heat"
    assert rule.groups == ("p3",)
    assert rule.rate == pytest.approx(0.1)
    novelty = Novelty(found, rule)
    for number, subset in enumerate(found.subsets):
        some = embedded["dev"].embedding[number][embedded["dev"].seen[number]]
        share = novelty.unknown(some, np.broadcast_to(subset, (len(some), 2))).mean()
        assert 0 < share <= 0.1


def test_few_dev_windows_promise_no_more_than_they_can(press_run, embedded, found):
    student, dev = press_run.student(), embedded["dev"]
    few = dataclasses.replace(
        dev, embedding=dev.embedding[:, :9], seen=dev.seen[:, :9], labels=dev.labels[:9]
    )
    rule = unknown_rule_of(found, few, student.modalities, subsets=subsets_of(student), rate=0.001)
    assert rule.rate == pytest.approx(1 / (1 + min(rule.windows)))


def test_without_dev_windows_nothing_is_promised(press_run, embedded, found):
    student, dev = press_run.student(), embedded["dev"]
    none = dataclasses.replace(
        dev, embedding=dev.embedding[:, :0], seen=dev.seen[:, :0], labels=dev.labels[:0]
    )
    assert unknown_rule_of(found, none, student.modalities, subsets=subsets_of(student), rate=0.01) is None


def test_one_window_of_each_class_gives_no_statistics(press_run, embedded, tmp_path, monkeypatch):
    training = embedded["train"]
    first = np.array([np.flatnonzero(training.labels == label)[0] for label in range(3)])
    few = dataclasses.replace(
        training,
        embedding=training.embedding[:, first],
        seen=training.seen[:, first],
        labels=training.labels[first],
    )
    assert statistics_of(press_run.student(), few) is None
    monkeypatch.setattr("sensorkd.export.statistics.embedded_windows", lambda run, student, side: few)
    assert write_statistics(press_run, press_run.student(), tmp_path / "statistics.npz") is None
    assert not (tmp_path / "statistics.npz").exists()


def test_a_sensor_that_was_never_there_has_no_statistics(press_run, embedded):
    training = embedded["train"]
    seen = training.seen.copy()
    seen[:2] = False
    statistics = statistics_of(press_run.student(), dataclasses.replace(training, seen=seen))
    assert statistics.subsets.tolist() == [[0, 1]]


def test_a_bundle_ships_them(press_bundle, press_run):
    bundle = EdgeBundle.open(press_bundle)
    statistics = Statistics.of(bundle)
    golden = bundle.golden()
    assert np.allclose(statistics.logits(golden["embedding"]), golden["logits"], atol=1e-3)
    assert bundle.description.unknown.groups == press_run.groups["dev"]
    assert "called unknown" in (press_bundle / "README.md").read_text()
    found = EdgePredictor(bundle).predict(
        {name: golden[f"input.{name}"] for name in bundle.description.inputs}, golden["presence"]
    )
    assert found.unknown.shape == (len(golden["presence"]),)
