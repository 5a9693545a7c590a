"""A simulated day of a plant, streamed: how fast, in how much memory, and with which verdicts.

    OMP_NUM_THREADS=1 python benchmarks/stream.py BUNDLE [--hours 24] [--seed 0]

BUNDLE: of examples/configs/plant.yaml; `sensorkd demo` writes one. A machine goes through its conditions, a
minute each, over and over; acceleration comes ten times a second, six frames and a temperature twice a
second. The network loses one chunk in 500, brings one in 100 twice and holds one in 50 back within its
lateness; every sensor is silent for ten minutes in five hours; the thermometer sticks for two hours in six.
After each hour it tells the memory of this process and of the samples held, and how much faster it went than
the time it stands for. Then all windows are laid and read by the reader of archives from the samples that
were sent, and judged: what differs is counted. Exit code 1 if anything does, or if memory grew after an hour.
"""

from __future__ import annotations

import argparse
import heapq
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sensorkd.alarms import alarm_active
from sensorkd.edge import EdgeBundle, EdgePredictor, Verdict
from sensorkd.edge.verification import resident_memory
from sensorkd.recordings import Recording, Segments, Stream
from sensorkd.recordings.source import SampleSource
from sensorkd.testing.plant import CONDITIONS, Machine, simulate
from sensorkd.timeline import SECOND, sample_times
from sensorkd.windows.plan import plan_windows
from sensorkd.windows.read import read_window

MINUTE, HOUR = 60.0, 3600.0
CHUNK = {"acceleration": 200, "video": 6, "temperature": 1}
BEGIN = {"acceleration": 0, "video": 130_000_000, "temperature": 370_000_000}
LOST, TWICE, LATE = 0.002, 0.01, 0.02
SILENT, SILENT_EVERY = 10 * MINUTE, 5 * HOUR
STUCK, STUCK_EVERY = 2 * HOUR, 6 * HOUR
AXES = {2: ("time", "channel"), 4: ("time", "height", "width", "channel")}
# What an allocator keeps for itself.
GROWTH = 1.05


@dataclass(frozen=True)
class Source:
    """One sensor for ever: sample i is pool[i % len(pool)], but for a thermometer that sticks."""

    name: str
    rate: float
    pool: np.ndarray
    silent_from: float  # s, in every SILENT_EVERY

    def read(self, start: int, stop: int) -> np.ndarray:
        index = np.arange(start, stop)
        if self.name == "temperature":
            into = (index / self.rate) % STUCK_EVERY - HOUR * 2
            stuck = (into >= 0) & (into < STUCK)
            index = np.where(stuck, index - np.rint(into * self.rate).astype(np.int64), index)
        return self.pool[index % len(self.pool)]

    def lost(self, chunks: int, seed: int) -> np.ndarray:
        """(chunks,) which never come."""
        rng = np.random.default_rng((seed, CHUNK[self.name]))
        at = np.arange(chunks) * CHUNK[self.name] / self.rate % SILENT_EVERY - self.silent_from
        return (rng.random(chunks) < LOST) | ((at >= 0) & (at < SILENT))


class PooledStream(Stream):
    """As the reader of archives takes it, read from memory."""

    def read(self, start: int, stop: int) -> np.ndarray:
        return SOURCES[self.name].read(start, stop)


SOURCES: dict[str, Source] = {}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    predictor = EdgePredictor(EdgeBundle.open(options.bundle))
    minutes = [simulate(Machine(7), condition, seconds=MINUTE) for condition in CONDITIONS]
    for order, name in enumerate(CHUNK):
        pool = np.concatenate([streams[name].samples for streams in minutes])
        SOURCES[name] = Source(name, minutes[0][name].rate, pool, (1.0 + order) * HOUR)
    del minutes
    log, memory, ratio = stream_day(predictor, options.hours, options.seed)
    differ = compare(predictor, log, options.hours, options.seed)
    settled = memory[1] if len(memory) > 1 else memory[0]
    result = {
        "hours": options.hours,
        "windows": log.count,
        "times_real_time": round(ratio, 1),
        "memory_mb": {"at_first": memory[0], "after_an_hour": settled, "at_last": memory[-1]},
        **differ,
    }
    print(json.dumps(result, indent=1))
    bad = differ["windows_that_differ"] or differ["alarms_that_differ"] or memory[-1] > GROWTH * settled
    return 1 if bad else 0


class Log:
    """Verdicts, in memory that is there from the beginning."""

    def __init__(self, windows: int, inputs: int, classes: int) -> None:
        self.count = 0
        self.t_ref = np.full(windows, -1, np.int64)
        self.presence = np.full((windows, inputs), -1, np.float32)
        self.logits = np.full((windows, classes), -1, np.float32)
        self.alarm = np.full(windows, True)

    def keep(self, verdicts: list[Verdict]) -> None:
        for verdict in verdicts:
            row, found = self.count, verdict.predictions
            self.t_ref[row], self.alarm[row] = verdict.t_ref, bool(verdict.alarm)
            self.presence[row], self.logits[row] = found.presence[0], found.logits[0]
            self.count += 1


def stream_day(predictor: EdgePredictor, hours: float, seed: int) -> tuple[Log, list[float], float]:
    """The verdicts; MB at first and after each hour; simulated time over that spent."""
    description = predictor.bundle.description
    stream, most = predictor.stream(), int(hours * HOUR / (description.hop or 1)) + 9
    log = Log(most, len(description.inputs), len(description.classes))
    memory, began, spent, mark = [resident_memory() or 0.0], time.perf_counter(), 0.0, HOUR
    print(f"{'hour':>5} {'x real time':>12} {'process MB':>11} {'held MB':>8} {'windows':>8}")
    for at, name, first in arrivals(hours, seed):
        if at >= mark:
            spent = time.perf_counter() - began
            memory.append(resident_memory() or 0.0)
            print(
                f"{mark / HOUR:5.0f} {mark / spent:12.1f} {memory[-1]:11.1f} {stream.held_bytes / 1e6:8.2f} "
                f"{log.count:8}",
                flush=True,
            )
            mark += HOUR
        source = SOURCES[name]
        samples = source.read(first, first + CHUNK[name])
        log.keep(stream.push(name, samples, int(sample_times(BEGIN[name], source.rate, first))))
    log.keep(stream.end())
    print(json.dumps(stream.counters))
    assert not any(told["late"] or told["conflicting"] for told in stream.counters.values())
    return log, memory, hours * HOUR / (time.perf_counter() - began)


def arrivals(hours: float, seed: int) -> Iterator[tuple[float, str, int]]:
    """(s, sensor, number of the chunk's first sample) in the order in which chunks arrive."""
    return heapq.merge(*(chunks_of(source, hours, seed) for source in SOURCES.values()))


def chunks_of(source: Source, hours: float, seed: int) -> Iterator[tuple[float, str, int]]:
    """In order of arrival; what is late overtakes nothing but is overtaken."""
    length = CHUNK[source.name]
    count = int(hours * HOUR * source.rate / length)
    lost = source.lost(count, seed)
    rng, waiting = np.random.default_rng((seed, length, 1)), list[tuple[float, str, int]]()
    for number in range(count):
        sent = BEGIN[source.name] / SECOND + (number + 1) * length / source.rate
        fate, delay, again = rng.random(3)
        late = fate < LATE
        # What is late is so by less than the lateness, reckoned from its first sample.
        wait = max(0.0, 0.9 - length / source.rate) * delay if late else 0.0
        if not lost[number]:
            heapq.heappush(waiting, (sent + wait, source.name, number * length))
            if again < TWICE:
                heapq.heappush(waiting, (sent + wait + 0.05, source.name, number * length))
        while waiting and waiting[0][0] <= sent:
            yield heapq.heappop(waiting)
    while waiting:
        yield heapq.heappop(waiting)


def compare(predictor: EdgePredictor, log: Log, hours: float, seed: int) -> dict[str, Any]:
    """Lay and read all windows by the reader of archives, judge them, and count what differs."""
    description = predictor.bundle.description
    streams = {}
    for name, source in SOURCES.items():
        length = CHUNK[name]
        lost = source.lost(int(hours * HOUR * source.rate / length), seed)
        edges = np.flatnonzero(np.diff(np.concatenate([[True], lost, [True]]).astype(np.int8)))
        first, stop = edges[::2] * length, edges[1::2] * length
        rate = np.full(len(first), source.rate)
        encoding = description.inputs[name]
        streams[name] = PooledStream(
            name=name,
            modality=encoding.modality,
            unit=encoding.unit,
            segments=Segments(sample_times(BEGIN[name], rate, first), rate, first, stop - first),
            source=SampleSource(
                Path("memory"), name, AXES[source.pool.ndim], (int(stop[-1]), *source.pool.shape[1:])
            ),
            dtype=source.pool.dtype,
            scale=encoding.scale,
            offset=encoding.offset,
            channels=encoding.channels,
        )
    recording = Recording("day", Path("memory"), "day", "relative", {}, streams)
    hop = round((description.hop or 0) * SECOND)
    plan = plan_windows([recording], description.inputs, hop=hop)
    differ, scores, rule = abs(len(plan) - log.count), list[np.ndarray](), description.alarm
    for row, t_ref in enumerate(plan.t_ref[: log.count].tolist()):
        window = read_window(recording, t_ref, description.inputs)
        found = predictor.predict(
            {name: values[None] for name, values in window.inputs.items()}, window.presence[None]
        )
        same = t_ref == log.t_ref[row] and np.array_equal(found.presence[0], log.presence[row])
        differ += not (same and np.array_equal(found.logits[0], log.logits[row]))
        if rule is not None:
            scores.append(found.scores(rule))
    alarms = 0
    if rule is not None:
        active = alarm_active(np.concatenate(scores), rule)
        alarms = int((active != log.alarm[: len(active)]).sum())
    here = log.presence[: log.count]
    shares = {name: round(float(here[:, k].mean()), 3) for k, name in enumerate(description.inputs)}
    return {"windows_that_differ": int(differ), "alarms_that_differ": alarms, "present": shares}


if __name__ == "__main__":
    sys.exit(main())
