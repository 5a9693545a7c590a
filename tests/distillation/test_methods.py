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
    assert method_named("lsskd", {"cross": 0.0}).weights().keys() == {"label", "sad", "deep", "feat", "out"}
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
