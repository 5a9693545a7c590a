from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from sensorkd.errors import ArchiveError, SensorkdError
from sensorkd.processes import ChildError, ChildLimits, in_children


def act(item: str) -> int:
    """What a child does by the name of its item."""
    if item == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if item == "hang":
        time.sleep(600)
    if item == "hog":
        return int(np.ones(1 << 32, np.uint8).sum())
    if item == "bad":
        raise ArchiveError("the file is bad", file=item, found=ValueError("x"))
    if item == "defect":
        raise ZeroDivisionError("a defect")
    if item == "leave":
        os._exit(7)
    if item == "environment":
        return int(os.environ["SENSORKD_TOLD_TO_CHILDREN"])
    return os.getpid()


def gathered(items: list[str], **options: object) -> dict[str, object]:
    found = in_children(act, items, **options)  # type: ignore[arg-type]
    return {items[index]: result for index, result in found}


def test_every_item_has_a_child_of_its_own() -> None:
    found = gathered(["a", "b", "c"], jobs=2)
    assert len({*found.values(), os.getpid()}) == 4


def test_a_child_that_dies_is_the_error_of_its_item_and_the_others_go_on() -> None:
    found = gathered(["a", "crash", "leave", "bad", "b"], jobs=2)
    assert isinstance(found["a"], int) and isinstance(found["b"], int)
    crash, leave, bad = found["crash"], found["leave"], found["bad"]
    assert isinstance(crash, ChildError) and "SIGSEGV" in str(crash) and crash.file == "crash"
    assert isinstance(leave, ChildError) and "code 7" in str(leave)
    assert isinstance(bad, ArchiveError) and "the file is bad" in str(bad)


def test_a_child_that_hangs_is_ended() -> None:
    begun = time.monotonic()
    found = gathered(["hang", "a"], jobs=1, limits=ChildLimits(seconds=3.0))
    assert "within 3 s" in str(found["hang"]) and isinstance(found["a"], int)
    assert time.monotonic() - begun < 60


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory can only be limited on Linux")
def test_a_child_that_eats_memory_is_refused_it() -> None:
    found = gathered(["hog", "a"], limits=ChildLimits(memory=1 << 30))
    assert "more memory" in str(found["hog"]) and isinstance(found["a"], int)


def test_a_child_has_the_environment_of_its_caller_as_it_is_now(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in (1, 2):
        monkeypatch.setenv("SENSORKD_TOLD_TO_CHILDREN", str(value))
        assert gathered(["environment"]) == {"environment": value}


def test_a_defect_is_raised_as_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError, match="a defect"):
        gathered(["defect"])


def test_leaving_early_ends_the_children() -> None:
    found: dict[int, int | SensorkdError] = {}
    begun = time.monotonic()
    for index, result in in_children(act, ["hang", "a"], jobs=2):
        found[index] = result
        break
    assert set(found) == {1}
    assert time.monotonic() - begun < 60


def test_nothing_to_do_gives_nothing() -> None:
    assert gathered([]) == {}
