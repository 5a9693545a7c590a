"""One input of a bundle as its sensor sends it: what is refused, what is held, and its part of a window."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd import timeline
from sensorkd.edge.pieces import Chain
from sensorkd.edge.ring import PIECE_BYTES, Ring
from sensorkd.edge.stillness import Stillness
from sensorkd.encoding import InputEncoding
from sensorkd.errors import BundleError
from sensorkd.quality import FAULTS, holds_still

__all__ = ["Counters", "Part", "Sensor"]

# Of one whole recording, of one sensor.
WHOLE_BYTES = 1 << 28
BLOCK_BYTES = 1 << 20


@dataclass
class Counters:
    """Samples that were accepted, came twice, contradict earlier ones, came too late; chunks refused."""

    accepted: int = 0
    duplicate: int = 0
    conflicting: int = 0
    late: int = 0
    refused: int = 0


@dataclass(frozen=True)
class Part:
    """Of one input of a window: its samples (steps, *sample_shape), the share logged, why it is missing."""

    samples: NDArray[Any]
    coverage: float
    why: str | None


class Sensor:
    """Takes chunks of one stream and gives its part of windows; the reader of archives decides alike.

    rate: Hz, of this very sensor, where it is not that of the bundle. lateness: ns.
    """

    def __init__(self, name: str, encoding: InputEncoding, *, rate: float, lateness: int) -> None:
        self.name, self.encoding, self.lateness = name, encoding, lateness
        self.counters = Counters()
        run, bytes_each = encoding.stuck_run, int(np.dtype(encoding.dtype).itemsize)
        bytes_each *= int(np.prod(encoding.sample_shape))
        self._watched = run is not None and run > encoding.steps
        self._rate, self._gaps = rate, 0
        self._block = max(1, BLOCK_BYTES // bytes_each) if encoding.whole else encoding.steps
        self.ring = self._new_ring()
        # At the end of a window that is covered no better than it must be, samples are mirrored.
        span = encoding.span or 0
        self.keep = round(max(1.0, 2 * (1 - encoding.min_coverage)) * span + 4 * self.ring.period)

    def chunks(self, samples: Any, time: Any) -> list[tuple[int, NDArray[Any]]]:
        """What was pushed as chunks, each with the time of its first sample.

        Raises:
            BundleError: other samples or times than the bundle's input has; a whole recording would be too
                long for a device.
        """
        try:
            values = self._checked(samples)
            times = _times(time, len(values), self.name, rate=self._rate)
            if isinstance(times, int):
                chunks = [(times, values)] if len(values) else []
            else:
                order = np.argsort(times, kind="stable")
                chunks = self._stamped(times[order], values[order])
            self._check_room(values.nbytes + len(chunks) * PIECE_BYTES)
        except BundleError:
            self.counters.refused += 1
            raise
        return chunks

    def push(self, time: int, samples: NDArray[Any]) -> tuple[int, BundleError | None]:
        """Take one of `chunks`; how many samples were accepted, and what contradicts earlier ones."""
        added, counters = self.ring.add(time, samples), self.counters
        for field in dataclasses.fields(Counters)[:-1]:
            setattr(counters, field.name, getattr(counters, field.name) + getattr(added, field.name))
        if added.conflict is None:
            return added.accepted, None
        return added.accepted, BundleError(
            "samples contradict those that were there at the same time",
            inside=self.name,
            found=f"{added.conflicting} other samples, the first at {added.conflict} ns",
            expected="one sample a time; exact repeats are well",
            mend="see whether two sensors send under one name, or correct the stamps",
        )

    @property
    def told(self) -> dict[str, int]:
        """Its counters, and how many gaps there were between samples."""
        return {**dataclasses.asdict(self.counters), "gaps": self._gaps + self.ring.gaps}

    def forget(self) -> None:
        """Begin anew, with the counters as they are."""
        self._gaps += self.ring.gaps
        self.ring = self._new_ring()

    def complete(self, time: int) -> bool:
        """Whether nothing that could still be accepted would change the window before `time`."""
        chain = self.ring.chain_before(time)
        if chain is None or self.ring.closed is None:
            return False
        begun = max(self.ring.closed + self.ring.period / 2, time - self.keep)
        return self._end(chain, time) <= chain.count and chain.begin <= begun

    def close(self, time: int) -> None:
        """From now on, samples before `time` come too late."""
        chain, closed = self.ring.chain_before(time), self.ring.closed
        until = time
        if chain is not None and 0 < (end := self._end(chain, time)) <= chain.count:
            # The next sample may be stamped a little early.
            last = int(timeline.sample_times(chain.t0, chain.rate, end - 1))
            until = min(time, last + int(self.ring.period / 2))
        self.ring.closed = until if closed is None else max(closed, until)

    def part(self, time: int) -> Part:
        """Its samples before `time`."""
        encoding, chain = self.encoding, self.ring.chain_before(time)
        if chain is None:
            return Part(encoding.blank(), 0.0, "silent")
        positions, coverage = encoding.positions(
            t0=chain.t0, rate=chain.rate, count=chain.count, start=0, stop=time
        )
        if not encoding.is_present(coverage, 1.0):
            return Part(encoding.blank(), coverage, _not_logged(coverage))
        first, last = int(np.floor(positions.min())), int(np.ceil(positions.max()))
        held = chain.read(first, last + 1)
        samples = timeline.resample(held, positions - max(first, chain.skipped), encoding.resampling)
        run = encoding.stuck_run
        stuck = self._watched and run is not None and holds_still(samples)
        if stuck and run is not None:
            index = min(self._end(chain, time), chain.count)
            stuck = self.ring.still_before(chain, index) >= run
        return self._judged(samples, coverage, stuck=stuck)

    def whole_part(self, start: int, stop: int) -> Part:
        """Its samples of the recording [start, stop)."""
        chains = list(self.ring.chains())
        if not chains:
            return Part(self.encoding.blank(), 0.0, "silent")
        runs = _Runs.of(chains)
        logged = int((timeline.sample_times(runs.t0, runs.rate, runs.count) - runs.t0).sum())
        coverage = min(1.0, logged / max(1, stop - start))
        held = np.concatenate([piece.samples for chain in chains for piece in chain.pieces])
        positions = self.encoding.whole_positions(runs, start=start, stop=stop)
        samples = timeline.resample(held, positions, self.encoding.resampling)
        return self._judged(samples, coverage, stuck=False)

    def _judged(self, samples: NDArray[Any], coverage: float, *, stuck: bool) -> Part:
        found = self.encoding.assess(samples)
        if self.encoding.is_present(coverage, 0.0 if stuck else found.usable):
            return Part(samples, coverage, None)
        worst = FAULTS[int(found.faults.argmax())] if found.faults.any() else _not_logged(coverage)
        return Part(self.encoding.blank(), coverage, "stuck" if stuck else worst)

    def _new_ring(self) -> Ring:
        return Ring(
            self._rate,
            tolerance=self.encoding.rate_tolerance,
            block=self._block,
            stillness=Stillness() if self._watched else None,
        )

    def _end(self, chain: Chain, time: int) -> int:
        return int(timeline.first_index_at(chain.t0, chain.rate, time))

    def _check_room(self, more: int) -> None:
        if self.encoding.whole and self.ring.bytes + more > WHOLE_BYTES:
            raise BundleError(
                "a whole recording is too long to be held on a device",
                inside=self.name,
                found=f"more than {WHOLE_BYTES >> 20} MiB",
                mend="end recordings earlier, or train on windows by hop",
            )

    def _checked(self, samples: Any) -> NDArray[Any]:
        values, encoding = np.asarray(samples), self.encoding
        if values.shape[1:] != encoding.sample_shape or values.ndim == 0 or values.dtype != encoding.dtype:
            told = ", ".join(map(str, encoding.sample_shape))
            raise BundleError(
                f"samples of {self.name!r} are not what the model expects",
                found=f"{values.dtype} {values.shape}",
                expected=f"{encoding.dtype} (n, {told}): value * {encoding.scale:g} + {encoding.offset:g} "
                f"in {encoding.unit}",
                mend="`InputEncoding.encode` brings physical values into this form",
            )
        return values

    def _stamped(self, times: NDArray[np.int64], values: NDArray[Any]) -> list[tuple[int, NDArray[Any]]]:
        """Samples with a stamp each as chunks that are nowhere off their stamps by a quarter of a period."""
        chunks, first = [], 0
        while first < len(times):
            # No further than a chunk may be: where every stamp is off, the rest is not looked at every time.
            since = times[first : first + self._block] - times[first]
            off = np.abs(since - np.arange(len(since)) * self.ring.period) > self.ring.period / 4
            stop = first + (int(off.argmax()) if off.any() else len(since))
            chunks.append((int(times[first]), values[first:stop]))
            first = stop
        return chunks


@dataclass(frozen=True)
class _Runs:
    """Chains as `timeline.Runs`."""

    t0: NDArray[np.int64]
    rate: NDArray[np.float64]
    offset: NDArray[np.int64]
    count: NDArray[np.int64]

    @classmethod
    def of(cls, chains: list[Chain]) -> _Runs:
        count = np.array([chain.count for chain in chains], np.int64)
        t0 = np.array([chain.begin for chain in chains], np.int64)
        rate = np.array([chain.measured for chain in chains])
        return cls(t0, rate, np.cumsum(count) - count, count)


def _times(time: Any, count: int, name: str, *, rate: float) -> int | NDArray[np.int64]:
    """The time of the first sample, or (n,) one each."""
    times, limit = np.asarray(time), timeline.LIMIT
    whole = times.dtype.kind in "iu" and times.shape in ((), (count,))
    last = count / rate * timeline.SECOND if times.ndim == 0 else 0.0
    if not whole or (times.size and not (int(times.min()) > -limit and int(times.max()) + last < limit)):
        raise BundleError(
            f"the time of samples of {name!r} cannot be used",
            found=f"{times.dtype} {times.shape}" if not whole else f"{times.min()} to {times.max()}",
            expected="whole nanoseconds: of the first sample, or one for each",
        )
    return int(times) if times.ndim == 0 else times.astype(np.int64)


def _not_logged(coverage: float) -> str:
    return f"only {coverage:.0%} arrived" if coverage else "silent"
