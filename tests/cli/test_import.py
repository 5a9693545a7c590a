"""`sensorkd import` says what it wrote and what it could not, and ends with the right code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sensorkd.cli.__main__ import main
from sensorkd.recordings import open_recordings
from tests.adapters.importers.films import film

MAPPING = """
schema: import-1.0
importer: csv
name: lab
clock: relative
time: {column: t, unit: s}
streams:
  flow: {modality: flow, unit: l/min, columns: [flow]}
"""


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two good tables and a mapping."""
    (tmp_path / "logs" / "night").mkdir(parents=True)
    for name in ("logs/a.csv", "logs/night/a.csv"):
        (tmp_path / name).write_text("t,flow\n0,1\n1,2\n")
    (tmp_path / "lab.yaml").write_text(MAPPING)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def imports(*arguments: str) -> int:
    return main(["import", *arguments, "--importer", "csv", "--mapping", "lab.yaml", "--out", "o"])


def test_a_folder_of_tables_becomes_archives(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert imports("logs") == 0
    printed = capsys.readouterr().out
    assert "o/a.h5\no/night/a.h5\n2 archives written to o" in printed
    assert [recording.id for recording in open_recordings("o")] == ["a.h5::a", "night/a.h5::a"]


def test_a_bad_table_is_told_and_the_good_ones_are_written(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("logs/b.csv").write_text("t,flow\n0,1\n1,x\n")
    assert imports("logs", "nowhere") == 1
    printed = capsys.readouterr().out
    assert "2 archives written" in printed
    assert "error: logs/b.csv at line 3: a cell is not a number\n  found: 'x' in column 'flow'" in printed
    assert "error: nowhere: no such file or folder" in printed


def test_json_is_one_object(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("logs/b.csv").touch()
    assert imports("logs", "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert told["written"] == ["o/a.h5", "o/night/a.h5"]
    assert told["skipped"] == told["notes"] == []
    assert ["the file is empty" in error for error in told["errors"]] == [True]


def test_archives_that_are_there_are_errors_or_skipped(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert imports("logs/a.csv") == 0
    assert imports("logs/a.csv") == 2
    assert "exists already" in capsys.readouterr().out
    assert imports("logs", "--skip-existing") == 0
    printed = capsys.readouterr().out
    assert "1 archive written" in printed
    assert "1 there already" in printed
    assert imports("logs", "--skip-existing") == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--importer", "csw", "--out", "o"], "did you mean 'csv'?"),
        (["--importer", "csv", "--out", "o"], "needs a mapping"),
        (["--importer", "csv", "--out", "o", "--mapping", "none.yaml"], "no such mapping"),
        (["--importer", "cycles", "--out", "o", "--mapping", "lab.yaml"], "for another importer"),
        (["--importer", "csv"], "--out"),
    ],
)
def test_wrong_arguments_end_with_two(
    workplace: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert main(["import", "logs", *arguments]) == 2
    assert told in capsys.readouterr().err
    assert not list(workplace.rglob("*.h5"))


def test_nothing_usable_ends_with_two(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert imports("nowhere") == 2
    assert "0 archives written" in capsys.readouterr().out


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", "--help"]) == 0
    printed = capsys.readouterr().out
    assert "Example: sensorkd import" in printed
    assert "--json" in printed


def test_sources_in_processes_of_their_own(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("logs/b.csv").touch()
    assert imports("logs", "--isolated", "--jobs", "2", "--seconds", "60") == 1
    printed = capsys.readouterr().out
    assert "2 archives written" in printed
    assert "the file is empty" in printed


def test_a_changed_table_is_an_error_where_its_archive_is_skipped(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert imports("logs") == 0
    Path("logs/a.csv").write_text("t,flow\n0,1\n1,2\n2,3\n")
    assert imports("logs", "--skip-existing") == 1
    printed = capsys.readouterr().out
    assert "1 there already" in printed
    assert "error: logs/a.csv at o/a.h5: the archive that is there was made of something else" in printed


def test_what_an_importer_notes_is_printed(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film(Path("a.mp4"), count=20, stamps=[3000 * n + (3000 if n > 9 else 0) for n in range(20)])
    assert main(["import", "a.mp4", "--importer", "video", "--out", "o"]) == 0
    assert "note: a.mp4: the frame rate varies: 2 segments" in capsys.readouterr().out
