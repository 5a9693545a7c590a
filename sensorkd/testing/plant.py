"""A simulated plant: made-up numbers and pictures, written as real `recording-1.0` archives.

Nothing here was measured, and every archive says so (identity `simulated: yes`). A simulated machine is
a motor on a bearing, which drives a pulley by a belt and is cooled by a fan of its own. Three sensors
see it, each on its own clock. None tells all six conditions apart, nor do any two; the three do:

    condition       acceleration        temperature     video
    healthy         shaft harmonics     steady          fan and belt blurred by speed
    bearing_fault   ringing impulses    steady          as healthy
    looseness       half orders         steady          rotor wobbles
    rotor_rub       as looseness        saw-tooth       rotor wobbles
    belt_slip       as healthy          warming up      belt creeps
    fan_stopped     as healthy          warming up      fan stands still

Machines differ in speed, load, resonance, gain and direction of the sensor, ambient temperature,
camera, light and paint: the task is to recognise a condition on a machine never seen before.

`Disturbances` make `write_plant` as untidy as real plants are: bursts, gaps, dropouts, wrong clocks, drift,
faulty sensors. `write_life_tests` logs machines in bursts until a bearing fails: its fault is invisible at
first and grows ever faster, and in the end friction heats it; day and shift change ambient and load, too.

Simplifications: belt and fan are too light for the accelerometer; thermal time constants are seconds
instead of minutes, so that ten seconds show a trend; only bearings wear, in hours instead of months, so
a day has six hours, and no video shows it; a wrong clock is off by a constant, and a shift begins at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sensorkd.recordings import RecordingWriter, Segments
from sensorkd.recordings.writer import RecordingDraft
from sensorkd.testing.plant_sensors import SENSORS, Array, Machine, Run
from sensorkd.timeline import SECOND

__all__ = ["CONDITIONS", "LIFE", "Disturbances", "Machine", "simulate", "write_life_tests", "write_plant"]

CONDITIONS = ("healthy", "bearing_fault", "looseness", "rotor_rub", "belt_slip", "fan_stopped")
DAY, AMBIENT_SWING, SHIFT_LOADS = 6 * 3600.0, 4.0, np.array([0.3, 0.0, -0.3])  # s; K; of three shifts
WORN, FRICTION_HEAT = 3.0, 30.0  # of a bearing that fails: severity against that of a mere fault; K
EVENTS = ("lost", "stuck", "saturated", "spikes", "nan")
FULL_SCALE = {"acceleration": (-32768, 32767), "temperature": (-50.0, 150.0), "video": (0, 255)}
Labels = list[tuple[int, int, str]]


@dataclass(frozen=True)
class SimulatedStream:
    """Samples (n, C) or (n, H, W, C) of one simulated sensor: value = sample * scale, in `unit`."""

    samples: Array
    times: Array  # (n,) ns, when they were taken
    modality: str
    rate: float  # Hz
    unit: str
    scale: float
    channels: tuple[str, ...]
    late: int = 0  # ns, by which the stamps of the logger are wrong

    @property
    def segments(self) -> Segments:
        """Runs without a gap, as they are stamped."""
        offset = np.flatnonzero(np.abs(np.diff(self.times, prepend=-(2**62))) > 1.5 * SECOND / self.rate)
        count = np.diff(offset, append=len(self.times))
        return Segments(self.times[offset] + self.late, np.full(len(offset), self.rate), offset, count)


@dataclass(frozen=True)
class Disturbances:
    """How a recording differs from a short and tidy one; by default it does not. Times are true, in s.

    A modality may be "*": each. Events are (what, modality, from, to), to `math.inf` if need be:
        lost: nothing is logged; the sensor is dead or, "*", the logger restarts
        stuck, saturated: the first value or frame stays; 300 times too large, clipped at FULL_SCALE
        spikes, nan: of temperature, each tenth value is a broken wire's 1254 degC; none is a number
    """

    events: tuple[tuple[str, str, float, float], ...] = ()
    bursts: tuple[tuple[str, float, float], ...] = ()  # (modality, length, period): not logged throughout
    temperature_rate: float = 2.0  # Hz
    clock_offsets: tuple[tuple[str, float], ...] = ()  # stamps late by so much, unreported; labels stay true
    drift: float = 0.0  # of ambient and load with day and shift; 1.0 is usual
    onset: float | None = None  # from when the fault grows, to the end; without, it is there throughout

    def __post_init__(self) -> None:
        for what, modality, *_ in (*self.events, *(("lost", *at) for at in self.bursts + self.clock_offsets)):
            known = ("temperature",) if what in ("spikes", "nan") else (*SENSORS, "*")
            if what not in EVENTS or modality not in known:
                raise ValueError(f"{what} of {modality} must be one of {EVENTS} of one of {known}")

    def apply(self, stream: SimulatedStream) -> SimulatedStream:
        """The stream after all events and with its clock's offset; maybe without a sample."""
        samples, kept = stream.samples.copy(), np.ones(len(stream.samples), dtype=bool)
        events = [event for event in self.events if event[1] in ("*", stream.modality)]
        for what, _, start, stop in events:
            inside = np.flatnonzero((stream.times >= start * SECOND) & (stream.times < stop * SECOND))
            if what == "lost":
                kept[inside] = False
            elif what == "stuck":
                samples[inside] = samples[inside[:1]]
            elif what == "saturated":
                samples[inside] = np.clip(300.0 * samples[inside], *FULL_SCALE[stream.modality])
            elif what == "spikes":
                samples[inside[::10]] = 1254.0
            else:
                samples[inside] = np.nan
        late = sum(offset for name, offset in self.clock_offsets if name in ("*", stream.modality))
        return replace(stream, samples=samples[kept], times=stream.times[kept], late=round(late * SECOND))


TIDY = Disturbances()
BURSTS = (("acceleration", 0.5, 60.0), ("video", 0.5, 600.0))
LIFE = Disturbances(bursts=BURSTS, temperature_rate=0.5, drift=1.0)


def simulate(
    machine: Machine, condition: str, *, seconds: float, session: int = 0, disturbances: Disturbances = TIDY
) -> dict[str, SimulatedStream]:
    """One simulated recording: stream by modality. The same arguments give the same numbers.

    `session` counts recordings of one machine and condition; each draws its numbers afresh. Raises
    ValueError for an unknown condition, and for `seconds` too short for a sample of each stream.
    """
    if condition not in CONDITIONS:
        raise ValueError(f"condition {condition!r} must be one of {', '.join(CONDITIONS)}")
    key = (machine.number, CONDITIONS.index(condition), session)
    rng = np.random.default_rng(np.random.SeedSequence(machine.seed, spawn_key=key))
    severity, morning, streams = rng.uniform(0.75, 1.25), rng.spawn(1)[0].uniform(), {}
    for modality, (see, rate, unit, scale, channels) in SENSORS.items():
        rate = disturbances.temperature_rate if modality == "temperature" else rate
        bursts = {name: span for name, *span in disturbances.bursts}
        length, period = bursts.get(modality, bursts.get("*", (seconds, seconds)))
        t = np.add.outer(np.arange(0.0, seconds, period), np.arange(round(length * rate)) / rate).ravel()
        if not len(t):
            raise ValueError(f"{seconds} s are too short for a sample of {modality} at {rate} Hz")
        t0 = int(rng.uniform(0.0, 0.4) * SECOND)  # loggers do not begin together
        times, wear = t0 + np.rint(t * SECOND).astype(np.int64), np.ones(len(t))
        turns = times / SECOND / DAY + morning
        load = machine.load + disturbances.drift * SHIFT_LOADS[(3 * turns).astype(int) % 3]
        ambient = machine.ambient + disturbances.drift * AMBIENT_SWING * np.sin(2 * np.pi * turns)
        if disturbances.onset is not None:
            grown = np.clip((times / SECOND - disturbances.onset) / (seconds - disturbances.onset), 0.0, 1.0)
            wear, ambient = WORN * grown**2, ambient + FRICTION_HEAT * grown**8
        samples = see(Run(machine, condition, t, severity * wear, load, ambient, rng))
        stream = SimulatedStream(samples, times, modality, rate, unit, scale, channels)
        streams[modality] = disturbances.apply(stream)
    return {modality: stream for modality, stream in streams.items() if len(stream.samples)}


def write_plant(
    folder: str | Path,
    *,
    machines: int = 12,
    seconds: float = 20.0,
    sessions: int = 1,
    seed: int = 0,
    disturbances: Callable[[str], Disturbances] = lambda recording: TIDY,
) -> list[Path]:
    """Write a simulated plant: one file a machine; in it, one recording a condition and session.

    Each recording has the identity `machine`, `session` and `simulated: yes`, and a label track `condition`
    over all of it. disturbances: of a recording, by its id (`m01.h5::healthy_s0`). Returns the files.

    Raises:
        ArchiveError: a file exists already, or nothing is left of a recording. ValueError: see `simulate`.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    paths = [Path(folder) / f"m{number:02d}.h5" for number in range(machines)]
    for number, path in enumerate(paths):
        machine = Machine(number, seed=seed)
        with RecordingWriter(path) as writer:
            for session, condition in ((s, c) for s in range(sessions) for c in CONDITIONS):
                name = f"{condition}_s{session}"
                how = disturbances(f"{path.name}::{name}")
                streams = simulate(machine, condition, seconds=seconds, session=session, disturbances=how)
                start = min((stream.times[0] for stream in streams.values()), default=0)
                ends = [stream.segments.ends[-1] - stream.late for stream in streams.values()]
                identity = {"machine": path.stem, "session": f"s{session}", "simulated": "yes"}
                draft = writer.recording(name, clock="relative", identity=identity)
                _store(draft, streams, condition=[(start, max(ends, default=1), condition)])
    return paths


def write_life_tests(
    folder: str | Path, *, machines: int = 4, hours: float = 4.0, seed: int = 0, logging: Disturbances = LIFE
) -> list[Path]:
    """Write machines that run from new until their bearing fails: one file and recording `life` each.

    Identity: `machine`, `simulated: yes`, `run_to_failure: yes`. Label tracks: `stage` (early, middle from
    half of the life, late from 0.9) and `condition` (healthy, then bearing_fault). Of each four machines,
    the third has no temperature, and the fourth only in the first half. Raises as `write_plant` does.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    paths = [Path(folder) / f"m{number:02d}.h5" for number in range(machines)]
    life = 3600 * hours
    for number, path in enumerate(paths):
        onset = life * np.random.default_rng((seed, number)).uniform(0.35, 0.55)
        dead = {2: 0.0, 3: life / 2}.get(number % 4, np.inf)
        how = replace(logging, onset=onset, events=(*logging.events, ("lost", "temperature", dead, np.inf)))
        streams = simulate(Machine(number, seed=seed), "bearing_fault", seconds=life, disturbances=how)
        half, old, end, ill = (round(time * SECOND) for time in (life / 2, 0.9 * life, life, onset))
        stage = [(0, half, "early"), (half, old, "middle"), (old, end, "late")]
        condition = [(0, ill, "healthy"), (ill, end, "bearing_fault")]
        identity = {"machine": path.stem, "simulated": "yes", "run_to_failure": "yes"}
        with RecordingWriter(path) as writer:
            draft = writer.recording("life", clock="relative", identity=identity)
            _store(draft, streams, stage=stage, condition=condition)
    return paths


def _store(draft: RecordingDraft, streams: dict[str, SimulatedStream], **tracks: Labels) -> None:
    for modality, stream in streams.items():
        told = {key: value for key, value in vars(stream).items() if key not in ("times", "late")}
        draft.add_stream(modality, segments=stream.segments, **told)
    for target, intervals in tracks.items():
        draft.add_labels(target, intervals)
