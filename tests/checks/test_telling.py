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
