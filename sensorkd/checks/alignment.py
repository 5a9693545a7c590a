"""Checks of a recording's streams against each other and against the calendar."""

from __future__ import annotations

import time
from collections.abc import Iterator

from sensorkd import timeline
from sensorkd.checks.clocks import usual_pause
from sensorkd.checks.finding import Check, Finding, Place, counted, when
from sensorkd.recordings import Recording, Stream
from sensorkd.recordings.clocks import ClockPair, compare_clocks

__all__ = ["CHECKS", "check_alignment"]

NO_OVERLAP = Check(
    id="no-overlap",
    importance="critical",
    title="two streams of a recording have no time in common",
    reason="No window has both, so that nothing can be learned from the two together.",
    cure="correct the start times or the clock of one of them; loggers in local time are off by whole hours",
)
CLOCK_OFFSET = Check(
    id="clock-offset",
    importance="hint",
    title="a stream begins or ends at another time than the first one of its recording",
    reason="Where they should begin together, one of the clocks is late; windows at the ends lack the "
    "sensor.",
    cure="start and stop the loggers together, or set their clocks by one server",
)
CLOCK_DRIFT = Check(
    id="clock-drift",
    importance="hint",
    title="two clocks of a recording seem to drift apart",
    reason="What happens at one moment then lies at two, and fusion learns from moments that do not belong "
    "together. If the loggers were not stopped together, the difference means nothing.",
    cure="stamp both streams by one clock, or derive the rate of one from the span of the other "
    "(`match_span_of` in a layout)",
)
STRANGE_TIME = Check(
    id="strange-time",
    importance="warning",
    title="a UTC clock shows a time that cannot be true",
    reason="A clock that was never set begins in 1970; label tables in true time then match nothing.",
    cure="correct the start times, or say `clock: relative`",
)
SHORT = Check(
    id="short",
    importance="hint",
    title="a stream has no run of samples as long as a window",
    reason="No window spans a gap: where the longest run covers too little of one, the sensor is absent "
    "throughout.",
    cure="use a shorter window, or leave the recording out; if the stream is one of many short runs, look at "
    "the logger",
)
CHECKS = (NO_OVERLAP, CLOCK_OFFSET, CLOCK_DRIFT, STRANGE_TIME, SHORT)

OFFSET_SECONDS = 1.0
# Crystals are good to some 100 ppm; what parts by a twentieth was stopped at another time.
DRIFT_PPM = (300.0, 50_000.0)
FIRST_YEAR, DAY = 365 * 86_400 * timeline.SECOND, 86_400 * timeline.SECOND


def check_alignment(recording: Recording, window: float | None = None) -> Iterator[Finding]:
    """Findings in the times of a recording, from its metadata. window: seconds that a window will need."""
    yield from _pairs(recording)
    yield from _whole(recording)
    if window is not None:
        yield from _short(recording, window)


def _pairs(recording: Recording) -> Iterator[Finding]:
    reference = next(iter(recording.streams), None)
    for pair in compare_clocks(recording):
        first, second = recording.streams[pair.first], recording.streams[pair.second]
        place = Place.of(recording, pair.second)
        if not pair.overlap:
            yield NO_OVERLAP.at(
                place,
                found=f"{pair.second} {_span(recording, second)}; {pair.first} {_span(recording, first)}",
                expected="times that overlap",
            )
            continue
        offset = max(abs(pair.offset_start), abs(pair.offset_end))
        allowed = max(OFFSET_SECONDS, 1.5 * usual_pause(first), 1.5 * usual_pause(second))
        if offset > allowed and pair.first == reference:
            yield CLOCK_OFFSET.at(
                place,
                found=f"begins {pair.offset_start:+.3f} s and ends {pair.offset_end:+.3f} s against "
                f"{pair.first}; {100 * pair.overlap:.3g} % of the shorter one in common",
                expected=f"at most {allowed:.3g} s apart",
                value=offset,
                unit="s",
                size=offset,
            )
        if pair.drift is not None and _drifts(pair, pair.drift, first, second):
            yield CLOCK_DRIFT.at(
                place,
                found=f"{pair.drift:+.0f} ppm against {pair.first}, {pair.offset_start:+.3f} s apart at "
                f"the start and {pair.offset_end:+.3f} s at the end",
                expected=f"at most {DRIFT_PPM[0]:g} ppm",
                value=pair.drift,
                unit="ppm",
                size=abs(pair.drift),
            )


def _drifts(pair: ClockPair, drift: float, first: Stream, second: Stream) -> bool:
    """Whether the difference in length of two streams is likely to be one of clocks."""
    if not DRIFT_PPM[0] < abs(drift) < DRIFT_PPM[1]:
        return False
    if first.stamps is not None and second.stamps is not None:
        return True
    # Without stamps only the ends tell: of streams that began together and never paused.
    period = 1.0 / min(first.rate, second.rate)
    whole = len(first.segments) == len(second.segments) == 1
    return whole and abs(pair.offset_start) <= period < abs(pair.offset_end - pair.offset_start) / 2


def _span(recording: Recording, stream: Stream) -> str:
    return f"{when(recording, stream.start)} to {when(recording, stream.end)}"


def _whole(recording: Recording) -> Iterator[Finding]:
    place, start, end = Place.of(recording), recording.start, recording.end
    if recording.clock == "utc" and recording.streams:
        latest = int(time.time()) * timeline.SECOND + DAY
        if start < FIRST_YEAR or end > latest:
            yield STRANGE_TIME.at(
                place,
                found=f"{when(recording, start)} to {when(recording, end)}",
                expected=f"a time from 1971 to now, {when(recording, latest - DAY)}",
            )


def _short(recording: Recording, window: float) -> Iterator[Finding]:
    for name, stream in recording.streams.items():
        lengths = (stream.segments.ends - stream.segments.t0) / timeline.SECOND
        longest = float(lengths.max())
        if longest + 0.5 / stream.rate < window:  # a window takes as many samples as round off to it
            runs = f", the longest of {counted(len(lengths), 'segment')}" if len(lengths) > 1 else ""
            yield SHORT.at(
                Place.of(recording, name),
                found=f"{longest:.4g} s{runs}",
                expected=f"at least {window:g} s without a gap",
                value=longest,
                unit="s",
                size=-longest,
            )
