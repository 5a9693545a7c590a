from __future__ import annotations

import math

import pytest

from sensorkd.distillation.methods import METHODS, Method, method_named
from sensorkd.errors import ConfigError


@pytest.mark.parametrize("name", METHODS)
def test_methods_are_named_as_they_are_listed(name):
    assert method_named(name).name == name
    assert method_named(name) == METHODS[name]


def test_a_method_can_be_changed_for_an_ablation():
    assert method_named("lsskd", {"cross": 0.0}).weights().keys() == {"label", "sad", "deep", "feat"}
    assert METHODS["lsskd"].cross > 0


def test_weights_hold_the_terms_that_are_on():
    assert Method("ce").weights() == {"label": 1.0}
    assert Method("two", sad=2, out=0.5).weights() == {"label": 1.0, "sad": 2.0, "out": 0.5}
    assert not Method("ce").layered
    assert Method("two", feat=0.1).layered


def test_an_unknown_method_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'lsskd'"):
        method_named("lskd")


def test_an_unknown_number_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'temperature'"):
        method_named("lsskd", {"temprature": 3.0})
    with pytest.raises(ConfigError, match="'name'"):
        method_named("lsskd", {"name": "mine"})


@pytest.mark.parametrize("weight", [-0.1, math.nan, math.inf])
@pytest.mark.parametrize("term", ["sad", "cross", "deep", "feat", "out"])
def test_a_weight_is_finite_and_not_negative(term, weight):
    with pytest.raises(ConfigError, match="negative or not finite") as caught:
        Method("bad", **{term: weight})
    assert f"'{term}': {weight}" in str(caught.value)


def test_softening_needs_a_past_and_an_alpha():
    for numbers in ({"alpha": 0.3}, {"earlier": "ema"}):
        with pytest.raises(ConfigError, match="both an earlier self and an alpha"):
            Method("half", **numbers)


@pytest.mark.parametrize(
    "numbers",
    [
        {"alpha": 1.0, "earlier": "ema"},
        {"warmup": 1.0},
        {"warmup": -0.1},
        {"temperature": 0.0},
        {"temperature": math.nan},
        {"sad": 1.0, "views": 0},
    ],
)
def test_numbers_out_of_range_are_refused(numbers):
    with pytest.raises(ConfigError, match="out of range"):
        Method("bad", **numbers)


def test_views_without_an_auxiliary_are_refused():
    with pytest.raises(ConfigError, match="sad above 0"):
        Method("bad", views=2)


def test_alpha_rises_linearly_in_steps_after_the_warm_up():
    method = Method("soft", earlier="ema", alpha=0.4, warmup=0.2)
    assert [method.alpha_at(step, 100) for step in (0, 10, 20)] == [0.0, 0.0, 0.0]
    assert method.alpha_at(60, 100) == pytest.approx(0.2)
    assert method.alpha_at(100, 100) == pytest.approx(0.4)
    assert method.alpha_at(600, 1000) == pytest.approx(method.alpha_at(60, 100))
    assert Method("hard").alpha_at(100, 100) == 0.0


def test_the_set_of_methods_is_what_is_compared():
    assert set(METHODS) == {
        *("ce", "label_smoothing", "mixup", "ps_kd", "byot", "sad", "kd", "sskd", "hsakd", "lsskd"),
        *("pseudo_label", "fixmatch", "mean_teacher"),
    }


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"balance": "auto"}, "nothing to balance"),
        ({"confidence": 0.5}, "none is"),
        ({"earlier": "last_visit", "alpha": 0.3, "mixup": 0.2}, "never seen twice"),
        (
            {
                "earlier": "last_visit",
                "alpha": 0.3,
                "unlabelled": 1.0,
                "pseudo": "hard",
                "pseudo_from": "earlier",
            },
            "asked about any window",
        ),
        ({"sad": 1.0, "views": 2, "pretext": False}, "see the identity view alone"),
        ({"label": 0.0}, "nothing learns the labels"),
        ({"relation": 1.0, "teacher": "layered"}, "needs views"),
        ({"kd_views": 1.0, "joint": 1.0, "teacher": "layered"}, "needs views"),
        ({"kd": 1.0, "kd_views": 1.0, "sad": 1.0, "views": 2, "teacher": "plain"}, "never saw a transformed"),
        ({"auxiliaries": "fused"}, "no auxiliaries to place"),
        ({"sad": 1.0, "cross": 1.0, "auxiliaries": "fused"}, "auxiliaries that the method does without"),
        ({"sad": 1.0, "deep": 1.0, "auxiliaries": "modality"}, "deep above 0 with auxiliaries: modality"),
        ({"kd": 1.0}, "need a teacher"),
        ({"teacher": "plain"}, "need a teacher"),
        ({"joint": 1.0, "teacher": "plain"}, "never saw a transformed window"),
        ({"unlabelled": 1.0}, "nothing to teach this method"),
        ({"unlabelled": 1.0, "sad": 1.0, "threshold": 0.9}, "do nothing without them"),
        ({"unlabelled": 1.0, "pseudo": "soft"}, "teaches it nothing"),
        ({"unlabelled": 1.0, "pseudo": "hard", "threshold": 1.5}, "out of range"),
        ({"smoothing": 1.0}, "out of range"),
        ({"decay": 1.0}, "out of range"),
        ({"max_age": 0}, "out of range"),
    ],
)
def test_a_method_that_contradicts_itself_is_refused(numbers, message):
    with pytest.raises(ConfigError, match=message) as caught:
        Method("bad", **numbers)
    assert "method" in str(caught.value.inside)


def test_an_earlier_self_may_serve_pseudo_labels_alone():
    numbers = {"unlabelled": 1.0, "pseudo": "mse", "pseudo_from": "earlier"}
    assert Method("teacher", earlier="ema", **numbers).pseudo_from_earlier
    with pytest.raises(ConfigError, match="both an earlier self"):
        Method("teacher", **numbers)


def test_windows_without_a_label_can_be_left_out_of_any_method():
    assert method_named("fixmatch", {"unlabelled": 0.0}).unlabelled_weights(5, 10) == {}
    assert not method_named("fixmatch", {"unlabelled": 0.0}).pseudo_labels


def test_only_pseudo_labels_wait_for_the_ramp():
    method = method_named("sad", {"unlabelled": 0.5, "pseudo": "hard", "ramp": 0.5})
    start, middle, end = (method.unlabelled_weights(step, 100) for step in (0, 25, 80))
    assert start == {"sad_unlabelled": 0.5, "pseudo": 0.0, "pseudo_sad": 0.0}
    assert middle["pseudo"] == 0.25 and end["pseudo"] == 0.5
    assert middle["sad_unlabelled"] == end["sad_unlabelled"] == 0.5


def test_auxiliaries_that_learn_the_class_alone_have_nothing_to_say_without_a_label():
    assert "sad_unlabelled" not in method_named("byot", {"unlabelled": 1.0}).unlabelled_weights(1, 2)


def test_a_method_tells_what_was_changed_and_what_it_always_told():
    told = method_named("lsskd", {"unlabelled": 0.5}).changed()
    assert told["unlabelled"] == 0.5 and told["warmup"] == 0.3
    assert "max_age" not in told
