from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sensorkd.errors import WindowError
from sensorkd.quality import FAULTS
from sensorkd.recordings import Segments, Stream
from sensorkd.timeline import SECOND
from sensorkd.windows.plan import plan_windows
from sensorkd.windows.read import read_window, read_windows

NOW = 1_772_000_000 * SECOND


def test_a_window_holds_each_input_at_its_own_rate_up_to_the_reference(
    record: Any, shake: Any, heat: Any, encodings: Any
) -> None:
    recording = record({"acceleration": shake(), "temperature": heat()})
    inputs, presence = read_window(recording, 5 * SECOND, encodings())[:2]
    assert inputs["acceleration"][:, 0].tolist() == list(range(400, 500))
    np.testing.assert_allclose(inputs["temperature"][:, 0], 20.0 + 0.01 * np.arange(2, 10), rtol=1e-6)
    assert {name: values.dtype for name, values in inputs.items()} == {
        "acceleration": np.int16,
        "temperature": np.float32,
    }
    assert presence.tolist() == [1.0, 1.0]


def test_the_sample_at_the_reference_is_not_read(record: Any, shake: Any, encodings: Any) -> None:
    recording = record({"acceleration": shake(t0=NOW)}, clock="utc")
    for late, last in ((0, 499), (1, 500), (9_999_999, 500), (10_000_000, 500), (10_000_001, 501)):
        inputs, _ = read_window(recording, NOW + 5 * SECOND + late, encodings())[:2]
        assert inputs["acceleration"][-1, 0] == last, late


def test_a_window_never_crosses_a_gap(record: Any, shake: Any, encodings: Any) -> None:
    gap = Segments(
        np.array([0, 7 * SECOND]), np.array([100.0, 100.0]), np.array([0, 500]), np.array([500, 500])
    )
    recording = record({"acceleration": shake(segments=gap)})
    for t_ref, present, first, last in (
        (5.0, 1, 400, 499),
        (5.2, 1, 420, 479),  # 0.8 s before the gap, then mirrored at 499
        (5.21, 0, 0, 0),
        (7.0, 0, 0, 0),
        (7.79, 0, 0, 0),
        (7.8, 1, 520, 579),
        (8.5, 1, 550, 649),
    ):
        inputs, presence = read_window(recording, round(t_ref * SECOND), encodings())[:2]
        values = inputs["acceleration"][:, 0]
        assert (presence[0], values[0], values[-1]) == (present, first, last), t_ref
        assert not (values.min() < 500 <= values.max())


@pytest.mark.parametrize(
    ("changes", "present"),
    [
        ({}, 1),
        ({"seconds": 2.0}, 0),  # ended long before
        ({"t0": 4 * SECOND}, 0),  # began too late
        ({"t0": 2 * SECOND - 200_000_000}, 1),  # 3.2 s of 4 s
        ({"samples": np.full((20, 1), np.nan)}, 0),
        ({"samples": np.full((20, 1), 1254.0)}, 0),  # a broken thermocouple
        ({"samples": np.full((20, 1), 1e30)}, 0),
        ({"samples": np.where(np.arange(20) == 9, np.nan, 20.0)[:, None]}, 1),
        ({"samples": np.where(np.isin(np.arange(20), (7, 9)), np.inf, 20.0)[:, None]}, 0),
    ],
)
def test_an_input_is_present_when_enough_was_logged_and_usable(
    record: Any, shake: Any, heat: Any, encodings: Any, changes: dict[str, Any], present: int
) -> None:
    arguments = {**heat(changes.pop("seconds", 10.0)), **changes}
    recording = record({"acceleration": shake(), "temperature": arguments})
    inputs, presence = read_window(recording, 5 * SECOND, encodings())[:2]
    assert presence.tolist() == [1.0, present]
    if not present:
        assert not inputs["temperature"].any()


def test_a_missing_stream_is_blank_and_absent(record: Any, heat: Any, encodings: Any) -> None:
    inputs, presence = read_window(record({"temperature": heat()}), 5 * SECOND, encodings())[:2]
    assert presence.tolist() == [0.0, 1.0]
    assert inputs["acceleration"].shape == (100, 2)
    assert not inputs["acceleration"].any()


def test_a_stream_in_other_units_and_another_gain_is_brought_to_the_encoding(
    record: Any, shake: Any, encodings: Any
) -> None:
    plain, _ = read_window(record({"acceleration": shake()}), 5 * SECOND, encodings())[:2]
    raw = np.rint(shake()["samples"] * 0.01 / 9.80665 / 0.0005).astype(np.int16)
    other = record({"acceleration": shake(samples=raw, unit="g", scale=0.0005)}, name="other.h5")
    converted, presence = read_window(other, 5 * SECOND, encodings())[:2]
    assert presence[0] == 1.0
    assert converted["acceleration"].dtype == np.int16
    np.testing.assert_allclose(converted["acceleration"], plain["acceleration"], atol=1)


@pytest.mark.parametrize("rate", [50.0, 80.0, 250.0])
def test_a_stream_at_another_rate_is_resampled_without_a_look_ahead(
    record: Any, shake: Any, encodings: Any, rate: float
) -> None:
    time = np.arange(round(10 * rate)) / rate
    samples = np.rint(np.stack([1000 * time, -1000 * time], axis=1)).astype(np.int16)
    recording = record({"acceleration": shake(rate=rate, samples=samples)})
    inputs, presence = read_window(recording, 5 * SECOND, encodings())[:2]
    wanted = 1000 * np.minimum(5.0 - np.arange(100, 0, -1) / 100, 5.0 - 1 / rate)
    assert presence[0] == 1.0
    np.testing.assert_allclose(inputs["acceleration"][:, 0], wanted, atol=1.0)
    assert inputs["acceleration"].max() < 5000


def test_a_whole_recording_is_resampled_to_its_steps(
    record: Any, shake: Any, heat: Any, encodings: Any
) -> None:
    recording = record({"acceleration": shake(t0=NOW), "temperature": heat(t0=NOW)}, clock="utc")
    inputs, presence = read_window(recording, recording.end, encodings(steps=10))[:2]
    np.testing.assert_allclose(inputs["acceleration"][:, 0], 49.5 + 100 * np.arange(10), atol=0.51)
    np.testing.assert_allclose(
        inputs["temperature"][:, 0], 20.0 + 0.01 * (0.5 + 2 * np.arange(10)), rtol=1e-5
    )
    assert presence.tolist() == [1.0, 1.0]


def test_a_slice_in_a_gap_takes_the_sample_before_it(record: Any, shake: Any, encodings: Any) -> None:
    gap = Segments(
        np.array([NOW, NOW + 7 * SECOND]), np.array([100.0, 100.0]), np.array([0, 500]), np.array([500, 300])
    )
    recording = record({"acceleration": shake(seconds=8.0, segments=gap)}, clock="utc")
    inputs, presence = read_window(recording, recording.end, encodings(steps=10))[:2]
    values = inputs["acceleration"][:, 0]
    np.testing.assert_allclose(values[:5], 49.5 + 100 * np.arange(5), atol=0.51)
    assert values[5:7].tolist() == [499, 499]
    np.testing.assert_allclose(values[7:], 549.5 + 100 * np.arange(3), atol=0.51)
    assert presence[0] == 1.0  # 8 s of 10 s


def test_a_long_recording_in_few_steps_reads_only_what_is_needed(
    record: Any, shake: Any, encodings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = record({"acceleration": shake(seconds=100.0)})
    dense, _ = read_window(recording, recording.end, encodings(steps=1000))[:2]
    amounts: list[int] = []
    honest = Stream.read

    def counted(self: Stream, start: int, stop: int) -> Any:
        amounts.append(stop - start)
        return honest(self, start, stop)

    monkeypatch.setattr(Stream, "read", counted)
    sparse, presence = read_window(recording, recording.end, encodings(steps=8))[:2]
    assert presence[0] == 1.0
    assert sum(amounts) <= 16
    np.testing.assert_allclose(sparse["acceleration"][:, 0], 624.5 + 1250 * np.arange(8), atol=0.51)
    np.testing.assert_allclose(dense["acceleration"][:, 0], 4.5 + 10 * np.arange(1000), atol=0.51)


def test_samples_of_another_shape_than_the_run_are_told(record: Any, shake: Any, encodings: Any) -> None:
    recording = record({"acceleration": shake(samples=np.zeros((1000, 3), np.int16), channels=())})
    with pytest.raises(
        WindowError, match=r"another shape(.|\n)*\(100, 3\)(.|\n)*\(100, 2\)(.|\n)*to mend"
    ) as caught:
        read_window(recording, 5 * SECOND, encodings())
    assert caught.value.inside == "/monday acceleration"


def test_many_windows_are_the_single_ones_row_by_row(
    record: Any, shake: Any, heat: Any, encodings: Any
) -> None:
    recordings = [
        record({"acceleration": shake(), "temperature": heat()}, name="a.h5"),
        record({"acceleration": shake(t0=3 * SECOND)}, name="b.h5"),
    ]
    plan = plan_windows(recordings, encodings(), hop=700_000_000)
    told: list[tuple[int, int]] = []
    arrays = read_windows(recordings, plan, encodings(), progress=lambda *done: told.append(done))
    assert len(arrays) == len(plan) > 20
    for row in range(len(plan)):
        inputs, presence = read_window(recordings[plan.recording[row]], int(plan.t_ref[row]), encodings())[:2]
        np.testing.assert_array_equal(arrays.presence[row], presence)
        for name, values in inputs.items():
            np.testing.assert_array_equal(arrays.inputs[name][row], values)
    assert set(arrays.recording) == {"a.h5::monday", "b.h5::monday"}
    assert told == [(done, len(plan)) for done in range(1, len(plan) + 1)]


def test_presence_agrees_with_the_coverage_of_the_plan(record: Any, shake: Any, encodings: Any) -> None:
    gap = Segments(np.array([0, 7 * SECOND]), np.array([100.0] * 2), np.array([0, 500]), np.array([500] * 2))
    recording = record({"acceleration": shake(segments=gap)})
    plan = plan_windows([recording], encodings(min_coverage=0.5), hop=110_000_000)
    arrays = read_windows([recording], plan, encodings(min_coverage=0.5))
    assert arrays.presence[:, 0].all()  # the only input, so every window was planned for it
    strict = read_windows([recording], plan, encodings(min_coverage=0.95))
    np.testing.assert_array_equal(strict.presence[:, 0] > 0, plan.coverage[:, 0] >= 0.95 - 1e-6)


def test_windows_are_saved_without_pickle(
    record: Any, shake: Any, heat: Any, encodings: Any, tmp_path: Path
) -> None:
    recording = record({"acceleration": shake(), "temperature": heat()})
    plan = plan_windows([recording], encodings(), hop=SECOND)
    arrays = read_windows([recording], plan, encodings())
    arrays.save(tmp_path / "windows.npz")
    with np.load(tmp_path / "windows.npz", allow_pickle=False) as saved:
        assert set(saved) == {
            "input.acceleration",
            "input.temperature",
            "presence",
            "id",
            "t_ref",
            "recording",
        }
        for name, values in arrays.inputs.items():
            np.testing.assert_array_equal(saved[f"input.{name}"], values)
        for name in ("presence", "id", "t_ref", "recording"):
            np.testing.assert_array_equal(saved[name], getattr(arrays, name))
        assert saved["id"].dtype == np.uint64


def test_the_faults_of_a_window_are_told_whether_it_is_used_or_not(
    record: Any, shake: Any, heat: Any, encodings: Any
) -> None:
    temperature = heat()
    temperature["samples"][2:4] = 1254.0
    window = read_window(
        record({"acceleration": shake(), "temperature": temperature}), 5 * SECOND, encodings()
    )
    assert window.presence.tolist() == [1.0, 0.0]
    assert window.coverage.tolist() == [1.0, 1.0]
    assert dict(zip(FAULTS, window.faults[1].tolist(), strict=True))["out of range"] == 0.25


@pytest.mark.parametrize(("since", "present"), [(4.0, True), (7.0, True), (8.0, False), (20.0, False)])
def test_a_thermometer_that_says_the_same_for_longer_than_the_window_is_dead_after_the_set_time(
    record: Any, heat: Any, encodings: Any, since: float, present: bool
) -> None:
    temperature = heat(seconds=60.0, rate=20.0)
    temperature["samples"][round((50.0 - since) * 20) :] = 21.5
    told = {"temperature": replace(encodings()["temperature"], rate=20.0, steps=80, stuck_after=8.0)}
    window = read_window(record({"temperature": temperature}), 50 * SECOND, told)
    assert bool(window.presence[0]) is present
    assert window.faults[0, FAULTS.index("stuck")] == (0.0 if present else 1.0)


def test_no_sensor_is_dead_before_it_could_be_told(record: Any, heat: Any, encodings: Any) -> None:
    temperature = heat(seconds=6.0, rate=20.0)
    temperature["samples"][:] = 21.5
    told = {"temperature": replace(encodings()["temperature"], rate=20.0, steps=80, stuck_after=8.0)}
    assert read_window(record({"temperature": temperature}), 6 * SECOND, told).presence.tolist() == [1.0]


def test_what_was_not_logged_does_not_look_like_a_stuck_sensor(
    record: Any, shake: Any, encodings: Any
) -> None:
    recording = record({"acceleration": shake(seconds=4.85)})
    told = {"acceleration": replace(encodings()["acceleration"], stuck_after=0.1, min_coverage=0.5)}
    window = read_window(recording, 5 * SECOND, told)
    assert window.coverage[0] == pytest.approx(0.85)
    assert (window.presence[0], window.faults.sum()) == (1.0, 0.0)
    assert told["acceleration"].assess(window.inputs["acceleration"]).usable == 1.0  # as a device sees it
