"""When samples were taken that came in payloads: one line through all payloads, not each for itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sensorkd import timeline
from sensorkd.recordings.stream import Segments

__all__ = ["segments_of_payloads"]

Int64 = NDArray[np.int64]
# A payload may come this many durations early or late before it is taken for a pause or a loss.
LATE = 1.5


def segments_of_payloads(
    first: Int64, count: Int64, starts: Int64, ends: Int64
) -> tuple[Segments, NDArray[np.float64]]:
    """Segments of the samples of P payloads laid end to end, and how far payloads are off them, (P,) s.

    A payload is stamped when the camera gets round to it, some samples early or late, and its last one is
    cut short. Their sensor counts on steadily: the rate is that of a straight line (least squares) of the
    payloads' starts over the number of their first sample, one for all. Where numbers are missing a new
    segment begins on the same line; where line and stamps part, or numbers fall, on a line of its own.

    Args:
        first: (P,) number of each payload's first sample, count: (P,) its samples, at least 1 each.
        starts, ends: (P,) ns of the payload.
    """
    run = _runs(first, count, starts, ends)
    x, y = first.astype(np.float64), (starts - starts[0]).astype(np.float64)
    sizes = np.bincount(run)
    mean_x, mean_y = np.bincount(run, x) / sizes, np.bincount(run, y) / sizes
    off_x, off_y = x - mean_x[run], y - mean_y[run]
    spread = float((off_x**2).sum())
    # Of a single payload, only its duration tells a rate.
    period = float((off_x * off_y).sum()) / spread if spread else float((ends - starts).sum() / count.sum())
    begun = np.flatnonzero(np.append(True, (first[1:] != first[:-1] + count[:-1]) | (run[1:] != run[:-1])))
    stops = np.append(begun[1:], len(first))
    offsets = np.cumsum(count) - count
    line = mean_y[run] + period * off_x
    return Segments(
        t0=starts[0] + np.rint(line[begun]).astype(np.int64),
        rate=np.full(len(begun), timeline.SECOND / period),
        offset=offsets[begun].astype(np.int64),
        count=np.array([count[a:b].sum() for a, b in zip(begun, stops, strict=True)], dtype=np.int64),
    ), (y - line) / timeline.SECOND


def _runs(first: Int64, count: Int64, starts: Int64, ends: Int64) -> NDArray[np.int64]:
    """The run of each payload: numbers and stamps within one go on together."""
    steps, spans = np.diff(first), np.diff(starts)
    good = (steps >= count[:-1]) & (spans > 0)
    if not good.any():
        return np.arange(len(first))
    period = float(np.median(spans[good] / steps[good]))
    late = np.abs(spans - steps * period) > LATE * float(np.median(ends - starts))
    return np.concatenate([[0], np.cumsum(~good | late)]).astype(np.int64)
