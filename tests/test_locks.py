"""One process at a time in a folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sensorkd.errors import RunError
from sensorkd.locks import only_process

HOLD = """
import sys
from pathlib import Path
from sensorkd.locks import only_process
with only_process(Path(sys.argv[1]), "run"):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_folder_is_for_one_process_until_that_ends(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RunError, match="another process is at this run") as caught:  # noqa: SIM117
            with only_process(folder, "run"):
                raise AssertionError("two at once")
        assert caught.value.file == str(folder)
        other.kill()
    with only_process(folder, "run"):
        pass


def test_an_error_inside_is_told_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError, match="inside"), only_process(tmp_path, "run"):
        raise TimeoutError("inside")
    with only_process(tmp_path, "run"):
        pass
