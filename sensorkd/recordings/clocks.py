"""How well the clocks of a recording's streams agree: where each begins and ends, and how far they drift."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from sensorkd import timeline
from sensorkd.recordings.recording import Recording
from sensorkd.recordings.stream import Stream

__all__ = ["ClockPair", "compare_clocks", "drift_of"]


@dataclass(frozen=True)
class ClockPair:
    """Two streams of one recording, by name.

    offset_start, offset_end: s, how much later `second` begins and ends than `first`. drift: ppm by which
    the crystal of `second` runs fast against that of `first`; None where nothing tells it. overlap: share of
    the shorter stream's time, from its first to its last sample, in which the other one was logged too.
    first_range, second_range: [start, end) in s on the recording's clock.
    """

    first: str
    second: str
    offset_start: float
    offset_end: float
    drift: float | None
    overlap: float
    first_range: tuple[float, float]
    second_range: tuple[float, float]

    def ranges(self) -> str:
        """When each was logged, for people."""
        return "; ".join(
            f"{name} from {start:.3f} s to {end:.3f} s"
            for name, (start, end) in ((self.first, self.first_range), (self.second, self.second_range))
        )


def compare_clocks(recording: Recording) -> list[ClockPair]:
    """Every pair of streams, in the order of the recording; no sample is read.

    What drift means depends on where the times come from:

    - Stamps of both streams come from one clock, the logger's, so they cannot drift apart; but each sensor
      samples by a crystal of its own. Where both claim a nominal rate, the drift is that of the crystals:
      how much the ratio of the measured rates differs from that of the nominal ones.
    - Otherwise a constant rate stands for at least one of the clocks. Two streams that began together, to
      the period of the slower one, and were logged without a pause should have equal lengths, had they been
      stopped together too: the difference, as a share of the first, is drift.

    What cannot be known: whether they were started and stopped together, so that an offset may be real; a
    difference of one period, for a stream ends with a whole sample; whether a claimed rate is rounded, for
    29.97 given as 30 is 1000 ppm; and anything about a stream whose rate a layout derives from the other
    one's span, for the two lengths are then equal by definition.
    """
    streams = recording.streams.values()
    return [_compare(first, second) for first, second in itertools.combinations(streams, 2)]


def drift_of(stream: Stream) -> float | None:
    """ppm by which a sensor's crystal runs fast against the clock that stamped its samples.

    That is the rate its stamps say against the nominal one the file claims; None without stamps or claim,
    and for bursts, whose stamps say nothing of the rate within them.
    """
    if stream.stamps is None or stream.stamps.rate is None or stream.nominal_rate is None:
        return None
    return (stream.stamps.rate / stream.nominal_rate - 1.0) * 1e6


def _compare(first: Stream, second: Stream) -> ClockPair:
    lengths = [stream.end - stream.start for stream in (first, second)]
    common = min(first.end, second.end) - max(first.start, second.start)
    return ClockPair(
        first=first.name,
        second=second.name,
        offset_start=(second.start - first.start) / timeline.SECOND,
        offset_end=(second.end - first.end) / timeline.SECOND,
        drift=_drift(first, second),
        overlap=max(0, common) / max(1, min(lengths)),
        first_range=(first.start / timeline.SECOND, first.end / timeline.SECOND),
        second_range=(second.start / timeline.SECOND, second.end / timeline.SECOND),
    )


def _drift(first: Stream, second: Stream) -> float | None:
    if first.stamps is not None and second.stamps is not None:
        drifts = drift_of(first), drift_of(second)
        if drifts[0] is None or drifts[1] is None:
            return None
        return ((1.0 + drifts[1] * 1e-6) / (1.0 + drifts[0] * 1e-6) - 1.0) * 1e6
    period = timeline.SECOND / min(first.rate, second.rate)
    if max(len(first.segments), len(second.segments)) > 1 or abs(second.start - first.start) > period:
        return None
    return ((second.end - second.start) / max(1, first.end - first.start) - 1.0) * 1e6
