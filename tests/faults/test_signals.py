"""Faults of signals: each is made for real, enforced where windows are read, and named by `validate`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sensorkd.checks import Finding, validate
from sensorkd.errors import WindowError
from sensorkd.quality import FAULTS
from sensorkd.recordings import Recording, open_recordings
from sensorkd.timeline import SECOND
from sensorkd.windows.encode import InputRequest, fix_encodings
from sensorkd.windows.plan import plan_windows
from sensorkd.windows.read import Window, read_window

WriteArchive = Callable[..., Path]


def named(path: Path, check: str) -> Finding:
    """The only finding of a check."""
    (finding,) = [item for item in validate(path, jobs=1).findings if item.check == check]
    return finding


def checks(path: Path) -> set[str]:
    return {item.check for item in validate(path, jobs=1).findings}


def window_at(recording: Recording, seconds: float, **spans: float) -> tuple[Window, dict[str, float]]:
    """The window before a time, and the shares of the faults of its first input."""
    requests = {name: InputRequest(span=round(span * SECOND)) for name, span in spans.items()}
    window = read_window(recording, round(seconds * SECOND), fix_encodings([recording], requests))
    return window, dict(zip(FAULTS, window.faults[0].tolist(), strict=True))


@pytest.fixture
def film() -> Callable[..., dict[str, Any]]:
    """Arguments of a video stream, each of whose pixels flickers."""

    def arguments(seconds: float = 30.0, rate: float = 5.0, **changes: Any) -> dict[str, Any]:
        rng = np.random.default_rng(0)
        samples = rng.integers(0, 255, (round(seconds * rate), 6, 8, 3), dtype=np.uint8)
        kind = {"modality": "video", "unit": "8bit", "channels": ("red", "green", "blue")}
        return {"samples": samples, "rate": rate, **kind, **changes}

    return arguments


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_fault_22_what_is_no_number_is_masked_and_counted(
    write_archive: WriteArchive, heat: Any, bad: float
) -> None:
    heat = heat(seconds=20.0)
    heat["samples"][[11, 12, 30]] = bad
    path = write_archive({"temperature": heat})
    window, faults = window_at(open_recordings(path)[0], 7.0, temperature=7.0)
    assert faults["not finite"] == pytest.approx(2 / 14)
    assert window.presence[0] == 1.0
    finding = named(path, "not-finite")
    assert "3 of 40 samples" in finding.found
    assert "first at 5.500 s" in finding.found


def test_fault_22_an_integer_cannot_hide_what_is_no_number(write_archive: WriteArchive, heat: Any) -> None:
    """Samples kept as integers, as an int8 model is fed, get the verdict of those kept as floats."""
    whole = heat(seconds=20.0, samples=(20 + np.arange(40)[:, None] % 3).astype(np.int16))
    broken = heat(seconds=20.0)
    broken["samples"][10:20] = np.nan
    usual = open_recordings(write_archive({"temperature": whole}, name="whole.h5"))[0]
    recording = open_recordings(write_archive({"temperature": broken}, name="broken.h5"))[0]
    request = {"temperature": InputRequest(span=10 * SECOND)}
    integers, floats = (fix_encodings([like], request) for like in (usual, recording))
    assert [told["temperature"].dtype for told in (integers, floats)] == ["int16", "float32"]
    verdicts = [read_window(recording, 12 * SECOND, told) for told in (integers, floats)]
    assert verdicts[0].presence.tolist() == verdicts[1].presence.tolist() == [0.0]
    assert verdicts[0].faults[0, FAULTS.index("out of range")] == 0.5
    assert verdicts[1].faults[0, FAULTS.index("not finite")] == 0.5


def test_fault_23_a_dead_channel_makes_the_modality_absent_and_the_others_go_on(
    write_archive: WriteArchive, shake: Any, heat: Any
) -> None:
    samples = np.sin(np.arange(2000).reshape(1000, 2)).astype(np.float32)
    samples[:, 1] = np.nan
    path = write_archive({"acceleration": shake(samples=samples, scale=1.0), "temperature": heat()})
    window, _ = window_at(open_recordings(path)[0], 8.0, acceleration=2.0, temperature=4.0)
    assert window.presence.tolist() == [0.0, 1.0]
    assert not window.inputs["acceleration"].any()
    finding = named(path, "no-value")
    assert "channel y" in finding.found
    assert "none of them a number" in finding.found


@pytest.mark.parametrize("bad", [1254.0, 1e30])
def test_fault_24_what_cannot_be_true_is_flagged_before_it_is_quantised(
    write_archive: WriteArchive, heat: Any, bad: float
) -> None:
    heat = heat(seconds=20.0)
    heat["samples"][16:21] = bad
    path = write_archive({"temperature": heat})
    window, faults = window_at(open_recordings(path)[0], 10.0, temperature=10.0)
    assert faults["out of range"] == pytest.approx(4 / 20)
    assert window.presence[0] == 1.0
    finding = named(path, "out-of-range")
    assert f"furthest {bad:g} degC" in finding.found
    assert "5 of 40 samples" in finding.found and "first at 8.000 s" in finding.found
    assert finding.expected == "-90 to 1000 degC"


def test_fault_25_a_stuck_sensor_is_flagged_after_a_set_time(write_archive: WriteArchive, shake: Any) -> None:
    shake = shake(seconds=20.0)
    shake["samples"][500:, 1] = 77  # the adapter: dead after 1 s
    path = write_archive({"acceleration": shake})
    recording = open_recordings(path)[0]
    assert window_at(recording, 5.5, acceleration=2.0)[0].presence[0] == 1.0
    window, faults = window_at(recording, 8.0, acceleration=2.0)
    assert (window.presence[0], faults["stuck"]) == (0.0, 1.0)
    finding = named(path, "stuck")
    assert "channel y: 1,500 equal samples in a row (15 s) from 5.000 s" in finding.found
    assert "75 % of the stream" in finding.found


def test_fault_25_a_machine_truly_at_rest_is_not_stuck(
    write_archive: WriteArchive, shake: Any, heat: Any
) -> None:
    rng = np.random.default_rng(0)
    still = (
        rng.normal([0.0, 981.0], 0.7, (6000, 2)).round().astype(np.int16)
    )  # the last digits of a live sensor
    room = np.full((120, 1), 21.0, np.float32)  # whole degrees, for a minute
    flow = np.zeros((600, 1), np.float32)  # a valve that is shut
    path = write_archive(
        {
            "acceleration": shake(samples=still),
            "temperature": heat(samples=room),
            "flow": {"samples": flow, "rate": 10.0, "modality": "flow", "unit": "l/min"},
        }
    )
    window, _ = window_at(open_recordings(path)[0], 50.0, acceleration=2.0, temperature=4.0, flow=10.0)
    assert window.presence.tolist() == [1.0, 1.0, 1.0]
    report = validate(path, jobs=1)
    assert report.exit_code == 0, report.findings
    assert "stuck" not in {finding.check for finding in report.findings}


def test_fault_26_saturation_is_flagged_with_its_share(write_archive: WriteArchive, shake: Any) -> None:
    swing = np.clip(40_000 * np.sin(np.arange(2000) / 7.0), -32768, 32767).astype(np.int16)
    path = write_archive({"acceleration": shake(samples=np.stack([swing, swing // 2], axis=1))})
    share = float(((swing == -32768) | (swing == 32767)).mean())
    window, faults = window_at(open_recordings(path)[0], 20.0, acceleration=20.0)
    assert window.presence[0] == 0.0
    assert faults["saturated"] == pytest.approx(share, abs=0.01)
    finding = named(path, "saturated")
    assert finding.value == pytest.approx(100 * share, rel=1e-3)
    assert f"({100 * share:.3g} %)" in finding.found and "channel x" in finding.found


def test_fault_26_a_sensor_that_ends_before_its_numbers_do_is_told(
    write_archive: WriteArchive, shake: Any
) -> None:
    """Floats, and counts of 12 bits in 16, have no end of their own."""
    swing = (80 * np.sin(np.arange(2000) / 7.0)).astype(np.float32)
    both = np.stack([np.clip(swing, -50, 50), swing], axis=1)
    path = write_archive({"acceleration": shake(samples=both, scale=1.0)})
    finding = named(path, "clipped")
    share = 100 * float((np.abs(swing) >= 50).mean())
    assert finding.value == pytest.approx(share)
    assert "channel x" in finding.found and "at -50 or 50 m/s2" in finding.found


def test_fault_35_drift_between_modalities_is_measured_and_reported(
    write_archive: WriteArchive, shake: Any, heat: Any
) -> None:
    slow = heat(seconds=1000.0)
    slow["rate"] = 2.0 / 1.002  # its clock runs slow by 2000 ppm
    path = write_archive({"acceleration": shake(seconds=1000.0), "temperature": slow})
    finding = named(path, "clock-drift")
    assert finding.value == pytest.approx(2000, rel=0.01)
    assert "ppm against acceleration" in finding.found
    assert "+2.000 s at the end" in finding.found


def test_fault_36_streams_without_common_time_are_told_with_both_ranges(
    write_archive: WriteArchive, shake: Any, heat: Any
) -> None:
    path = write_archive({"acceleration": shake(), "temperature": heat(t0=3600 * SECOND)})
    finding = named(path, "no-overlap")
    assert finding.importance == "critical"
    assert finding.found == "temperature 3,600.000 s to 3,610.000 s; acceleration 0.000 s to 10.000 s"


def test_fault_38_a_unit_that_is_not_the_modality_s_is_an_error(
    write_archive: WriteArchive, shake: Any
) -> None:
    path = write_archive({"acceleration": shake(unit="mm/s")})
    with pytest.raises(WindowError, match=r"unit 'mm/s' is not one of(.|\n)*to mend: did you mean 'mm/s2'"):
        window_at(open_recordings(path)[0], 5.0, acceleration=1.0)
    finding = named(path, "unknown-unit")
    assert finding.importance == "critical"
    assert "'mm/s' for acceleration" in finding.found and "did you mean" in finding.cure


def test_fault_38_g_among_m_per_s2_is_converted_and_told(
    write_archive: WriteArchive, shake: Any, tmp_path: Path
) -> None:
    for name in ("a.h5", "b.h5"):
        write_archive({"acceleration": shake()}, name=name)
    write_archive({"acceleration": shake(unit="g", scale=0.01 / 9.80665)}, name="c.h5")
    recordings = open_recordings(tmp_path)
    told = fix_encodings(recordings, {"acceleration": InputRequest(span=SECOND)})
    windows = [read_window(item, 5 * SECOND, told).inputs["acceleration"] for item in recordings]
    np.testing.assert_allclose(windows[2], windows[0], atol=1)
    finding = named(tmp_path, "mixed-units")
    assert (finding.place.recording, finding.found) == ("c.h5::monday", "g")
    assert "m/s2, as in 2 of 3 recordings" in finding.expected


def test_fault_38_a_scale_that_is_missing_is_seen_by_gravity(write_archive: WriteArchive, shake: Any) -> None:
    rng = np.random.default_rng(0)
    counts = rng.normal([100.0, 200.0, 16384.0], 20.0, (1000, 3)).round().astype(np.int16)
    arguments = shake(samples=counts, channels=("x", "y", "z"), unit="g")
    path = write_archive({"acceleration": {**arguments, "scale": 1.0}}, name="counts.h5")
    assert "out-of-range" in checks(path)  # 16,384 g
    path = write_archive({"acceleration": {**arguments, "scale": 1 / 16384, "unit": "m/s2"}}, name="g.h5")
    assert "1 m/s2 on the mean" in named(path, "gravity").found
    path = write_archive({"acceleration": {**arguments, "scale": 1 / 16384}}, name="right.h5")
    assert not {"gravity", "out-of-range"} & checks(path)


def test_fault_39_frozen_frames_are_flagged(write_archive: WriteArchive, film: Any) -> None:
    film = film()
    film["samples"][40:] = film["samples"][40]  # for 22 s; the adapter: dead after 10 s
    path = write_archive({"video": film})
    window, faults = window_at(open_recordings(path)[0], 30.0, video=12.0)
    assert (window.presence[0], faults["frozen"]) == (0.0, 1.0)
    finding = named(path, "frozen")
    assert "110 equal frames in a row (22 s) from 8.000 s" in finding.found


def test_fault_39_black_frames_are_flagged(write_archive: WriteArchive, film: Any) -> None:
    film = film()
    film["samples"][30:75:2] = 0
    path = write_archive({"video": film})
    _, faults = window_at(open_recordings(path)[0], 15.0, video=5.0)
    assert faults["blank"] == pytest.approx(0.52, abs=0.03)
    assert "23 of 150 frames, first at 6.000 s" in named(path, "blank").found


def test_fault_40_another_frame_size_or_channel_count_is_told_with_what_was_expected(
    write_archive: WriteArchive, shake: Any, film: Any, tmp_path: Path
) -> None:
    for name in ("a.h5", "b.h5"):
        write_archive({"acceleration": shake(), "video": film()}, name=name)
    small = film()["samples"][:, :4]
    three = shake(samples=np.arange(3000, dtype=np.int16).reshape(1000, 3), channels=("x", "y", "z"))
    write_archive({"acceleration": three, "video": film(samples=small)}, name="c.h5")
    recordings = open_recordings(tmp_path)
    for stream, found, expected in (("video", "(4, 8, 3)", "(6, 8, 3)"), ("acceleration", "(3,)", "(2,)")):
        with pytest.raises(WindowError) as caught:
            fix_encodings(recordings, {stream: InputRequest(span=SECOND)})
        assert found in str(caught.value) and expected in str(caught.value)
        assert caught.value.file == str(tmp_path / "c.h5")
    told = {
        item.place.stream: item
        for item in validate(tmp_path, jobs=1).findings
        if item.check == "mixed-shapes"
    }
    assert told["video"].found == "video (4, 8, 3)"
    assert "video (6, 8, 3), as in 2 of 3 recordings, such as a.h5::monday" in told["video"].expected
    assert told["acceleration"].place.recording == "c.h5::monday"


def test_fault_40_frames_where_signals_should_be_are_told(write_archive: WriteArchive, film: Any) -> None:
    path = write_archive({"temperature": film(modality="temperature", unit="degC")})
    finding = named(path, "wrong-shape")
    assert finding.found == "(6, 8, 3)"
    assert finding.expected == "(any,), for temperature"


def test_the_plan_names_no_window_where_nothing_was_logged_together(
    write_archive: WriteArchive, shake: Any, heat: Any
) -> None:
    """Fault 36 again, where windows are laid: both may not be required."""
    path = write_archive({"acceleration": shake(), "temperature": heat(t0=3600 * SECOND)})
    recordings = open_recordings(path)
    told = fix_encodings(
        recordings, {name: InputRequest(span=SECOND) for name in ("acceleration", "temperature")}
    )
    plan = plan_windows(recordings, told, hop=SECOND)
    assert not (plan.coverage > 0).all(axis=1).any()
