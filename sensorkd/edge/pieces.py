"""Samples in a row, and rows of them without a gap: what a ring is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd import timeline

__all__ = ["Chain", "Piece"]


class Piece:
    """Samples in a row from t0 until end, ns. told: how many the newest chunk had, of which it has a part."""

    def __init__(self, t0: int, samples: NDArray[Any], rate: float, told: int) -> None:
        self.t0, self.count, self.told, self._rate = t0, len(samples), told, rate
        self.end = t0 + timeline.duration(rate, len(samples))
        self._buffer = np.array(samples)

    @property
    def samples(self) -> NDArray[Any]:
        """(count, *sample_shape)."""
        return self._buffer[: self.count]

    def extend(self, samples: NDArray[Any], limit: int) -> None:
        """Samples that go on where it ends; it never holds more than `limit`."""
        total = self.count + len(samples)
        if total > len(self._buffer):
            grown = np.empty((min(limit, max(total, 2 * self.count)), *samples.shape[1:]), samples.dtype)
            grown[: self.count] = self.samples
            self._buffer = grown
        self._buffer[self.count : total] = samples
        self.count, self.told = total, len(samples)
        self.end = self.t0 + timeline.duration(self._rate, total)


@dataclass(frozen=True)
class Chain:
    """Pieces without a gap: a run of samples (t0, rate, count), as an archive would hold it.

    skipped: of its samples, how many at its begin are no longer held. begin: ns, when the first of all was
    taken; t0 differs where the clock has drifted since.
    """

    t0: int
    begin: int
    rate: float
    count: int
    skipped: int
    pieces: tuple[Piece, ...]

    @property
    def end(self) -> int:
        """ns, one period after the last sample."""
        return int(timeline.sample_times(self.t0, self.rate, self.count))

    @property
    def measured(self) -> float:
        """Hz: the rate, or that of the stamps where it would miss the last of them by half a period."""
        before = self.count - self.pieces[-1].count
        since = self.pieces[-1].t0 - self.begin
        if abs(since - timeline.duration(self.rate, before)) <= timeline.SECOND / self.rate / 2:
            return self.rate
        return before / (since / timeline.SECOND)

    def read(self, first: int, stop: int) -> NDArray[Any]:
        """Samples [first, stop) by index in the run, those that are held."""
        start, parts = self.skipped, [self.pieces[0].samples[:0]]
        for piece in self.pieces:
            if start < stop and start + piece.count > first:
                parts.append(piece.samples[max(0, first - start) : stop - start])
            start += piece.count
        return parts[1] if len(parts) == 2 else np.concatenate(parts)
