from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sensorkd.errors import ArchiveError, SensorkdError
from sensorkd.processes import ChildError, ChildLimits, in_children, without_main
from sensorkd.recordings import RecordingWriter, open_recordings


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


class Unreadable:
    """It crosses to no other process."""

    def __reduce__(self) -> Any:
        return divmod, (1, 0)


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


UNGUARDED = """
import os
from sensorkd.processes import in_children
print("begun")
print(dict(in_children(os.path.basename, ["x/a", "x/b"])))
print(__file__, __spec__)
"""
OPENING = """
from sensorkd.recordings.isolated import open_isolated
print("begun")
print([recording.id for recording in open_isolated("a.h5")])
"""
LOGGING = """
import numpy as np
from sensorkd.recordings import RecordingLogger, StreamFormat
print("begun")
kind = StreamFormat(rate=100.0, dtype="int16", sample_shape=(2,), modality="acceleration", unit="m/s2")
with RecordingLogger("log", clock="relative", identity={"machine": 1}, streams={"shake": kind}) as logger:
    logger.append("shake", np.ones((200, 2), np.int16), t0=0)
"""
OF_THE_SCRIPT = """
from sensorkd.processes import in_children
def double(item):
    return 2 * item
def main():
    print(dict(in_children(double, [1, 2])))
"""


def run(folder: Path, text: str, *, piped: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a script as its user would."""
    (folder / "script.py").write_text(text)
    command, given = [sys.executable, "-" if piped else "script.py"], text if piped else ""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("piped", [False, True])
def test_a_script_needs_no_guard_and_is_not_run_again_in_its_children(tmp_path: Path, piped: bool) -> None:
    done = run(tmp_path, UNGUARDED, piped=piped)
    place = "<stdin>" if piped else str(tmp_path / "script.py")
    assert (done.stdout.splitlines(), done.stderr) == (["begun", "{0: 'a', 1: 'b'}", f"{place} None"], "")


def test_a_script_without_a_guard_opens_files_in_children(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "a.h5") as writer:
        draft = writer.recording("monday", clock="relative", identity={})
        draft.add_stream("heat", np.zeros((9, 1), np.float32), rate=1.0, modality="temperature", unit="degC")
    done = run(tmp_path, OPENING)
    assert (done.stdout.splitlines(), done.stderr) == (["begun", "['a.h5::monday']"], "")


def test_a_script_without_a_guard_logs(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    done = run(tmp_path, LOGGING)
    assert (done.stdout.splitlines(), done.stderr) == (["begun"], "")
    (recording,) = open_recordings(tmp_path / "log")
    assert recording.streams["shake"].segments.count.tolist() == [200]


def test_functions_of_a_guarded_script_work_in_children(tmp_path: Path) -> None:
    done = run(tmp_path, f"{OF_THE_SCRIPT}if __name__ == '__main__':\n    main()\n")
    assert (done.stdout, done.stderr) == ("{0: 2, 1: 4}\n", "")


@pytest.mark.parametrize("piped", [False, True])
def test_a_child_that_cannot_start_is_told_as_that_with_the_cure_and_not_as_a_damaged_file(
    tmp_path: Path, piped: bool
) -> None:
    done = run(tmp_path, f"{OF_THE_SCRIPT}main()\n", piped=piped)
    assert (done.returncode, done.stdout) == (1, "")
    told = done.stderr[done.stderr.rindex("ChildError: ") :]
    for part in (
        "the child process could not start",
        "ended with code 1",
        "if __name__",
        "move them to a module",
    ):
        assert part in told, told
    assert "damaged" not in told


def test_what_a_child_cannot_unpickle_is_told_as_that() -> None:
    with pytest.raises(ChildError, match="could not start") as caught:
        list(in_children(act, [Unreadable()]))  # type: ignore[list-item]
    assert "ZeroDivisionError" in str(caught.value.found)


def test_the_script_is_hidden_only_meanwhile_and_from_no_process_that_needs_it() -> None:
    main: Any = sys.modules["__main__"]
    before, seen = (main.__spec__, getattr(main, "__file__", None)), []
    other = threading.Thread(target=lambda: needing(seen))
    with pytest.raises(KeyError), without_main(pickle.dumps(act)):
        other.start()
        time.sleep(0.1)
        assert (main.__spec__, getattr(main, "__file__", None)) == (None, None)
        raise KeyError
    other.join()
    assert seen == [before] == [(main.__spec__, getattr(main, "__file__", None))]


def needing(seen: list[Any]) -> None:
    with without_main(b"c__main__\nact\n."):
        seen.append((sys.modules["__main__"].__spec__, getattr(sys.modules["__main__"], "__file__", None)))
