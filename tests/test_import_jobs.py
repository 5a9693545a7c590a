"""A batch of sources in processes of their own, killed, begun again, and changed in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sensorkd.errors import ConfigError, SensorkdError
from sensorkd.importers import import_sources, importer_for
from sensorkd.processes import ChildLimits
from sensorkd.recordings import open_recordings

TABLE = "t,flow\n0,1\n1,2\n"
LAB = """
schema: import-1.0
importer: csv
name: lab
clock: relative
time: {column: t, unit: s}
streams:
  flow: {modality: flow, unit: l/min, columns: [flow]}
"""


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """A folder of six tables beside the mapping lab.yaml."""
    (tmp_path / "lab.yaml").write_text(LAB)
    (tmp_path / "logs").mkdir()
    for number in range(6):
        (tmp_path / "logs" / f"{number}.csv").write_text(TABLE)
    return tmp_path / "logs"


@pytest.mark.parametrize(("isolated", "jobs"), [(True, 1), (False, 2)])
def test_sources_in_children_give_the_same_in_the_same_order(tables: Path, isolated: bool, jobs: int) -> None:
    (tables / "1.csv").write_text("t,flow\n0,x\n")
    for number in (3, 4, 5):
        (tables / f"{number}.csv").unlink()
    out, failed, seen = tables.parent / "o", [], []
    imported = import_sources(
        importer_for("csv"), [tables], out, tables.parent / "lab.yaml", isolated=isolated, jobs=jobs,
        on_error=failed.append, progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    assert [path.name for path in imported.written] == ["0.h5", "2.h5"]
    assert ["a cell is not a number" in str(error) for error in failed] == [True]
    assert seen == [(done, 3) for done in range(4)]
    assert len(open_recordings(out)) == 2


CRASHING = """
import os, time
from sensorkd.importers import Importer

class Crash(Importer):
    suffixes = (".bin",)

    def convert(self, source, out, mapping):
        if source.stem == "crash":
            os.abort()
        if source.stem == "hang":
            time.sleep(60)
        return []
"""


def test_a_source_that_crashes_its_decoder_or_hangs_is_told_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "crash_plugin.py").write_text(CRASHING)
    monkeypatch.syspath_prepend(tmp_path)
    from crash_plugin import Crash  # type: ignore[import-not-found]

    for name in ("crash", "good", "hang"):
        (tmp_path / f"{name}.bin").touch()
    failed: list[SensorkdError] = []
    import_sources(
        Crash(), [tmp_path], tmp_path / "o", isolated=True, limits=ChildLimits(seconds=3.0),
        on_error=failed.append,
    )  # fmt: skip
    told = {Path(str(error.file)).name: str(error.found) for error in failed}
    assert sorted(told) == ["crash.bin", "hang.bin"]
    assert "SIGABRT" in told["crash.bin"]


def test_a_wrong_mapping_ends_the_job_in_children_too(tables: Path) -> None:
    (tables.parent / "lab.yaml").write_text("importer: cycles")
    failed: list[SensorkdError] = []
    with pytest.raises(ConfigError, match="another importer"):
        import_sources(
            importer_for("csv"), [tables], tables.parent / "o", tables.parent / "lab.yaml", jobs=2,
            on_error=failed.append,
        )  # fmt: skip
    assert failed == []


SLOW = """
import sys, time
from pathlib import Path
from sensorkd.importers import import_sources, importer_for
from sensorkd_adapters.importers import csv_importer

read = csv_importer.read_columns
def slowly(source, mapping):
    Path("reading").touch()
    time.sleep(0.15)
    return read(source, mapping)
csv_importer.read_columns = slowly
import_sources(importer_for("csv"), ["logs"], "o", "lab.yaml", skip_existing=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_a_batch_that_is_killed_goes_on_where_it_was(tables: Path) -> None:
    out = tables.parent / "o"
    before: dict[str, bytes] = {}
    # Killed while it reads a table: the archive of that one is begun, those before are whole.
    for finished in (1, 3):
        child = subprocess.Popen([sys.executable, "-c", SLOW], cwd=tables.parent)
        wait_for(
            lambda finished=finished: (
                len(list(out.glob("*.part"))) and len(list(out.glob("*.h5"))) >= finished
            )
        )
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
        assert len(list(out.glob("*.part"))) == 1
        whole = {path.name: path.read_bytes() for path in out.glob("*.h5")}
        assert finished <= len(whole) < 6
        assert before.items() <= whole.items()
        assert len(open_recordings(out)) == len(whole)
        before = whole
    imported = import_sources(
        importer_for("csv"), [tables], out, tables.parent / "lab.yaml", skip_existing=True
    )
    assert len(imported.skipped) == len(before)
    assert len(imported.written) == 6 - len(before)
    assert list(out.glob(".*.part")) == []
    assert before.items() <= {path.name: path.read_bytes() for path in out.glob("*.h5")}.items()
    lines = (out / "imports.jsonl").read_text().splitlines()
    assert len({name for line in lines for name in json.loads(line)["archives"]}) == 6


def wait_for(there: object) -> None:
    assert callable(there)
    until = time.monotonic() + 20
    while not there():
        assert time.monotonic() < until
        time.sleep(0.002)


def test_the_part_of_a_job_that_still_runs_is_left_alone(tables: Path) -> None:
    out = tables.parent / "o"
    out.mkdir()
    # Above the highest number that Linux gives.
    running, dead = out / f".0.h5.{os.getppid()}.part", out / ".0.h5.4194999.part"
    other = out / ".0.h5.backup.part"
    for path in (running, dead, other):
        path.touch()
    import_sources(importer_for("csv"), [tables / "0.csv"], out, tables.parent / "lab.yaml")
    assert (running.exists(), dead.exists(), other.exists()) == (True, False, True)


@pytest.mark.parametrize("change", ["longer", "same length", "mapping", "another"])
def test_a_source_that_changed_since_is_told_and_not_passed_over(tables: Path, change: str) -> None:
    out, mapping, source = tables.parent / "o", tables.parent / "lab.yaml", tables / "0.csv"
    (archive,) = import_sources(importer_for("csv"), [source], out, mapping).written
    before = archive.read_bytes()
    if change == "longer":
        source.write_text(TABLE + "2,3\n")
    elif change == "same length":
        source.write_text(TABLE.replace("2", "3"))
    elif change == "mapping":
        mapping.write_text(LAB.replace("l/min", "l/h"))
    else:
        (tables.parent / "other").mkdir()
        source = tables.parent / "other" / "0.csv"
        source.write_text(TABLE + "5,6\n")
    failed: list[SensorkdError] = []
    again = import_sources(
        importer_for("csv"), [source], out, mapping, skip_existing=True, on_error=failed.append
    )
    assert (again.written, again.skipped) == ((), ())
    (error,) = failed
    assert error.problem == "the archive that is there was made of something else"
    assert str(out / "imports.jsonl") in str(error.expected)
    assert archive.read_bytes() == before


def test_a_source_that_was_only_touched_or_moved_is_passed_over(tables: Path) -> None:
    out, mapping = tables.parent / "o", tables.parent / "lab.yaml"
    import_sources(importer_for("csv"), [tables], out, mapping)
    (tables / "0.csv").touch()
    moved = tables.rename(tables.parent / "moved")
    again = import_sources(importer_for("csv"), [moved], out, mapping, skip_existing=True)
    assert (len(again.written), len(again.skipped)) == (0, 6)


def test_an_archive_of_which_the_journal_says_nothing_is_passed_over(tables: Path) -> None:
    out, mapping = tables.parent / "o", tables.parent / "lab.yaml"
    import_sources(importer_for("csv"), [tables], out, mapping)
    journal = out / "imports.jsonl"
    journal.write_bytes(journal.read_bytes()[:-40])  # as a kill may leave it
    (tables / "5.csv").write_text(TABLE + "2,3\n")
    assert len(import_sources(importer_for("csv"), [tables], out, mapping, skip_existing=True).skipped) == 6
    (out / "4.h5").unlink()
    import_sources(importer_for("csv"), [tables], out, mapping, skip_existing=True)
    whole = [line for line in journal.read_text().splitlines() if line.endswith("}")]
    assert [json.loads(line)["archives"] for line in whole] == [[f"{n}.h5"] for n in (0, 1, 2, 3, 4, 4)]
