from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorkd.encoding import InputEncoding
from sensorkd.errors import WindowError
from sensorkd.recordings import Recording, Segments, Stream
from sensorkd.recordings.stream import SampleSource
from sensorkd.timeline import SECOND, sample_times
from sensorkd.windows.plan import WindowPlan, locate, plan_windows


def planned(segments: dict[str, Segments], *, id: str = "a.h5::m", group: str = "/m") -> Recording:
    """A recording that exists on paper only: plans read no file."""
    streams = {
        name: Stream(
            name, name, "1", table,
            SampleSource(Path("none.h5"), f"/{name}", ("time", "channel"), (10**9, 1)),
            np.dtype("int16"),
        )
        for name, table in segments.items()
    }  # fmt: skip
    return Recording(id, Path("none.h5"), group, "relative", {}, streams)


def runs(*rows: tuple[float, float, int]) -> Segments:
    """Segments (start in seconds, rate, count) laid end to end in the array."""
    counts = np.array([row[2] for row in rows])
    return Segments(
        np.array([round(row[0] * SECOND) for row in rows]),
        np.array([row[1] for row in rows], dtype=np.float64),
        np.concatenate([[0], np.cumsum(counts)[:-1]]),
        counts,
    )


def test_references_come_every_hop_from_the_first_full_span_to_the_end(encodings: Any) -> None:
    recording = planned({"acceleration": runs((2.0, 100.0, 1000)), "temperature": runs((0.0, 2.0, 24))})
    plan = plan_windows([recording], encodings(), hop=SECOND)
    assert (plan.t_ref / SECOND).tolist() == [3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    assert plan.coverage[0].tolist() == [1.0, 0.75]  # temperature since 0 s, of the 4 s before 3 s
    assert (plan.coverage[1:] == 1.0).all()
    assert (len(plan), plan.inputs) == (10, ("acceleration", "temperature"))


def test_only_required_inputs_must_be_there(encodings: Any) -> None:
    recording = planned({"acceleration": runs((0.0, 100.0, 1000)), "temperature": runs((5.0, 2.0, 10))})
    free = plan_windows([recording], encodings(), hop=SECOND)
    assert len(free) == 10
    assert free.coverage[:, 1].tolist() == [0, 0, 0, 0, 0, 0.25, 0.5, 0.75, 1.0, 1.0]
    strict = plan_windows([recording], encodings(), hop=SECOND, required=["temperature"])
    assert (strict.t_ref / SECOND).tolist() == [9, 10]
    assert set(strict.id.tolist()) <= set(free.id.tolist())


def test_a_missing_stream_covers_nothing(encodings: Any) -> None:
    plan = plan_windows([planned({"temperature": runs((0.0, 2.0, 20))})], encodings(), hop=SECOND)
    assert (plan.coverage[:, 0] == 0).all()
    assert plan.coverage[:, 1].all()


@given(
    st.lists(st.tuples(st.floats(0.02, 3.0), st.integers(1, 80)), min_size=1, max_size=5),
    st.sampled_from([7.0, 10.0, 29.97]),
    st.integers(1, 25),
    st.integers(10**7, 2 * 10**9),
)
def test_coverage_is_the_share_of_samples_in_one_run_before_the_reference(
    gaps: list[tuple[float, int]], rate: float, steps: int, hop: int
) -> None:
    rows, start = [], 0.0
    for gap, count in gaps:
        rows.append((start + gap, rate, count))
        start += gap + count / rate
    table = runs(*rows)
    encoding = InputEncoding(
        "s", "int16", "1", 1.0, 0.0, (1,), (), steps, rate, round(steps / rate * SECOND), (-1.0, 1.0),
        "linear", min_coverage=1e-6,
    )  # fmt: skip
    try:
        plan = plan_windows([planned({"s": table})], {"s": encoding}, hop=hop)
    except WindowError:
        plan = None
    first, end = int(table.t0[0]) + (encoding.span or 0), int(table.ends[-1])
    expected = {}
    for t_ref in range(first, end + 1, hop):
        # Reference: the last run that begins before t_ref, its clock drawn on, the last `steps` ticks.
        before = [row for row in range(len(table)) if table.t0[row] < t_ref]
        row = before[-1]
        ticks = np.arange(-steps - 1, round((t_ref - table.t0[row]) / SECOND * rate) + 2)
        ticks = ticks[sample_times(int(table.t0[row]), rate, ticks) < t_ref][-steps:]
        share = np.mean((ticks >= 0) & (ticks < table.count[row]))
        if share > 0:
            expected[t_ref] = share
    found = {} if plan is None else dict(zip(plan.t_ref.tolist(), plan.coverage[:, 0].tolist(), strict=True))
    assert found == pytest.approx(expected)


def test_a_whole_recording_is_one_window_of_what_was_logged(encodings: Any) -> None:
    gaps = runs((0.0, 100.0, 300), (8.0, 100.0, 200))
    recording = planned({"acceleration": gaps, "temperature": runs((0.0, 2.0, 20))})
    plan = plan_windows([recording], encodings(steps=16, min_coverage=0.5))
    assert plan.t_ref.tolist() == [10 * SECOND]
    np.testing.assert_allclose(plan.coverage, [[0.5, 1.0]])


def test_recordings_without_a_window_are_named_with_the_reason(encodings: Any) -> None:
    recordings = [
        planned({"temperature": runs((0.0, 2.0, 20))}, id="good"),
        planned({"acceleration": runs((0.0, 100.0, 50))}, id="short"),
        planned({"pressure": runs((0.0, 1.0, 100))}, id="other"),
        planned({}, id="empty"),
        planned({"acceleration": runs((0.0, 100.0, 1000))}, id="lacks the required"),
    ]
    plan = plan_windows(recordings, encodings(), hop=SECOND, required=["temperature"])
    assert set(plan.recording.tolist()) == {0}
    why = dict(plan.skipped)
    assert set(why) == {"short", "other", "empty", "lacks the required"}
    assert "0.5 s are shorter than a window" in why["short"]
    assert "only ['pressure']" in why["other"]
    assert "required input is missing" in why["lacks the required"]


def test_no_window_at_all_is_an_error_with_the_reasons(encodings: Any) -> None:
    with pytest.raises(WindowError, match=r"short: its 0\.5 s are shorter(.|\n)*to mend"):
        plan_windows([planned({"acceleration": runs((0.0, 100.0, 50))}, id="short")], encodings(), hop=SECOND)
    with pytest.raises(WindowError, match="no recordings"):
        plan_windows([], encodings(), hop=SECOND)


@pytest.mark.parametrize(
    ("steps", "options", "told"),
    [
        (None, {}, "a span for every input; or none of these"),
        (16, {"hop": SECOND}, "a span for every input; or none of these"),
        (None, {"hop": 0}, "must be positive"),
        (None, {"hop": -5}, "-5 ns"),
        (None, {"hop": SECOND, "required": ["temprature"]}, "did you mean 'temperature'?"),
    ],
)
def test_a_request_that_makes_no_sense_is_told(
    encodings: Any, steps: int | None, options: dict[str, Any], told: str
) -> None:
    recording = planned({"acceleration": runs((0.0, 100.0, 1000))})
    with pytest.raises(WindowError, match="to mend") as caught:
        plan_windows([recording], encodings(steps=steps), **options)
    assert told in str(caught.value)


def test_spans_and_wholes_do_not_mix(encodings: Any) -> None:
    mixed = {**encodings(), "acceleration": encodings(steps=16)["acceleration"]}
    with pytest.raises(WindowError, match="windows are whole recordings, or"):
        plan_windows([planned({"acceleration": runs((0.0, 100.0, 1000))})], mixed, hop=SECOND)


def test_clocks_decades_apart_are_told_instead_of_filling_the_memory(encodings: Any) -> None:
    recording = planned({"acceleration": runs((0.0, 100.0, 1000)), "temperature": runs((1.7e9, 2.0, 20))})
    with pytest.raises(WindowError, match=r"temperature from 1700000000\.000 s") as caught:
        plan_windows([recording], encodings(), hop=SECOND)
    assert (caught.value.file, caught.value.inside) == ("none.h5", "/m")


def ids(encodings: Any, recording: str = "a.h5::m", **changes: Any) -> list[int]:
    made = encodings(**changes)
    table = {"acceleration": runs((0.0, 100.0, 1000))}
    return [int(i) for i in plan_windows([planned(table, id=recording)], made, hop=SECOND).id]


def test_an_id_is_the_same_on_every_computer(encodings: Any) -> None:
    assert ids(encodings) == ids(encodings)
    assert ids(encodings)[:2] == [0x1765FFBF1593B263, 0xCC552125036243C7]


def test_an_id_depends_on_recording_time_and_encoding_and_not_on_the_company_it_keeps(encodings: Any) -> None:
    plain = set(ids(encodings))
    assert len(plain) == 10
    assert plain.isdisjoint(ids(encodings, recording="a.h5::n"))
    assert plain.isdisjoint(ids(encodings, spans=(0.5, 4.0)))
    table = {"acceleration": runs((0.0, 100.0, 1000))}
    both = [planned(table, id="a.h5::n"), planned(table, id="a.h5::m")]
    assert plain < set(plan_windows(both, encodings(), hop=SECOND).id.tolist())


def test_a_hundred_thousand_ids_do_not_collide(encodings: Any) -> None:
    tables = [{"acceleration": runs((-start, 100.0, 100_000))} for start in range(100)]
    recordings = [planned(table, id=f"{number}") for number, table in enumerate(tables)]
    plan = plan_windows(recordings, encodings(), hop=SECOND)
    assert len(plan) > 99_000
    assert len(np.unique(plan.id)) == len(plan)
    assert abs(np.mean(plan.id.astype(np.float64)) / 2**64 - 0.5) < 0.01


def test_a_million_windows_are_planned_without_a_loop_over_them(
    encodings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    honest = InputEncoding.coverage

    def counted(self: InputEncoding, **arguments: Any) -> Any:
        calls.append(len(arguments["stop"]))
        return honest(self, **arguments)

    monkeypatch.setattr(InputEncoding, "coverage", counted)
    monkeypatch.delattr(InputEncoding, "positions")
    recording = planned({"acceleration": runs((0.0, 100.0, 10**8))})
    plan = plan_windows([recording], encodings(), hop=SECOND)
    assert len(plan) == 10**6
    assert calls == [10**6]


def test_some_windows_of_a_plan_are_a_plan(encodings: Any) -> None:
    plan = plan_windows([planned({"acceleration": runs((0.0, 100.0, 1000))})], encodings(), hop=SECOND)
    some = plan.select(np.array([4, 1]))
    assert isinstance(some, WindowPlan)
    assert some.t_ref.tolist() == [5 * SECOND, 2 * SECOND]
    assert some.id.tolist() == plan.id[[4, 1]].tolist()
    assert dataclasses.replace(some, skipped=()).coverage.shape == (2, 2)


def test_the_segment_of_a_reference_is_that_of_the_last_sample_before_it() -> None:
    stream = planned({"s": runs((0.0, 10.0, 10), (5.0, 10.0, 10))}).streams["s"]
    times = (0, 1, SECOND, 5 * SECOND, 5 * SECOND + 1, 99 * SECOND)
    assert [locate(stream, time) for time in times] == [-1, 0, 0, 0, 1, 1]
