"""`sensorkd validate`: exit codes, one JSON object, a page for people, and no end for one bad file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sensorkd.cli.__main__ import main
from sensorkd.recordings import Segments, open_recordings
from sensorkd.timeline import SECOND
from tests.recordings.test_logger import left_behind

Run = Callable[..., tuple[int, str, str]]
WriteArchive = Callable[..., Path]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Exit code, standard output and standard error."""

    def validate(*arguments: object) -> tuple[int, str, str]:
        code = main(["validate", *map(str, arguments)])
        told = capsys.readouterr()
        assert "Traceback" not in told.err
        return code, told.out, told.err

    return validate


@pytest.fixture
def hot(write_archive: WriteArchive, heat: Any) -> Path:
    temperature = heat()
    temperature["samples"][4:6] = 1254.0
    return write_archive({"temperature": temperature}, name="hot.h5")


@pytest.fixture
def clean(write_archive: WriteArchive, heat: Any) -> Path:
    return write_archive({"temperature": heat(t0=1)}, name="clean.h5")


def test_good_archives_end_with_0(run: Run, plant: Path) -> None:
    code, out, err = run(plant)
    assert code == 0
    assert "nothing found" in out
    assert err == ""


def test_a_warning_ends_with_1_and_is_told_with_place_reason_and_cure(run: Run, hot: Path) -> None:
    code, out, _ = run(hot)
    assert code == 1
    for words in ("out-of-range", "hot.h5::monday temperature", "1254 degC", "why: ", "to mend: "):
        assert words in out


def test_hints_alone_end_with_0(run: Run, clean: Path) -> None:
    with h5py.File(clean, "r+") as file:
        stream = file["monday/streams/temperature"]
        values = stream["samples"][()]
        del stream["samples"]
        stream["samples"] = values
    code, out, _ = run(clean)
    assert code == 0
    assert "no-checksum" in out


def test_nothing_that_can_be_opened_ends_with_2(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty.h5").write_bytes(b"")
    code, out, _ = run(tmp_path / "empty.h5")
    assert code == 2
    assert "the logger likely died" in out
    assert run(tmp_path / "nowhere.h5")[0] == 2


def test_one_bad_file_of_a_folder_ends_with_1_and_the_others_are_checked(
    run: Run, hot: Path, clean: Path
) -> None:
    clean.write_text("time,value\n")
    code, out, _ = run(hot.parent)
    assert code == 1
    assert "comma-separated text" in out and "1254" in out


def test_json_is_one_object_with_every_finding(run: Run, hot: Path, clean: Path) -> None:
    code, out, err = run(hot.parent, "--json")
    told = json.loads(out)
    assert (code, err) == (1, "")
    assert (told["files"], told["recordings"]) == (2, 2)
    assert told["counts"] == {"critical": 0, "warning": 1, "hint": 0}
    (finding,) = told["findings"]
    assert finding["check"] == "out-of-range" and finding["importance"] == "warning"
    assert finding["file"] == str(hot) and finding["recording"] == "hot.h5::monday"
    assert finding["inside"] == "/monday/streams/temperature/samples"
    assert "1254" in finding["found"] and finding["expected"] and finding["cure"]


def test_checks_can_be_chosen_and_left_out(run: Run, hot: Path) -> None:
    assert run(hot, "--ignore", "out-of-range,stuck")[0] == 0
    assert run(hot, "--select", "stuck", "--select", "blank")[0] == 0
    assert run(hot, "--importance", "critical")[0] == 0
    assert run(hot, "--quick")[0] == 0


def test_an_unknown_check_is_an_error_with_the_nearest(run: Run, hot: Path) -> None:
    code, out, err = run(hot, "--ignore", "out-of-rang")
    assert (code, out) == (2, "")
    assert "did you mean 'out-of-range'" in err


def test_the_catalogue_needs_no_path(run: Run) -> None:
    code, out, _ = run("--list")
    assert code == 0
    assert "damaged-chunk (critical): " in out and "why: " in out
    told = json.loads(run("--list", "--json", "--importance", "warning")[1])["checks"]
    assert {"id", "importance", "title", "reason", "cure"} <= set(told[0])
    assert "hint" not in {check["importance"] for check in told}


def test_no_path_is_a_usage_error(run: Run) -> None:
    assert run()[0] == 2


def test_a_wrong_layout_is_told_before_files_are_read(run: Run, hot: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("schema: layout-1.0\n")
    code, _, err = run(hot, "--layout", tmp_path / "bad.yaml")
    assert code == 2
    assert "the layout is not valid" in err


def test_salvage_saves_what_can_be_read_into_a_new_file(
    run: Run, write_archive: WriteArchive, shake: Any, tmp_path: Path
) -> None:
    path = write_archive({"acceleration": shake(seconds=60.0)})
    with h5py.File(path) as file:
        chunk = file["monday/streams/acceleration/samples"].id.get_chunk_info(2)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + 9] ^= 4
    path.write_bytes(content)
    code, out, _ = run(path, "--salvage", tmp_path / "saved")
    assert code == 1
    assert "damaged-chunk" in out and "5,600 of 6,000 samples saved" in out
    (saved,) = open_recordings(tmp_path / "saved")
    assert saved.streams["acceleration"].segments.count.tolist() == [800, 4800]
    told = json.loads(run(path, "--salvage", tmp_path / "again", "--json")[1])
    assert told["salvaged"][0]["streams"][0]["lost"][0]["start"] == 800


def test_a_window_that_a_recording_is_too_short_for_is_named(run: Run, clean: Path) -> None:
    assert "short" in run(clean, "--window", "60")[1]


def test_the_stream_that_no_window_fits_is_named(run: Run, write_archive: WriteArchive, shake: Any) -> None:
    seconds = np.arange(5) * 2 * SECOND
    runs = Segments(seconds, np.full(5, 100.0), np.arange(5) * 100, np.full(5, 100))
    path = write_archive({"acceleration": shake(5.0, segments=runs)})
    out = run(path, "--window", "2", "--select", "short")[1]
    assert "press.h5::monday acceleration" in out and "1 s, the longest of 5 segments" in out


@pytest.mark.parametrize("seconds", ["-1", "0", "nan", "inf"])
def test_a_window_that_is_no_length_of_time_is_a_usage_error(run: Run, clean: Path, seconds: str) -> None:
    code, out, err = run(clean, "--window", seconds)
    assert (code, out) == (2, "")
    assert "--window" in err and "seconds above 0" in err


def test_a_part_that_is_named_itself_is_saved_under_the_name_of_an_archive(run: Run, tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    part = left_behind(tmp_path / "log")
    code, out, _ = run(part, "--salvage", tmp_path / "saved")
    assert code == 2
    assert "unfinished-file" in out and "700 of 700 samples saved" in out
    assert open_recordings(tmp_path / "saved")[0].path.suffix == ".h5"
