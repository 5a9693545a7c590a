from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

# In processes of its own: a crash or a hang inside HDF5 must not take the tests along.
FUZZ = Path(__file__).parents[2] / "benchmarks" / "fuzz.py"
# Not text of variable length, which may hang: tests of isolated reading make it do so.
FOREIGN = ("oldest, contiguous", "newest, contiguous", "oldest, gzip", "newest, gzip", "oldest, fletcher32")


def test_whatever_happens_to_a_foreign_file_is_told_or_harmless(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    command = [sys.executable, FUZZ, "--cases", "200", "--seed", "5", "--out", out, "--kinds", *FOREIGN]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = json.loads(out.read_text("utf-8"))["counts"]
    ended = Counter[str]()
    for kind in FOREIGN:
        for row in counts[kind].values():
            ended.update(row)
    assert ended.total() == 200
    # Bytes without a checksum may change unseen; all else is refused or as it was.
    assert set(ended) <= {"refused", "intact", "differs"}
    assert counts["oldest, fletcher32"]["chunk bit"] == {"refused": 5}


def test_a_case_of_the_fuzz_run_is_made_again_from_its_number(tmp_path: Path) -> None:
    made = []
    for name in ("a.h5", "b.h5"):
        command = [sys.executable, FUZZ, "--only", "17", "--seed", "5", "--keep", tmp_path / name]
        subprocess.run(command, check=True, capture_output=True)
        made.append((tmp_path / name).read_bytes())
    assert made[0] == made[1]
