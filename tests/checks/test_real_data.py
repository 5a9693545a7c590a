"""What is known to be wrong with real data sets is found, and told on a page."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sensorkd.checks import Report, validate
from sensorkd.checks.telling import report_lines

ROOT = Path(__file__).parents[2]
LAYOUTS = ROOT / "examples" / "layouts"
DATA = Path(os.environ.get("SENSORKD_DATA", ROOT.parent / "shared" / "data"))


def report(name: str, pattern: str) -> Report:
    files = sorted((DATA / name).glob(pattern))
    if not files:
        pytest.skip(f"{name} is not in SENSORKD_DATA")
    return validate(files, LAYOUTS / f"{name}.yaml", jobs=1)


def test_femto_has_a_broken_wire_and_a_bearing_without_temperature() -> None:
    found = report("femto", "Bearing2*.h5")
    hot = [item for item in found.findings if item.check == "out-of-range"]
    assert "Bearing2_7.h5::" in {item.place.recording for item in hot}
    assert any("1254" in item.found for item in hot)
    missing = [item for item in found.findings if item.check == "missing-stream"]
    assert "Bearing2_2.h5::" in {item.place.recording for item in missing}
    assert found.counts["critical"] == 0


def test_utd_mhad_has_a_camera_that_is_slower_than_it_says() -> None:
    found = report("utd_mhad", "subject1.h5")
    rates = [item for item in found.findings if item.check == "nominal-rate"]
    assert len(rates) == found.recordings == len({item.place.recording for item in rates})
    assert {item.place.stream for item in rates} == {"video"}
    lines = report_lines(found)
    text = "\n".join(lines)
    assert "expected: 30 Hz, as the file claims" in text
    assert f"video in {found.recordings} recordings" in text
    assert len(lines) < 60
    assert found.counts["critical"] == 0
