from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from sensorkd.checks import CHECKS, validate
from sensorkd.checks.telling import catalogue_lines, report_lines

WriteArchive = Callable[..., Path]


def test_findings_alike_are_told_once_with_their_range_and_the_worst(
    write_archive: WriteArchive, heat: Any
) -> None:
    path = write_archive({"temperature": heat()}, recordings=tuple(f"r{number:03d}" for number in range(60)))
    with h5py.File(path, "r+") as file:
        for number in range(60):
            samples = file[f"r{number:03d}/streams/temperature/samples"]
            samples[: 1 + number % 20] = 1254.0
    report = validate(path, jobs=1)
    assert len([item for item in report.findings if item.check == "out-of-range"]) == 60
    lines = report_lines(report)
    assert len(lines) < 30
    text = "\n".join(lines)
    assert "temperature in 60 recordings, such as press.h5::r000, press.h5::r001, press.h5::r002" in text
    assert "5 to 100 %, median 52.5 %" in text
    assert "the worst: press.h5::r019 temperature" in text
    assert "20 of 20 samples (100 %), furthest 1254 degC" in text
    assert lines[-1].startswith("1 file, 60 recordings; 0 critical,")


def test_a_single_finding_is_told_in_full(write_archive: WriteArchive, heat: Any) -> None:
    path = write_archive({"temperature": heat(unit="furlong")})
    text = "\n".join(report_lines(validate(path, jobs=1)))
    assert "critical: the unit is not one of the modality [unknown-unit]" in text
    assert "  press.h5::monday temperature\n    found: 'furlong' for temperature" in text
    assert "  why: " in text and "  to mend: " in text


def test_what_matters_most_comes_first(write_archive: WriteArchive, heat: Any, shake: Any) -> None:
    hot = heat(samples=np.full((40, 1), 1254.0))
    path = write_archive({"temperature": hot, "acceleration": shake(unit="furlong")})
    report = validate(path, jobs=1)
    assert [item.importance for item in report.findings] == sorted(
        (item.importance for item in report.findings), key=["critical", "warning", "hint"].index
    )
    assert report_lines(report)[0].startswith("critical")


def test_nothing_found_is_one_line(write_archive: WriteArchive, heat: Any) -> None:
    lines = report_lines(validate(write_archive({"temperature": heat()}), jobs=1))
    assert lines == ["1 file, 1 recording; nothing found"]


def test_the_catalogue_tells_of_every_check() -> None:
    text = "\n".join(catalogue_lines(CHECKS.values()))
    for id_, check in CHECKS.items():
        assert f"{id_} ({check.importance}): {check.title}" in text


def test_every_bad_file_is_told_with_its_cause_and_its_cure(
    write_archive: WriteArchive, heat: Any, tmp_path: Path
) -> None:
    write_archive({"temperature": heat()}, name="a.h5")
    for number in range(8):
        (tmp_path / f"empty{number}.h5").write_bytes(b"")
    (tmp_path / "table.h5").write_text("time,value\n1,2\n")
    (tmp_path / "picture.h5").write_bytes(b"\x89PNG" + bytes(600))
    text = "\n".join(report_lines(validate(tmp_path, jobs=1)))
    for name, cause, cure in (
        *((f"empty{number}.h5", "the file is empty", "copy it again") for number in range(8)),
        ("table.h5", "comma-separated text", "convert other formats first"),
        ("picture.h5", "a PNG image", "convert other formats first"),
    ):
        told = text.split(f"  {tmp_path / name}\n")[1].splitlines()
        assert cause in told[0] and cure in told[2], told


def test_of_many_findings_in_a_file_that_is_refused_the_first_and_their_number_are_told(
    write_archive: WriteArchive, heat: Any
) -> None:
    paths = [
        write_archive(
            {"temperature": heat()},
            name=f"{name}.h5",
            recordings=tuple(f"r{number:03d}" for number in range(60)),
        )
        for name in ("a", "b")
    ]
    for path in paths:
        with h5py.File(path, "r+") as file:
            for number in range(60):
                table = file[f"r{number:03d}/streams/temperature/segments"]
                row = table[()]
                row["count"] = 1000
                table[...] = row
    lines = report_lines(validate(paths, jobs=1))
    assert len(lines) < 20
    for path in paths:
        assert any(line.startswith(f"  {path} at /r000") for line in lines)
    assert lines.count("    and 59 more like it in this file") == 2
