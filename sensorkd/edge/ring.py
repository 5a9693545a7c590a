"""The newest samples of one stream, in order of time however they came, in memory that does not grow.

n samples of a chunk, on the stream's clock at its rate: sample i was taken at time + i / rate.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd import timeline
from sensorkd.edge.pieces import Chain, Piece
from sensorkd.edge.stillness import Stillness

__all__ = ["Added", "Ring"]

# A chunk so near to where the last one ended, in periods, is stored as its continuation.
NEAR = 0.25
FEWEST = 16
# What a piece takes beside its samples.
PIECE_BYTES = 400


@dataclass(frozen=True)
class Added:
    """What became of a chunk: samples that were accepted, came before, contradict earlier ones, came late.

    conflict: time (ns) of the first that contradicts.
    """

    accepted: int = 0
    duplicate: int = 0
    conflicting: int = 0
    late: int = 0
    conflict: int | None = None


@dataclass(frozen=True)
class _Gone:
    """The run that was forgotten last: its begin and end in ns, its samples, those of its newest chunk."""

    begin: int
    end: int
    count: int
    told: int


class Ring:
    """Samples of one stream, sorted; what contradicts or comes too late is left out and counted.

    Two samples within half a period are one and the same. A chunk that begins where another ended, give or
    take half a period and `tolerance` of that chunk's length (a clock that is a little off), goes on with it;
    otherwise there is a gap between them.

    closed: ns; samples before it come too late. None as long as nothing is closed.
    """

    def __init__(
        self, rate: float, *, tolerance: float, block: int, stillness: Stillness | None = None
    ) -> None:
        self.rate, self.tolerance = rate, tolerance
        self.closed: int | None = None
        self._gaps = 0
        self.period = timeline.SECOND / rate  # ns
        self._block = max(FEWEST, block)
        self._pieces: list[Piece] = []
        self._held = 0
        self._gone: _Gone | None = None
        self._stillness = stillness

    def __len__(self) -> int:
        return self._held

    @property
    def bytes(self) -> int:
        """Memory of the samples that are held, and of what holds them together."""
        each = self._pieces[0].samples[0].nbytes if self._pieces else 0
        return self._held * each + len(self._pieces) * PIECE_BYTES

    @property
    def start(self) -> int | None:
        """ns, the first sample that is held."""
        return self._pieces[0].t0 if self._pieces else None

    @property
    def end(self) -> int | None:
        """ns, one period after the last sample there has been."""
        if self._pieces:
            return self._chain(len(self._pieces) - 1).end
        return None if self._gone is None else self._gone.end

    def slack_before(self, time: int) -> int:
        """ns, by which samples may be off the end of what is held before `time`, and go on with it."""
        index = self._index_before(time)
        return 0 if index < 0 else self._slack(self._pieces[index].told)

    def after(self, time: int) -> int | None:
        """ns, the first held sample at `time` or later."""
        for piece in self._pieces:
            index = int(timeline.first_index_at(piece.t0, self.rate, time))
            if index < piece.count:
                return self._time(piece, index)
        return None

    def add(self, time: int, samples: NDArray[Any]) -> Added:
        """Take a chunk (n, *sample_shape) whose first sample was taken at `time`."""
        taken, conflicts = self._compare(time, samples)
        late = np.zeros(len(samples), np.bool_)
        if self.closed is not None and time < self.closed:
            late[: int(timeline.first_index_at(time, self.rate, self.closed))] = True
            late &= ~taken
        accepted = 0
        for first, stop in _runs(~taken & ~late):
            self._insert(int(timeline.sample_times(time, self.rate, first)), samples[first:stop])
            accepted += stop - first
        conflict = None
        if len(conflicts):
            conflict = int(timeline.sample_times(time, self.rate, conflicts[0]))
        twice = int(taken.sum()) - len(conflicts)
        return Added(accepted, twice, len(conflicts), int(late.sum()), conflict)

    def chain_before(self, time: int) -> Chain | None:
        """The run that holds the last sample before `time`, as far as it is held."""
        index = self._index_before(time)
        return None if index < 0 else self._chain(index)

    def chains(self) -> Iterator[Chain]:
        """All runs, in order of time."""
        first = 0
        while first < len(self._pieces):
            chain = self._chain(first)
            yield chain
            first += len(chain.pieces)

    def evict(self, before: int) -> None:
        """Forget whole pieces that end before `before` (ns); what would precede them comes too late then."""
        while self._pieces and self._pieces[0].end <= before:
            self._gaps += self._gap_in_front()
            begin, gone = self._origin()
            piece = self._pieces.pop(0)
            self._held -= piece.count
            if self._stillness is not None:
                self._stillness.push(piece.samples)
            self._gone = _Gone(begin, piece.end, gone + piece.count, piece.told)
            closed = self._gone.end - int(self.period / 2)
            self.closed = closed if self.closed is None else max(self.closed, closed)

    @property
    def gaps(self) -> int:
        """How many there have been between two samples of the stream."""
        pairs = zip(self._pieces, self._pieces[1:], strict=False)
        held = sum(not self._goes_on(piece, later.t0) for piece, later in pairs)
        return self._gaps + held + self._gap_in_front()

    def still_before(self, chain: Chain, index: int) -> int:
        """For how many samples before sample `index` of a run the stream has said one and the same.

        Over gaps too, for a dead sensor does not heal in one. 0 where it is not watched.
        """
        if self._stillness is None:
            return 0
        parts = [piece.samples for piece in self._pieces[: self._pieces.index(chain.pieces[0])]]
        return self._stillness.with_more([*parts, chain.read(chain.skipped, index)])

    def _gap_in_front(self) -> bool:
        """Between what is gone and what is held."""
        return bool(self._pieces) and self._gone is not None and self._origin()[1] == 0

    def _origin(self) -> tuple[int, int]:
        """Of the run of the first piece: when it began, and how many of its samples are gone."""
        first, gone = self._pieces[0].t0, self._gone
        if gone is None or abs(first - gone.end) > self._slack(gone.told):
            return first, 0
        return gone.begin, gone.count

    def _index_before(self, time: int) -> int:
        """Of the piece that holds the last sample before `time`; -1 when there is none."""
        return bisect.bisect_left(self._pieces, time, key=lambda piece: piece.t0) - 1

    def _time(self, piece: Piece, index: int) -> int:
        return int(timeline.sample_times(piece.t0, self.rate, index))

    def _slack(self, told: int) -> int:
        return round(self.period * (0.5 + self.tolerance * told))

    def _goes_on(self, piece: Piece, time: int) -> bool:
        return abs(time - piece.end) <= self._slack(piece.told)

    def _chain(self, index: int) -> Chain:
        first = last = index
        while first and self._goes_on(self._pieces[first - 1], self._pieces[first].t0):
            first -= 1
        while last + 1 < len(self._pieces) and self._goes_on(self._pieces[last], self._pieces[last + 1].t0):
            last += 1
        pieces = tuple(self._pieces[first : last + 1])
        begin, skipped = self._origin() if first == 0 else (pieces[0].t0, 0)
        before = skipped + sum(piece.count for piece in self._pieces[first:index])
        t0, piece = begin, self._pieces[index]
        if abs(piece.t0 - int(timeline.sample_times(t0, self.rate, before))) > self.period / 2:
            t0 = piece.t0 - timeline.duration(self.rate, before)
        count = skipped + sum(piece.count for piece in pieces)
        return Chain(t0, begin, self.rate, count, skipped, pieces)

    def _compare(self, time: int, samples: NDArray[Any]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Which samples (n,) of a chunk there are already, and indices of those of them that differ."""
        taken, differ = np.zeros(len(samples), np.bool_), np.zeros(len(samples), np.bool_)
        end = int(timeline.sample_times(time, self.rate, len(samples)))
        slack = self._slack(len(samples))
        index = max(0, bisect.bisect_right(self._pieces, time, key=lambda piece: piece.t0) - 1)
        # A piece before that one may reach as far where the clock is a little fast.
        for piece in self._pieces[max(0, index - 1) :]:
            if piece.t0 > end:
                break
            places = np.rint((time - piece.t0) / self.period + np.arange(len(samples))).astype(np.int64)
            here = np.flatnonzero((places >= 0) & (places < piece.count) & ~taken)
            if not len(here):
                continue
            same = _same(samples[here], piece.samples[places[here]])
            edge = (self._goes_on(piece, time) and end > piece.end + self.period / 2) or (
                abs(piece.t0 - end) <= slack and time < piece.t0 - self.period / 2
            )
            taken[here] = same if edge else True
            differ[here] = ~same & (not edge)
        return taken, np.flatnonzero(differ)

    def _insert(self, time: int, samples: NDArray[Any]) -> None:
        self._held += len(samples)
        index = bisect.bisect_right(self._pieces, time, key=lambda piece: piece.t0)
        if index:
            piece = self._pieces[index - 1]
            room = self._block - piece.count
            if len(samples) <= room and abs(time - piece.end) <= NEAR * self.period:
                piece.extend(samples, self._block)
                return
        for first in range(0, len(samples), self._block):
            begin = int(timeline.sample_times(time, self.rate, first))
            part = samples[first : first + self._block]
            self._pieces.insert(index, Piece(begin, part, self.rate, len(samples)))
            index += 1


def _same(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.bool_]:
    """(n,) which of the samples (n, ...) are equal to the bit, so that NaN is NaN."""
    one, other = (
        np.ascontiguousarray(array).reshape(len(array), -1).view(np.uint8) for array in (one, other)
    )
    return np.asarray((one == other).all(axis=1))


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """[first, stop) of the runs of True."""
    if mask.all():
        return [(0, len(mask))]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8))).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))
