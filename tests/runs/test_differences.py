"""Two configurations are told apart by the keys that differ, and by no others."""

from __future__ import annotations

from sensorkd.runs.differences import differences


def test_only_keys_that_differ_are_told_by_their_whole_name() -> None:
    before = {"steps": 5, "size": {"a": 1, "b": {"c": 2, "d": 3}}, "out": "x", "gone": 1}
    now = {"steps": 5, "size": {"a": 1, "b": {"c": 4, "d": 3}}, "out": "y", "new": [1]}
    assert differences(before, now, free=("out",)) == (
        {"size.b.c": 2, "gone": 1, "new": None},
        {"size.b.c": 4, "gone": None, "new": [1]},
    )
    assert differences(now, now) == ({}, {})


def test_a_part_that_comes_or_goes_is_told_whole() -> None:
    assert differences({"alarm": None}, {"alarm": {"on": 1}}) == ({"alarm": None}, {"alarm": {"on": 1}})
