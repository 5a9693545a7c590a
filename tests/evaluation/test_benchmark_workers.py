"""Workers live on, and one that crashes takes only its item with it."""

from __future__ import annotations

import os
import signal

from sensorkd.errors import RunError
from sensorkd.evaluation.benchmark_workers import Outcome, Workers


def work(item: str) -> tuple[str, int, str | None]:
    if item == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "refuse":
        raise RunError("will not", mend="ask again")
    if item == "defect":
        raise ZeroDivisionError("by nought")
    return item, os.getpid(), os.environ.get("OMP_NUM_THREADS")


def test_a_crash_a_refusal_and_a_defect_are_told_and_the_others_go_on() -> None:
    found: list[Outcome] = []
    with Workers(work, jobs=1) as workers:
        for item in ("first", "refuse", "defect", "crash", "last"):
            assert workers.free
            workers.begin(item)
            assert workers.at_work == [item] and not workers.free
            found += workers.outcomes()
    assert [outcome.kind for outcome in found] == ["done", "failed", "failed", "crashed", "done"]
    assert "will not" in found[1].value and "ask again" in found[1].value
    assert "ZeroDivisionError: by nought" in found[2].value
    assert "SIGKILL" in found[3].value
    first, last = found[0].value, found[4].value
    assert first[1] != last[1] != os.getpid(), "a new process took over"
    assert first[2] == "1", "one thread each"
