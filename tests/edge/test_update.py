"""A device learns from a few labelled windows: what it gains, what it keeps, and what it refuses."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from sensorkd.edge import EdgeBundle, EdgePredictor
from sensorkd.edge.classifier import Correction, Prototypes, check_correction, step_of
from sensorkd.edge.examples import examples_of
from sensorkd.edge.update import MOST_LOST, learn
from sensorkd.errors import BundleError, GateError

CLASSES = ("calm", "rough", "hot")
# On this machine `rough` shakes the other way, where the bundle says `calm`, and `melting` is unheard of.
HERE, NEW = (2.0, 1.0), (-2.0, 8.0)


@pytest.fixture
def predictor(learning_folder):
    return EdgePredictor(EdgeBundle.open(learning_folder))


@pytest.fixture
def taught(predictor, windows_at):
    """What is learned from labelled places: (places, labels, ...) -> Learned."""

    def teach(places, labels, *, new=(), current=None, presence=None, **options):
        predictor.learned = current
        examples = examples_of(predictor, windows_at(places), presence, labels, new_classes=new)
        statistics = predictor.statistics
        return learn(statistics, CLASSES, examples, current=current, **options)

    return teach


def verdict(predictor, learned, inputs, presence=None):
    predictor.learned = None if learned is None else learned.correction
    return predictor.predict(inputs, presence).verdicts


def test_a_few_windows_change_the_verdict_here_and_nowhere_else(predictor, taught, windows_at, places_near):
    here = windows_at([HERE, HERE])
    before = verdict(predictor, None, here)
    learned = taught([HERE, HERE, HERE], ["rough"] * 3)
    assert before == ["hot", "hot"]
    assert verdict(predictor, learned, here) == ["rough", "rough"]
    old = [name for name in CLASSES for _ in range(20)]
    assert verdict(predictor, learned, windows_at(places_near(old, seed=9))) == old
    assert learned.own_before < learned.own_after
    assert learned.windows == 3


def test_a_new_class_is_told_from_the_old_ones(predictor, taught, windows_at, places_near):
    learned = taught([NEW] * 4, ["melting"] * 4, new=["melting"])
    assert learned.correction.classes == (*CLASSES, "melting")
    assert verdict(predictor, learned, windows_at([NEW, (-2.2, 8.3)])) == ["melting", "melting"]
    old = [name for name in CLASSES for _ in range(20)]
    assert verdict(predictor, learned, windows_at(places_near(old, seed=9))) == old


def test_without_windows_of_a_class_nothing_is_learned_of_it(predictor, taught, windows_at):
    learned = taught([NEW] * 2, ["melting"] * 2, new=["melting", "frozen"][:1])
    with pytest.raises(BundleError, match="too few windows of a new class") as caught:
        taught([NEW], ["melting"], new=["melting"])
    assert "found: 1" in str(caught.value)
    assert learned.windows == 2


def test_what_an_update_learned_is_remembered_by_the_next(predictor, taught, windows_at):
    first = taught([HERE] * 3, ["rough"] * 3)
    second = taught([NEW] * 3, ["melting"] * 3, new=["melting"], current=first.correction)
    found = verdict(predictor, second, windows_at([HERE, NEW, (3, -3)]))
    assert found == ["rough", "melting", "calm"]
    together = taught([HERE] * 3 + [NEW] * 3, ["rough"] * 3 + ["melting"] * 3, new=["melting"])
    somewhere = windows_at(np.random.default_rng(0).uniform(-4, 8, (400, 2)))
    pairs = zip(*(verdict(predictor, item, somewhere) for item in (second, together)), strict=True)
    assert sum(one == other for one, other in pairs) >= 380


def test_the_order_of_windows_means_nothing(predictor, windows_at):
    inputs, labels = windows_at([HERE, NEW, NEW, (3, -3)]), ["rough", "melting", "melting", "calm"]
    weights = []
    for step in (1, -1):
        turned = {name: values[::step] for name, values in inputs.items()}
        examples = examples_of(predictor, turned, None, labels[::step], new_classes=["melting"])
        weights.append(learn(predictor.statistics, CLASSES, examples).correction.weight)
    assert np.allclose(*weights, atol=1e-5)


def test_one_window_does_not_overturn_a_class(predictor, taught, windows_at, places_near):
    """A wrong label amid `calm`: its neighbours stay calm."""
    learned = taught([(3, -3)], ["hot"])
    found = verdict(predictor, learned, windows_at(places_near(["calm"] * 200, seed=3)))
    assert found.count("calm") >= 180


def test_many_wrong_labels_are_refused_with_the_class_that_would_be_lost(taught, places_near):
    places = places_near(["calm"] * 40, seed=4)
    with pytest.raises(GateError, match="would forget what was known") as caught:
        taught(places, ["hot"] * 40, current=None)
    assert "'calm'" in str(caught.value)
    assert caught.value.exit_code == 1


def test_what_may_be_lost_is_counted_from_what_was_trained(predictor, taught, windows_at, places_near):
    """Small losses of one update after another do not add up."""
    current, lost = None, 0.0
    for turn in range(6):
        try:
            learned = taught(places_near(["calm"] * 2, seed=turn), ["hot"] * 2, current=current)
        except GateError:
            break
        current, lost = learned.correction, learned.before - learned.after
    assert lost <= MOST_LOST


def test_missing_sensors_are_learned_with_and_looked_after(predictor, taught, windows_at, places_near):
    learned = taught([HERE] * 3, ["rough"] * 3)
    known = learned.correction.prototypes
    assert sorted(set(known.subset.tolist())) == [0, 1, 2]
    assert known.windows.tolist() == [3, 3, 3]
    alone = windows_at(places_near(["rough"] * 10, seed=2))
    assert set(verdict(predictor, learned, {"shake": alone["shake"]})) == {"rough"}


def test_a_window_without_a_label_is_left_out(taught):
    assert taught([HERE, NEW, HERE], ["rough", "", "rough"]).windows == 2


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (["rough"], "2, one a window"),
        (["", ""], "no labelled window"),
        (["rough", "rouhg"], "did you mean 'rough'"),
        (["rough", "melting"], "--new-class melting"),
    ],
)
def test_labels_that_cannot_be_used_are_told(taught, labels, told):
    with pytest.raises(BundleError) as caught:
        taught([HERE, HERE], labels)
    assert told in str(caught.value)


def test_a_window_that_no_sensor_saw_is_refused(predictor, windows_at):
    inputs = windows_at([HERE, HERE])
    inputs["shake"][0], inputs["heat"][0] = np.nan, 32000
    with pytest.raises(BundleError, match="cannot be learned from") as caught:
        examples_of(predictor, inputs, None, ["rough", "rough"])
    assert "1 of 2 hold no usable sensor" in str(caught.value)


def test_a_sensor_that_is_no_number_is_learned_without(predictor, windows_at):
    inputs = windows_at([HERE, HERE])
    inputs["shake"][0] = np.nan
    examples = examples_of(predictor, inputs, None, ["rough", "rough"])
    assert np.isfinite(examples.embedding).all()
    assert sorted(examples.subset[examples.window == 0].tolist()) == [2]
    assert np.bincount(examples.window, examples.weight).tolist() == [1.0, 1.0]


def test_a_bundle_without_statistics_cannot_learn(bundle_folder, windows_at):
    predictor = EdgePredictor(EdgeBundle.open(bundle_folder))
    with pytest.raises(BundleError, match="no statistics to learn with"):
        examples_of(predictor, windows_at([HERE]), None, ["rough"])


def test_a_bundle_that_keeps_no_windows_cannot_judge_an_update(predictor, windows_at):
    statistics = predictor.statistics
    kept = dataclasses.replace(statistics.kept, judged=np.zeros_like(statistics.kept.judged))
    examples = examples_of(predictor, windows_at([HERE]), None, ["rough"])
    with pytest.raises(BundleError, match="keeps no windows to judge"):
        learn(dataclasses.replace(statistics, kept=kept), CLASSES, examples)


def nothing(classes=CLASSES, **changes):
    """A correction that corrects nothing, but for what is said."""
    many, none = len(classes), Prototypes.none(2)
    fields = {
        "weight": np.zeros((many, 2), np.float32),
        "bias": np.zeros(many, np.float32),
        "prototypes": none,
    }
    return Correction(classes, **{**fields, **changes})


def test_no_correction_leaves_every_bit_as_it_was(predictor, make_samples):
    inputs = make_samples(30)
    before = predictor.predict(inputs).logits
    predictor.learned = nothing()
    assert np.array_equal(predictor.predict(inputs).logits, before)


def place(where, label=0, subset=0, windows=1):
    numbers = (np.array([value], np.int64) for value in (label, subset, windows))
    return Prototypes(np.array([where], np.float32), *numbers)


@pytest.mark.parametrize(
    ("correction", "told"),
    [
        (nothing(bias=np.array([0, np.nan, 0], np.float32)), "NaN or infinity"),
        (nothing(weight=np.full((3, 2), np.inf, np.float32)), "NaN or infinity"),
        (nothing(prototypes=place((np.nan, 0))), "NaN or infinity"),
        (nothing(weight=np.full((3, 2), 1e3, np.float32)), "too far"),
        (nothing(weight=np.full((3, 2), 1e30, np.float32)), "too far"),
        (nothing(bias=np.array([0, 1e3, 0], np.float32)), "too far"),
        (nothing(prototypes=place((6e4, 0))), "nowhere near"),
        (nothing(prototypes=place((0, 0), subset=3)), "another embedding"),
        (nothing(prototypes=place((0, 0), label=3)), "another embedding"),
        (nothing(prototypes=place((0, 0), windows=0)), "another embedding"),
        (nothing(weight=np.zeros((3, 4), np.float32)), "another embedding"),
        (nothing(("calm", "hot", "rough")), "other classes"),
        (nothing(("calm", "rough")), "other classes"),
        (nothing((*CLASSES, "hot")), "other classes"),
    ],
)
def test_what_no_honest_update_comes_to_is_refused(made_statistics, correction, told):
    with pytest.raises(BundleError, match=told):
        check_correction(correction, made_statistics, CLASSES)


def test_a_step_is_measured_in_deviations_within_a_class(made_statistics):
    correction = nothing(weight=np.array([[2, 0], [0, 0], [0, 1]], np.float32))
    across, at_means = step_of(correction, made_statistics)
    assert across == pytest.approx(2 * 0.3)
    assert at_means == pytest.approx(6.0)


def test_what_is_learned_is_no_longer_unknown(predictor, learning_folder, taught, windows_at):
    from sensorkd.edge.novelty import novelty_of

    far = windows_at([NEW])
    assert predictor.predict(far).unknown.all()
    learned = taught([NEW] * 3, ["melting"] * 3, new=["melting"]).correction
    novelty = novelty_of(predictor.statistics, predictor.bundle.description.unknown, learned)
    assert not novelty.unknown(np.array([NEW]), np.ones((1, 2))).any()
