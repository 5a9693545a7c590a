from __future__ import annotations

import inspect
import pickle

import pytest

from sensorkd import errors
from sensorkd.errors import ArchiveError, GateError, SensorkdError, nearest

FULL = ArchiveError(
    "a chunk is too large",
    file="press.h5",
    inside="/monday/streams",
    found="4 GiB",
    expected="1 GiB",
    mend="rewrite it",
)


def test_a_message_tells_where_what_and_the_cure() -> None:
    assert str(FULL).splitlines() == [
        "press.h5 at /monday/streams: a chunk is too large",
        "  found: 4 GiB",
        "  expected: 1 GiB",
        "  to mend: rewrite it",
    ]


def test_what_is_not_known_is_left_out() -> None:
    assert str(SensorkdError("it broke")) == "it broke"
    assert str(SensorkdError("it broke", inside="/a", found=0)) == "/a: it broke\n  found: 0"


def test_an_error_crosses_a_process_border_unchanged() -> None:
    copy = pickle.loads(pickle.dumps(FULL))
    assert type(copy) is ArchiveError
    assert str(copy) == str(FULL)
    assert copy.args == FULL.args
    assert (copy.file, copy.found) == (FULL.file, FULL.found)


def test_what_was_found_may_be_something_that_cannot_be_pickled() -> None:
    error = ArchiveError("it broke", found=lambda: None)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_all_errors_are_public_and_share_one_ancestor() -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)]
    assert {kind.__name__ for kind in kinds} <= set(errors.__all__)
    assert all(issubclass(kind, SensorkdError) for kind in kinds)


def test_only_a_gate_that_was_not_passed_ends_with_one() -> None:
    assert (GateError.exit_code, ArchiveError.exit_code) == (1, 2)


@pytest.mark.parametrize(
    ("name", "told"),
    [("velocty", "did you mean 'velocity'? "), ("velocity2", "did you mean 'velocity'? "), ("xyz", "")],
)
def test_the_nearest_name_is_offered_if_one_is_near(name: str, told: str) -> None:
    assert nearest(name, {"velocity", "pressure"}) == told
