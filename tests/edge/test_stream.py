"""A bundle judges streams as it judges windows; alarms go with it, and a restart forgets nothing of them."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from sensorkd.alarms import AlarmRule, alarm_active
from sensorkd.edge import EdgeBundle, EdgePredictor
from sensorkd.errors import BundleError
from sensorkd.timeline import SECOND

HOP = 400_000_000
RULE = AlarmRule(("calm",), 0.999, raise_count=2, raise_within=3)


@pytest.fixture
def predictor(bundle_folder, redescribe):
    redescribe(alarm=RULE.to_json())
    return EdgePredictor(EdgeBundle.open(bundle_folder))


@pytest.fixture
def minute(make_samples):
    """A hundred and fifty windows end to end: (samples of each input, their windows)."""
    windows = make_samples(150, seed=4)
    return {name: values.reshape(-1, values.shape[-1]) for name, values in windows.items()}, windows


def streamed(stream, samples, *, parts=4, first=0, stop=600):
    verdicts = []
    for index in range(first, stop, parts):
        for name, values in samples.items():
            verdicts += stream.push(name, values[index : index + parts], index * SECOND // 10)
    return verdicts


def test_verdicts_and_alarms_are_those_of_the_batch(predictor, minute):
    samples, windows = minute
    stream = predictor.stream()
    verdicts = streamed(stream, samples) + stream.end()
    batch = predictor.predict(windows)
    assert [verdict.t_ref for verdict in verdicts] == [HOP * (row + 1) for row in range(150)]
    assert [verdict.verdict for verdict in verdicts] == batch.verdicts
    logits = np.concatenate([verdict.predictions.logits for verdict in verdicts])
    assert np.allclose(logits, batch.logits, atol=1e-5)
    scores = batch.scores(RULE)
    assert np.allclose([verdict.score for verdict in verdicts], scores, atol=1e-5)
    active = alarm_active(scores, RULE).tolist()
    assert [verdict.alarm for verdict in verdicts] == active
    turns = np.diff([False, *active]).nonzero()[0].tolist()
    events = {row: verdict.event for row, verdict in enumerate(verdicts) if verdict.event}
    assert list(events) == turns
    assert set(events.values()) == {"raised", "cleared"}
    assert events[turns[0]] == "raised"


def test_a_verdict_says_what_is_missing_and_is_plain_json(predictor, minute):
    samples, _ = minute
    stream = predictor.stream()
    verdicts = streamed(stream, {"heat": samples["heat"]}, stop=40)
    told = json.loads(json.dumps(verdicts[0].to_json()))
    assert told["missing"] == {"shake": "silent"}
    assert told["time"] == HOP
    assert told["verdict"] in ("calm", "rough", "hot")
    assert sum(told[f"p.{name}"] for name in ("calm", "rough", "hot")) == pytest.approx(1)


def test_without_a_rule_there_is_no_alarm(bundle_folder, minute):
    stream = EdgePredictor(EdgeBundle.open(bundle_folder)).stream()
    verdicts = streamed(stream, minute[0], stop=80)
    assert verdicts
    assert {verdict.alarm for verdict in verdicts} == {None}
    assert "alarm" not in verdicts[0].to_json()


def test_a_new_recording_begins_without_an_alarm(predictor, minute):
    stream = predictor.stream()
    stream.begin("first")
    verdicts = streamed(stream, minute[0])
    raised = next(index for index, verdict in enumerate(verdicts) if verdict.alarm)
    stream = predictor.stream()
    stream.begin("first")
    streamed(stream, minute[0], stop=4 * (raised + 1))
    stream.begin("second")
    assert not stream.alarm_active
    assert stream.recording == "second"


@pytest.mark.parametrize("cut", [0, 40, 200, 400])
def test_a_restart_goes_on_where_it_was(predictor, minute, cut):
    """Windows lie apart, so that nothing of the one before is needed."""
    samples, _ = minute
    whole = predictor.stream()
    wanted = streamed(whole, samples) + whole.end()
    before = predictor.stream()
    found = streamed(before, samples, stop=cut)
    state = json.loads(json.dumps(before.state()))
    assert len(json.dumps(state)) < 1000
    after = predictor.stream()
    after.restore(state)
    # At least once: a broker sends the last second again.
    found += streamed(after, samples, first=max(0, cut - 12)) + after.end()
    assert [verdict.to_json() for verdict in found] == [verdict.to_json() for verdict in wanted]


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"schema": "stream-9.0"},
        {"schema": "stream-1.0", "alarm": None, "recording": "", "clock": "soon", "last": 0, "closed": {}},
        {"schema": "stream-1.0", "alarm": None, "recording": "", "clock": 0, "last": 0, "closed": {"x": 0}},
        {"schema": "stream-1.0", "alarm": {}, "recording": "", "clock": 0, "last": 0, "closed": {}},
    ],
)
def test_a_state_that_is_none_is_refused(predictor, state):
    with pytest.raises(BundleError, match="state of a stream") as caught:
        predictor.stream().restore(state)
    assert "begins anew" in str(caught.value)


def test_contradictions_are_told_to_whoever_listens(predictor, minute):
    told = []
    stream = predictor.stream(on_problem=told.append)
    stream.push("heat", minute[0]["heat"][:4], 0)
    stream.push("heat", minute[0]["heat"][:4] + 1, 0)
    assert ["contradict" in str(error) for error in told] == [True]
    assert stream.counters["heat"]["conflicting"] == 4
    assert 8 < stream.held_bytes < 1000


def test_contradictions_are_told_once_a_push_and_all_counted(predictor, minute):
    told = []
    stream = predictor.stream(on_problem=told.append)
    times = np.arange(3) * SECOND // 7  # no two of them a period apart: three chunks
    stream.push("heat", minute[0]["heat"][:3], times)
    stream.push("heat", minute[0]["heat"][:3] + 1, times)
    assert len(told) == 1
    assert stream.counters["heat"]["conflicting"] == 3


def test_a_verdict_of_a_model_that_says_no_number_is_told_as_null(predictor, minute, monkeypatch):
    stream = predictor.stream()
    found = predictor.predict({name: values[:1] for name, values in minute[1].items()})
    nan = np.full_like(found.logits, np.nan)
    nothing = dataclasses.replace(found, logits=nan, probabilities=nan)
    monkeypatch.setattr(predictor, "predict", lambda *_: nothing)
    (verdict,) = [*streamed(stream, minute[0], stop=4), *stream.flush()]
    told = json.loads(json.dumps(verdict.to_json(), allow_nan=False))
    assert told["probability"] is None
    assert told["score"] is None
    assert told["time"] == HOP
