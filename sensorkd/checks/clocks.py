"""Checks of the clock of one stream: a rate that is not as claimed, stamps that repeat or jump, pauses."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sensorkd import timeline
from sensorkd.checks.finding import Check, Finding, Place, counted, when
from sensorkd.recordings import Recording, Stream

__all__ = ["CHECKS", "check_clocks", "usual_pause"]

NOMINAL_RATE = Check(
    id="nominal-rate",
    importance="warning",
    title="the sensor ran at another rate than the file claims",
    reason="Whoever trusts the claim lays this stream beside the others at the wrong times, ever further "
    "off.",
    cure="leave the rate to the time stamps or to `match_span_of`, as it is now; correct the attribute",
)
REPEATED_STAMPS = Check(
    id="repeated-stamps",
    importance="warning",
    title="samples came twice, with the same time stamp and the same values",
    reason="A repeated sample counts twice, and moves all after it unless it is dropped; sensorkd drops it.",
    cure="look at the logger: a message was sent again",
)
UNSORTED_STAMPS = Check(
    id="unsorted-stamps",
    importance="warning",
    title="samples do not lie in the order of their time stamps",
    reason="Read as they lie, they are no signal; sensorkd sorts them into place.",
    cure="look at the logger: messages overtake each other",
)
CLOCK_JUMPS = Check(
    id="clock-jumps",
    importance="warning",
    title="the clock was set while it logged",
    reason="Times before and after a jump do not belong to one clock: no window spans it, and labels and "
    "other sensors may lie beside what they belong to.",
    cure="let the logger use a steady clock, and set it between recordings only",
)
CUT_SAMPLES = Check(
    id="cut-samples",
    importance="warning",
    title="samples are left out: the clock was set back, and their times come again",
    reason="Two samples of one moment cannot both be true; those after the jump are taken.",
    cure="let the logger use a steady clock, and set it between recordings only",
)
JITTER = Check(
    id="jitter",
    importance="hint",
    title="time stamps scatter about their rate",
    reason="sensorkd reads a run of samples as evenly spaced; what its stamps scatter, they are off by.",
    cure="let the sensor's own clock stamp the samples, not the computer that receives them",
)
GAPS = Check(
    id="gaps",
    importance="hint",
    title="pauses in a stream",
    reason="No window spans a pause, so that each costs up to a window's length of data.",
    cure="look at the logger or its line, if it should not pause",
)
TORN_STREAM = Check(
    id="torn-stream",
    importance="hint",
    title="a stream is cut into segments that adjoin",
    reason="A segment ends where samples stop lying evenly, and no window spans its end, though nothing is "
    "missing: each end costs up to a window's length of data.",
    cure="give the logger the sensor's true rate, or a larger `tolerance` for blocks that come early or late",
)
CHECKS = (
    NOMINAL_RATE,
    REPEATED_STAMPS,
    UNSORTED_STAMPS,
    CLOCK_JUMPS,
    CUT_SAMPLES,
    JITTER,
    GAPS,
    TORN_STREAM,
)

RATE_TOLERANCE = 0.01
JITTER_PERIODS = 0.25
# Bursts pause on purpose, all alike: only what is longer than that is a gap.
LONGER_PAUSE = 1.5
# So many ends, so close to each other, that windows of seconds miss much.
TORN_ENDS, TORN_SECONDS = 10, 60.0


def check_clocks(recording: Recording) -> Iterator[Finding]:
    """Findings in the times of each stream of a recording, from its metadata."""
    for name, stream in recording.streams.items():
        place = Place.of(recording, name)
        yield from _nominal_rate(stream, place)
        yield from _stamps(stream, place)
        yield from _gaps(recording, stream, place)
        yield from _torn(stream, place)


def _nominal_rate(stream: Stream, place: Place) -> Iterator[Finding]:
    nominal = stream.nominal_rate
    if nominal is None or abs(stream.rate / nominal - 1.0) <= RATE_TOLERANCE:
        return
    yield NOMINAL_RATE.at(
        place,
        found=f"{stream.rate:.4g} Hz in truth, {100 * (stream.rate / nominal - 1.0):+.3g} %",
        expected=f"{nominal:.4g} Hz, as the file claims",
        value=stream.rate,
        unit="Hz",
        size=abs(stream.rate / nominal - 1.0),
    )


def _stamps(stream: Stream, place: Place) -> Iterator[Finding]:
    report = stream.stamps
    if report is None:
        return
    count = stream.source.count
    for check, number, what, expected in (
        (REPEATED_STAMPS, report.duplicates, "repeated sample", "each sample once"),
        (CUT_SAMPLES, report.cut, "sample", "times that come once"),
        (UNSORTED_STAMPS, report.reordered, "late sample", "stamps that rise"),
        (CLOCK_JUMPS, report.jumps, "jump", "a clock that goes on"),
    ):
        if number:
            found = f"{counted(number, what)}, beside {count:,} in order"
            yield check.at(place, found=found, expected=expected, value=number, size=number)
    period = 1.0 / stream.rate
    if report.jitter > JITTER_PERIODS * period:
        yield JITTER.at(
            place,
            found=f"{1e3 * report.jitter:.3g} ms (one deviation), {1e3 * report.worst:.3g} ms at worst",
            expected=f"at most {1e3 * JITTER_PERIODS * period:.3g} ms, a quarter of the period",
            value=1e3 * report.jitter,
            unit="ms",
            size=report.jitter / period,
        )


def _gaps(recording: Recording, stream: Stream, place: Place) -> Iterator[Finding]:
    pauses, usual = _pauses(stream), usual_pause(stream)
    gaps = np.flatnonzero(pauses > LONGER_PAUSE * usual)
    if not len(gaps):
        return
    worst = int(gaps[pauses[gaps].argmax()])
    longest = float(pauses[worst])
    share = float(pauses[gaps].sum()) * timeline.SECOND / (stream.end - stream.start)
    yield GAPS.at(
        place,
        found=f"{counted(len(gaps), 'pause')}, {100 * share:.3g} % of the time, "
        f"the longest {longest:.4g} s from {when(recording, int(stream.segments.ends[worst]))}",
        expected="samples without a pause" if not usual else f"pauses of {usual:.3g} s",
        value=longest,
        unit="s",
        size=share,
    )


def _torn(stream: Stream, place: Place) -> Iterator[Finding]:
    segments = stream.segments
    pauses = _pauses(stream)
    ends = int((pauses == 0.0).sum())
    seconds = float(np.median(segments.ends - segments.t0)) / timeline.SECOND
    if ends < max(TORN_ENDS, len(pauses) / 2) or seconds > TORN_SECONDS:
        return
    yield TORN_STREAM.at(
        place,
        found=f"{len(segments):,} segments, of {seconds:.4g} s on the median; {ends:,} adjoin the next",
        expected="one segment for samples without a pause",
        value=seconds,
        unit="s",
        size=ends,
    )


def _pauses(stream: Stream) -> NDArray[np.float64]:
    """Seconds between segments, (S - 1,); 0 where stamps merely jitter."""
    pauses = (stream.segments.t0[1:] - stream.segments.ends[:-1]) / timeline.SECOND
    return np.where(pauses > 0.5 / stream.rate, pauses, 0.0)


def usual_pause(stream: Stream) -> float:
    """Seconds between bursts; 0 for a stream that is logged throughout."""
    pauses = _pauses(stream)
    return float(np.median(pauses)) if len(pauses) > 2 else 0.0
